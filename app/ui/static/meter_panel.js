"use strict";
// Asks the server what a message would take, a moment after it or the conversation has changed, in the tab that is open;
// and the buttons that fit.
(() => {
  const PAUSE = 450; // ms
  const busy = () => !!window.pageDom?.busy(); // its script comes later
  const text = (fields) => document.querySelector(`${fields} textarea`)?.value || "";
  const count = (selector) => document.querySelectorAll(selector).length;
  const STAYING = ".ms-gr-ant-file-card-list-item:not([class*=motion-leave])"; // one taken away may stay a while
  const files = () => count(`.message-box ${STAYING} [class*=attachment-list-card-status-done]`)
    + Number(document.querySelector(".message-box .ms-gr-ant-badge-count")?.title || 0); // those of a draft are folded
  const choices = () => [...document.querySelectorAll(".bench")].map((bench) => bench.dataset.choice);
  const TURNS = ".ms-gr-pro-chatbot-message, .ms-gr-pro-chatbot-message-footer"; // a stopped answer ends after the button

  /** Of a line: the name of its call, the fields that a message is written in, what is attached there, and its details. */
  function follow(name, fields, attached, details = () => []) {
    const host = () => document.querySelector(`.meter-${name}`);
    const open = () => {
      const panel = host()?.closest("[role=tabpanel]");
      return !!panel && panel.style.display !== "none";
    };
    const filled = () => !!(text(fields) || attached());
    const shown = () => !!host()?.querySelector(".meter, .meter-over");
    // What was measured of a message that is gone; the answer may come after the one that there is nothing.
    const stale = () => !filled() && !!host()?.querySelector(".meter:not(.meter-left-out), .meter-over");
    const state = () => JSON.stringify([open(), text(fields), attached(), details(), count(TURNS), busy(), stale()]);
    const call = () => ({ text: text(fields) }); // what the component knows of it may be older
    (window.meterCalls ||= {})[`measure-${name}`] = () => JSON.stringify(call());
    let timer = 0, last = state();
    function ask() {
      clearTimeout(timer);
      timer = setTimeout(() => { // nothing is measured while an answer is written: its end is a change
        if (open() && (filled() ? !busy() : shown())) window.callPage(`measure-${name}`, call());
      }, PAUSE);
    }
    function look() {
      const now = state();
      if (now === last) return;
      last = now;
      ask();
    }
    document.addEventListener("input", (event) => {
      if (event.target.closest?.(fields)) look();
      else if (event.target.closest?.(".side-column") && filled()) ask();
    }, true);
    window.addEventListener("pagelanguage", () => { if (host()?.querySelector(".meter")) ask(); });
    window.page.watch(look);
  }
  follow("chat", ".message-box", files, choices);
  follow("shots", ".few-shot", () => document.querySelector(".few-shot img")?.src || 0);

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button.fix");
    if (!button) return;
    const [, kind, value] = button.className.match(/fix--(\w+?)--(\d+)/) || [];
    window.callPage("fix", { kind, value: Number(value) });
    if (kind !== "retry") button.setAttribute("aria-pressed", "true");
  });
})();
