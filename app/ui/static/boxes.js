"use strict";
// Places that an answer names, drawn into the pictures of its question: names and shapes show each other on hover,
// focus and tap; the places are copied as JSON, COCO and YOLO, the drawn picture is downloaded.
(() => {
  const { text, make, watch, copy, download } = window.page;
  const SIDE = 1000; // coordinates go from 0 to this
  const LINE = { box: "rect", quad: "polygon", point: "path" };

  // --- what is drawn ---------------------------------------------------------------------------------------------
  const messages = () => [...document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message")];
  const marksOf = (message) => [...message.querySelectorAll(".box-name")];

  // What a name means stands in its classes: box-image-2 box-back-0 box-colour-1 box-at-box-10-20-300-400
  const classesOf = (mark, start) =>
    [...mark.classList].filter((name) => name.startsWith(start)).map((name) => name.slice(start.length));
  const classOf = (mark, start) => classesOf(mark, start)[0];

  function readShapes(mark) {
    return classesOf(mark, "box-at-").map((one) => {
      const [kind, ...numbers] = one.split("-");
      return { kind, numbers: numbers.map(Number) };
    });
  }

  function pictureOf(all, message, mark) {
    const at = all.indexOf(message) - 1 - 2 * Number(classOf(mark, "box-back-"));
    const wanted = classOf(mark, "box-image-"); // a thumbnail has its number in its name, in the page's language
    return [...all[at]?.querySelectorAll("img") || []].find((img) => img.alt.match(/(\d+)\.png$/)?.[1] === wanted);
  }

  function groups(all, message) { // by picture, in the order of the names
    const found = new Map();
    marksOf(message).forEach((mark, index) => {
      mark.dataset.mark = index;
      const picture = pictureOf(all, message, mark), number = classOf(mark, "box-image-");
      if (!picture) return;
      const key = `${picture.src} ${number}`, colour = classOf(mark, "box-colour-");
      if (!found.has(key)) found.set(key, { src: picture.src, number, places: [] });
      for (const shape of readShapes(mark)) {
        found.get(key).places.push({ name: mark.textContent, mark: index, colour, ...shape });
      }
    });
    return found;
  }

  watch(() => {
    const rooms = document.querySelectorAll(".conversation .box-figures"), all = rooms.length ? messages() : [];
    for (const room of rooms) {
      const message = room.closest(".ms-gr-pro-chatbot-message");
      const found = message ? groups(all, message) : new Map();
      const state = JSON.stringify([...found.values()]);
      if (room.state === state) continue;
      room.state = state;
      room.replaceChildren(...[...found.values()].map(figure));
    }
  });

  // --- a picture -------------------------------------------------------------------------------------------------
  function figure(group) {
    const title = text("box_figure", { picture: `[${text("image_number", { number: group.number })}]` });
    const image = make("img", { src: group.src, alt: "" });
    const canvas = make("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const largestFirst = [...group.places].sort((a, b) => area(b) - area(a));
    canvas.append(...largestFirst.flatMap(drawing));
    const frame = make("div", { class: "box-frame" }, image, canvas, ...group.places.map((place) => label(place, group)));
    const root = make("figure", { class: "box-figure", role: "group", "aria-label": title }, frame, tools(group, image));
    image.addEventListener("error", () => root.remove()); // of a kind that this browser does not show
    return root;
  }

  function drawing(place) { // a pale line under the coloured one, to be seen on every ground
    return ["box-halo", "box-line"].map((kind) => make(LINE[place.kind], {
      class: `${kind} box-${place.kind} box-colour-${place.colour}`, "data-mark": place.mark, ...geometry(place),
    }));
  }

  function geometry({ kind, numbers: [x1, y1, x2, y2], numbers }) {
    if (kind === "box") return { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    if (kind === "quad") return { points: numbers.join(" ") };
    return { d: `M ${x1} ${y1} h 0` };
  }

  function label(place, group) {
    const { x, y } = bounds(place), inside = y < 130;
    const name = text("box_shown", { name: place.name, picture: `[${text("image_number", { number: group.number })}]` });
    const side = x > SIDE / 2 ? `right: ${100 - bounds(place).right / 10}%` : `left: ${x / 10}%`;
    return make("button", {
      type: "button", class: `box-label box-colour-${place.colour}${inside ? " box-label-inside" : ""}`,
      "data-mark": place.mark, "aria-label": name, "aria-pressed": "false", style: `${side}; top: ${y / 10}%`,
    }, place.name);
  }

  function tools(group, image) {
    const named = (format) => text("box_copy", { format });
    const button = (words, name, action) => {
      const made = make("button", { type: "button", "aria-label": name, title: name }, words);
      made.addEventListener("click", () => action(made));
      return made;
    };
    const copying = (format, write) => button(format, named(format), async (made) => {
      await copy(write(group, image.naturalWidth, image.naturalHeight));
      made.textContent = text("copied");
      setTimeout(() => { made.textContent = format; }, 1500);
    });
    const yolo = copying("YOLO", asYolo); // its lines have numbers alone
    yolo.title = namesOf(group).map((name, at) => `${at}: ${name}`).join("\n");
    return make("figcaption", { class: "box-tools" },
      make("span", {}, `[${text("image_number", { number: group.number })}]`),
      copying("JSON", asJson), copying("COCO", asCoco), yolo,
      button("PNG", text("box_download"), () => saveDrawn(group, image)));
  }

  // --- numbers ---------------------------------------------------------------------------------------------------
  function bounds({ numbers }) {
    const xs = numbers.filter((_, at) => at % 2 === 0), ys = numbers.filter((_, at) => at % 2);
    return { x: Math.min(...xs), y: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
  }
  function area(place) {
    const { x, y, right, bottom } = bounds(place);
    return (right - x) * (bottom - y);
  }
  const round = (value, digits) => Number(value.toFixed(digits));
  const pixels = (place, width, height) =>
    place.numbers.map((value, at) => round((value / SIDE) * (at % 2 ? height : width), 1));
  const namesOf = (group) => [...new Set(group.places.map((place) => place.name))];

  function asJson(group, width, height) {
    const places = group.places.map((place) => ({
      name: place.name, kind: place.kind, pixels: pixels(place, width, height), thousandths: place.numbers,
    }));
    return JSON.stringify({ image: Number(group.number), width, height, places }, null, 2);
  }

  function asCoco(group, width, height) {
    const names = namesOf(group);
    const annotations = group.places.map((place, at) => {
      const corners = pixels(place, width, height);
      const { x, y, right, bottom } = bounds({ numbers: corners });
      const box = [x, y, round(right - x, 1), round(bottom - y, 1)];
      const extra = place.kind === "quad" ? { segmentation: [corners] }
        : place.kind === "point" ? { keypoints: [...corners, 2], num_keypoints: 1 } : { segmentation: [] };
      return { id: at + 1, image_id: 1, category_id: names.indexOf(place.name) + 1, bbox: box,
        area: round(box[2] * box[3], 1), iscrowd: 0, ...extra };
    });
    return JSON.stringify({
      images: [{ id: 1, file_name: `image ${group.number}`, width, height }],
      annotations,
      categories: names.map((name, at) => ({ id: at + 1, name })),
    }, null, 2);
  }

  function asYolo(group) { // "class x y width height" in shares of the picture, x and y of the middle
    const names = namesOf(group);
    return group.places.map((place) => {
      const { x, y, right, bottom } = bounds(place);
      const shares = [(x + right) / 2, (y + bottom) / 2, right - x, bottom - y].map((v) => (v / SIDE).toFixed(6));
      return [names.indexOf(place.name), ...shares].join(" ") + "\n";
    }).join("");
  }

  // --- the drawn picture -----------------------------------------------------------------------------------------
  function saveDrawn(group, image) {
    const canvas = make("canvas"), width = image.naturalWidth, height = image.naturalHeight;
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d"), unit = Math.max(1, Math.min(width, height) / 250);
    pen.drawImage(image, 0, 0);
    pen.font = `${Math.round(7 * unit) + 6}px system-ui, sans-serif`;
    group.places.forEach((place) => drawPlace(pen, place, width, height, unit));
    canvas.toBlob((blob) => download(blob, `image-${group.number}-places.png`), "image/png");
  }

  function drawPlace(pen, place, width, height, unit) {
    const numbers = pixels(place, width, height), colour = colourOf(place), { x, y } = bounds({ numbers });
    const path = new Path2D();
    if (place.kind === "box") path.rect(numbers[0], numbers[1], numbers[2] - numbers[0], numbers[3] - numbers[1]);
    else if (place.kind === "point") path.arc(numbers[0], numbers[1], 3 * unit, 0, 7);
    else {
      for (let at = 0; at < numbers.length; at += 2) path.lineTo(numbers[at], numbers[at + 1]);
      path.closePath();
    }
    for (const [style, size] of [["white", 4], [colour, 2]]) {
      Object.assign(pen, { strokeStyle: style, lineWidth: size * unit });
      pen.stroke(path);
    }
    const size = parseInt(pen.font, 10) + 4, wide = pen.measureText(place.name).width + 8;
    const left = Math.max(0, Math.min(x, width - wide)), top = y > size ? y - size : y;
    pen.fillStyle = colour;
    pen.fillRect(left, top, wide, size);
    pen.fillStyle = "white";
    pen.textBaseline = "middle";
    pen.fillText(place.name, left + 4, top + size / 2);
  }

  function colourOf(place) {
    const probe = document.querySelector(`.box-label.box-colour-${place.colour}`);
    return getComputedStyle(probe).backgroundColor;
  }

  // --- names and shapes show each other --------------------------------------------------------------------------
  const linked = (target) => target?.closest?.(".conversation [data-mark]");

  function show(message, mark) {
    message.classList.toggle("box-showing", mark !== null);
    message.querySelectorAll("[data-mark]").forEach((element) => {
      const on = mark !== null && element.dataset.mark === mark;
      element.classList.toggle("box-on", on);
      if (element.matches("[role=button], button")) element.setAttribute("aria-pressed", String(on));
    });
  }

  const kept = new WeakMap(); // message -> the mark that was tapped
  const look = (event, on) => {
    const element = linked(event.target), message = element?.closest(".ms-gr-pro-chatbot-message");
    if (message) show(message, on ? element.dataset.mark : kept.get(message) ?? null);
  };
  document.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") look(event, true); });
  document.addEventListener("pointerout", (event) => { if (event.pointerType === "mouse") look(event, false); });
  document.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) look(event, true); });
  document.addEventListener("focusout", (event) => look(event, false));

  function tap(element) {
    const message = element.closest(".ms-gr-pro-chatbot-message"), mark = element.dataset.mark;
    kept.set(message, kept.get(message) === mark ? null : mark);
    show(message, kept.get(message));
    if (kept.get(message) !== null && element.matches(".box-name")) {
      message.querySelector(`.box-figure [data-mark="${mark}"]`)?.closest("figure")?.scrollIntoView({ block: "nearest" });
    }
  }
  document.addEventListener("click", (event) => { const element = linked(event.target); if (element) tap(element); });
  document.addEventListener("keydown", (event) => {
    if (!["Enter", " "].includes(event.key) || !event.target.matches?.(".box-name[data-mark]")) return;
    event.preventDefault();
    tap(event.target);
  });
})();
