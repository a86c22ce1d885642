"use strict";
// Keystrokes: the component's own echo of an older text would overwrite what was typed since.
(() => {
  const box = () => document.querySelector(".ms-gr-pro-multimodal-input");
  const isTyped = (event) => box()?.contains(event.target) && event.target.tagName === "TEXTAREA";
  const ECHO = 5000; // ms within which an older text is an echo and no new value, on a busy machine too
  const CLEARING = 10000; // the same after Clear history and New conversation, answered late on a busy machine
  const written = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value");
  const recent = new Map(); // text that was typed -> when it was replaced by newer typing
  let area = null, latest = "", sent = "", resync = 0, cleared = -Infinity;
  const patience = () => (performance.now() - cleared < CLEARING ? CLEARING : ECHO);
  window.addEventListener("pagesent", (event) => { sent = event.detail; });
  document.addEventListener("beforeinput", (event) => { // what stands there may be the server's doing: emptied, say
    if (isTyped(event)) latest = event.target.value;
  }, true);
  document.addEventListener("input", (event) => {
    if (!event.isTrusted || !isTyped(event)) return;
    const now = performance.now();
    for (const [text, time] of recent) if (now - time > patience()) recent.delete(text);
    recent.set(latest, now);
    if (latest && latest === sent) recent.set("", now); // it has still to be emptied of what was sent
    area = event.target;
    latest = area.value;
    recent.delete(latest);
  }, true);
  const forget = () => { recent.clear(); cleared = -Infinity; }; // what comes after a click or Enter is meant
  document.addEventListener("keydown", (event) => { if (window.page.sends(event)) forget(); }, true);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.(".page-bridge")) forget(); // our own calls to the server happen while the user types
    if (event.target.closest?.(".clear-history, .talk-act")) cleared = performance.now();
  }, true);
  Object.defineProperty(HTMLTextAreaElement.prototype, "value", {
    ...written,
    set(text) {
      const replaced = this === area && text !== written.get.call(this) ? recent.get(text) : undefined;
      if (replaced === undefined || performance.now() - replaced > patience()) return written.set.call(this, text);
      clearTimeout(resync); // React now believes the older text: tell it what stands there
      resync = setTimeout(() => this.dispatchEvent(new Event("input", { bubbles: true })), 100);
    },
  });

  /** Put a text into a text area, past React, which then hears of it. */
  window.setTyped = (place, text) => {
    written.set.call(place, text);
    place.dispatchEvent(new Event("input", { bubbles: true }));
  };
})();
