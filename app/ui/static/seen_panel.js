"use strict";
// "What the model saw": a button under each answer, and the dialog that it opens.
(() => {
  const EYE = '<svg viewBox="0 0 24 24" width="14" height="14" aria-hidden="true" fill="none" stroke="currentColor" '
    + 'stroke-width="2"><path d="M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12z"/><circle cx="12" cy="12" r="3"/></svg>';
  const bubbles = () => [...document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message")];
  let opener = null;

  // To bridge.py, whose button takes the call with it.
  window.pageCalls = {};
  window.callPage = (name, values) => {
    window.pageCalls[name] = JSON.stringify(values);
    document.querySelector(`button.bridge-${name}, .bridge-${name} button`)?.click();
  };

  function addButtons() {
    for (const footer of document.querySelectorAll(
      ".conversation .ms-gr-ant-bubble-start .ms-gr-pro-chatbot-message-footer > .ms-gr-ant-flex > div:first-child")) {
      if (footer.querySelector(":scope > .seen-open")) continue;
      const label = window.pageSay("saw"), button = document.createElement("button");
      button.type = "button";
      button.className = "seen-open";
      button.innerHTML = EYE;
      button.setAttribute("aria-label", label);
      button.title = label;
      footer.append(button);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".seen-open");
    if (button) {
      opener = button;
      button.setAttribute("aria-busy", "true");
      window.callPage("seen", { index: bubbles().indexOf(button.closest(".ms-gr-pro-chatbot-message")) });
    }
    const dialog = event.target.closest?.("dialog.seen");
    if (dialog && (event.target.closest(".seen-close") || window.pageDom.beside(dialog, event))) dialog.close();
  });

  window.seenAnswered = () => // there may be no dialog: an error said why
    document.querySelectorAll(".seen-open[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));

  function openDialog() {
    const dialog = document.querySelector(".seen-host dialog.seen:not([data-shown])");
    if (!dialog) return;
    dialog.dataset.shown = "";
    dialog.onclose = () => { // Gradio may have put the new dialog into the old one
      dialog.replaceChildren(); // pictures take memory
      opener?.focus();
    };
    dialog.showModal();
  }

  window.page.watch(() => { addButtons(); openDialog(); });
})();
