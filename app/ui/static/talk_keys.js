"use strict";
// Keyboard: Esc stops, ↑ in the empty box edits the last question, Ctrl+K searches, ? shows all of them.
(() => {
  const { make, dialog, busy, composing } = window.pageDom;
  const say = window.pageSay;
  const mac = /Mac|iP(hone|ad)/.test(navigator.platform);
  const control = mac ? "⌘" : "Ctrl";
  const KEYS = [
    ["key_send", ["Enter"]], ["key_line", ["Shift", "Enter"]], ["key_stop", ["Esc"]], ["key_edit", ["↑"]],
    ["key_search", [control, "K"]], ["key_new", [control, "Shift", "O"]], ["key_help", ["?"]],
  ];
  const OPEN = ".ms-gr-ant-image-preview-mask, .ms-gr-ant-popover:not(.ms-gr-ant-popover-hidden)";

  function show() {
    if (document.querySelector("dialog[open]")) return;
    dialog(say("shortcuts"), make("table", {}, make("tbody", {}, ...KEYS.map(([key, keys]) => make("tr", {},
      make("td", {}, say(key)), make("td", {}, ...keys.flatMap((name, at) => [at ? " + " : "", make("kbd", {}, name)])))))));
  }

  const area = () => document.querySelector(".message-box textarea, .ms-gr-pro-multimodal-input textarea");
  const typing = (target) => target.closest?.("input, textarea, select, [contenteditable=true]");

  function editLast() {
    const questions = document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message.ms-gr-ant-bubble-end");
    const last = [...questions].at(-1);
    const edit = last?.querySelector("[aria-label=edit]")?.closest("button");
    if (!edit || busy()) return false;
    edit.click();
    setTimeout(() => {
      const text = last.querySelector("textarea");
      text?.focus();
      text?.setSelectionRange(text.value.length, text.value.length);
    }, 50);
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (composing(event) || document.querySelector("dialog[open]")) return;
    const command = (mac ? event.metaKey : event.ctrlKey) && !event.altKey;
    const key = event.key.toLowerCase();
    let done = true;
    if (command && !event.shiftKey && key === "k") window.talkList.search();
    else if (command && event.shiftKey && key === "o") window.talks.begin();
    else if (key === "escape" && document.querySelector(OPEN)) done = false; // the component closes it after us
    else if (key === "escape" && window.talkList.escape()) done = false;
    else if (key === "escape" && busy()) document.querySelector(".ms-gr-ant-sender-actions-btn-loading-button")?.click();
    else if (key === "arrowup" && event.target === area() && !event.target.value) done = editLast();
    else if (key === "?" && !typing(event.target)) show();
    else done = false;
    if (done) event.preventDefault();
  });

  window.talkKeys = { show };
})();
