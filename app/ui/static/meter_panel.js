"use strict";
// Asks the server what the message would take, a moment after it or the conversation has changed; and the buttons that
// fit.
(() => {
  const PAUSE = 450; // ms
  let timer = 0;
  const busy = () => !!window.pageDom?.busy(); // its script comes later
  const text = () => document.querySelector(".message-box textarea")?.value || "";
  const count = (selector) => document.querySelectorAll(selector).length;
  const STAYING = ".ms-gr-ant-file-card-list-item:not([class*=motion-leave])"; // one taken away may stay a while
  const files = () => count(`.message-box ${STAYING} [class*=attachment-list-card-status-done]`)
    + Number(document.querySelector(".message-box .ms-gr-ant-badge-count")?.title || 0); // those of a draft are folded
  const choices = () => [...document.querySelectorAll(".bench")].map((bench) => bench.dataset.choice);
  const TURNS = ".ms-gr-pro-chatbot-message, .ms-gr-pro-chatbot-message-footer"; // a stopped answer ends after the button
  const state = () => JSON.stringify([text(), files(), choices(), count(TURNS), busy()]);
  const shown = () => !!document.querySelector(".meter-host :is(.meter, .meter-over)");
  function ask() {
    clearTimeout(timer);
    timer = setTimeout(() => { // nothing is measured while an answer is written: its end is a change
      if (text() || files() ? !busy() : shown()) window.callPage("measure", {});
    }, PAUSE);
  }
  let last = state();
  function look() {
    const now = state();
    if (now === last) return;
    last = now;
    ask();
  }
  document.addEventListener("input", (event) => {
    if (event.target.closest?.(".message-box")) look();
    else if (event.target.closest?.(".side-column") && (text() || files())) ask();
  }, true);
  window.addEventListener("pagelanguage", () => { if (document.querySelector(".meter-host .meter")) ask(); });
  window.page.watch(look);

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button.fix");
    if (!button) return;
    const [, kind, value] = button.className.match(/fix--(\w+?)--(\d+)/) || [];
    window.callPage("fix", { kind, value: Number(value) });
    if (kind !== "retry") button.setAttribute("aria-pressed", "true");
  });
})();
