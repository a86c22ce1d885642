"use strict";
// A place on an attached picture, dragged with mouse or finger or moved with the arrow keys, becomes
// <box>x1 y1 x2 y2</box> at the cursor of the message box.
(() => {
  const { text, make, watch } = window.page;
  const SIDE = 1000; // coordinates go from 0 to this
  const STEP = 20, LEAST = 10;
  const START = [350, 350, 650, 650];

  const box = () => document.querySelector(".ms-gr-pro-multimodal-input");
  const cards = () => [...box()?.querySelectorAll(".ms-gr-ant-sender-header .ms-gr-ant-file-card-list-item") || []];

  const icon = () => make("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    make("path", { d: "M2 5V2h3M11 2h3v3M14 11v3h-3M5 14H2v-3M8 5v6M5 8h6", fill: "none", stroke: "currentColor",
      "stroke-width": 1.6 }));

  // --- a button on each picture ----------------------------------------------------------------------------------
  watch(() => {
    for (const card of cards()) {
      const image = card.querySelector(".ms-gr-ant-image img, img");
      const old = card.querySelector(":scope > .mark-place"), number = card.dataset.number || "";
      if (!image || card.querySelector("video") || !number) { old?.remove(); continue; }
      const name = text("mark_place", { picture: number });
      if (old) { if (old.getAttribute("aria-label") !== name) old.setAttribute("aria-label", name); continue; }
      const button = make("button", { type: "button", class: "mark-place", "aria-label": name, title: name }, icon());
      button.addEventListener("click", (event) => {
        event.stopPropagation();
        openDialog(card.querySelector("img").src, button);
      });
      card.append(button);
    }
  });

  // --- the cursor of the message box, which is lost when a button takes the focus ------------------------------
  let cursor = null;
  document.addEventListener("focusout", (event) => {
    if (event.target.tagName === "TEXTAREA" && box()?.contains(event.target))
      cursor = [event.target.selectionStart, event.target.selectionEnd];
  });

  function insert(words) {
    const area = box()?.querySelector("textarea");
    if (!area) return;
    const [start, end] = cursor || [area.value.length, area.value.length];
    area.focus();
    area.setSelectionRange(start, end);
    document.execCommand("insertText", false, words); // as if typed: the page hears of it, and it can be undone
  }

  // --- the dialog ------------------------------------------------------------------------------------------------
  function openDialog(source, opener) {
    let place = [...START];
    const image = make("img", { src: source, alt: "", draggable: "false" });
    const frame = make("div", { class: "mark-frame" });
    const stage = make("div", {
      class: "mark-stage", tabindex: "0", role: "application", "aria-label": text("mark_hint"),
    }, image, frame);
    const value = make("output", { class: "mark-value", "aria-live": "polite" });
    const confirm = make("button", { type: "button", class: "mark-insert" }, text("mark_insert"));
    const cancel = make("button", { type: "button" }, text("cancel"));
    const dialog = make("dialog", { class: "mark-dialog", "aria-label": opener.getAttribute("aria-label") },
      make("p", {}, text("mark_hint")), stage, make("div", { class: "mark-buttons" }, value, cancel, confirm));

    const draw = () => {
      const [x1, y1, x2, y2] = place.map((each) => each / (SIDE / 100));
      frame.style.inset = `${y1}% ${100 - x2}% ${100 - y2}% ${x1}%`;
      value.textContent = place.join(" ");
    };
    const move = (next) => { place = next.map((each) => Math.round(Math.max(0, Math.min(SIDE, each)))); draw(); };
    const finish = (words) => {
      dialog.close();
      if (words) insert(words); else opener.focus();
    };
    const done = () => finish(`<box>${place.join(" ")}</box>`);

    followPointer(stage, move);
    stage.addEventListener("keydown", (event) => {
      const next = moved(place, event);
      if (next) { event.preventDefault(); move(next); }
      if (event.key === "Enter") { event.preventDefault(); done(); }
    });
    confirm.addEventListener("click", done);
    cancel.addEventListener("click", () => finish(""));
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); finish(""); });
    dialog.addEventListener("close", () => dialog.remove());
    (document.querySelector(".gradio-container") || document.body).append(dialog);
    draw();
    dialog.showModal();
    stage.focus();
  }

  function followPointer(stage, move) {
    let from = null;
    const at = (event) => {
      const area = stage.querySelector("img").getBoundingClientRect();
      return [((event.clientX - area.x) / area.width) * SIDE, ((event.clientY - area.y) / area.height) * SIDE];
    };
    stage.addEventListener("pointerdown", (event) => {
      from = at(event);
      stage.setPointerCapture(event.pointerId);
      event.preventDefault();
      stage.focus();
    });
    stage.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = at(event), x = [from[0], to[0]].sort((a, b) => a - b), y = [from[1], to[1]].sort((a, b) => a - b);
      if (x[1] - x[0] >= LEAST && y[1] - y[0] >= LEAST) move([x[0], y[0], x[1], y[1]]);
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { from = null; });
  }

  function moved([x1, y1, x2, y2], event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [];
    if (dx === undefined) return null;
    const limit = (step, low, high) => Math.max(-low, Math.min(SIDE - high, step * STEP));
    if (event.shiftKey) return [x1, y1, Math.max(x1 + LEAST, x2 + dx * STEP), Math.max(y1 + LEAST, y2 + dy * STEP)];
    const x = limit(dx, x1, x2), y = limit(dy, y1, y2);
    return [x1 + x, y1 + y, x2 + x, y2 + y];
  }
})();
