"use strict";
// Asks the server what the message would take, a moment after the user has stopped typing; and the buttons that fit.
(() => {
  const PAUSE = 450; // ms
  let timer = 0, last = "";
  const box = () => document.querySelector(".message-box textarea");
  const cards = () => document.querySelectorAll(".message-box [class*=attachment-list-card-status-done]").length;
  const ask = (always) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const state = JSON.stringify([box()?.value || "", cards(), document.querySelectorAll(".ms-gr-pro-chatbot-message").length]);
      if (!always && state === last) return;
      last = state;
      window.callPage("measure", {});
    }, PAUSE);
  };
  document.addEventListener("input", (event) => {
    if (event.target === box()) ask(false);
    else if (event.target.closest?.(".side-column") && box()?.value + cards()) ask(true);
  }, true);
  window.addEventListener("pagelanguage", () => { if (document.querySelector(".meter-host .meter")) ask(true); });
  let files = 0;
  window.page.watch(() => {
    if (cards() === files) return;
    files = cards();
    ask(false);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button.fix");
    if (!button) return;
    const [, kind, value] = button.className.match(/fix--(\w+?)--(\d+)/) || [];
    window.callPage("fix", { kind, value: Number(value) });
    if (kind !== "retry") {
      button.setAttribute("aria-pressed", "true");
      setTimeout(() => ask(true), PAUSE); // once the option has changed
    }
  });
})();
