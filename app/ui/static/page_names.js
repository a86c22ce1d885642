"use strict";
// Names for what the chat components show as icons alone, in the page's language.
(() => {
  const say = window.pageSay;

  const NAMES_BY_ICON = { // keys of texts
    "arrow-up": "send",
    link: "attach",
    copy: "copy",
    check: "save",
    edit: "edit",
    like: "like",
    dislike: "dislike",
    delete: "delete",
    close: "cancel",
    "close-circle": "remove",
    plus: "add_files",
    left: "back",
    right: "forward",
    down: "scroll",
    eye: "open",
  };

  const EDITING = ".ms-gr-pro-chatbot-message-footer-editing"; // elsewhere a tick says that something was copied

  const name = (element, label) => {
    if (element.getAttribute("aria-label") !== label) element.setAttribute("aria-label", label);
  };

  function nameButtons() {
    // Rendered Markdown names its own, and a long answer with code has thousands of them.
    document.querySelectorAll(":is(.conversation, .message-box, .ms-gr-pro-chatbot, .ms-gr-pro-multimodal-input) "
      + ":is(button, a[role=button], a.ms-gr-ant-btn, .ms-gr-ant-file-card-list-remove):not(.prose *)").forEach(nameButton);
    document.querySelectorAll(".ms-gr-pro-multimodal-input .ms-gr-ant-sender-header-close button")
      .forEach((button) => name(button, say("close")));
    document.querySelectorAll(".ms-gr-pro-multimodal-input textarea")
      .forEach((box) => name(box, box.getAttribute("placeholder") || ""));
  }

  // The examples of an empty conversation are no buttons by themselves.
  function namePrompts() {
    document.querySelectorAll(".conversation .ms-gr-ant-prompts-item:not([role])").forEach((item) => {
      item.setAttribute("role", "button");
      item.tabIndex = 0;
    });
  }
  document.addEventListener("keydown", (event) => {
    if (!["Enter", " "].includes(event.key) || !event.target.matches?.(".ms-gr-ant-prompts-item")) return;
    event.preventDefault();
    event.target.click();
  });

  // "range slider for Temperature" is Gradio's; the slider is called like its label.
  function nameSliders() {
    document.querySelectorAll("input[type=range][aria-label^='range slider for ']")
      .forEach((slider) => name(slider, slider.getAttribute("aria-label").slice("range slider for ".length)));
  }

  function nameButton(button) {
    if (button.className.includes("loading-button")) return name(button, say("stop"));
    if (button.querySelector(":scope > button")) return name(button, say("copy")); // a wrapper of the copy button
    const icon = button.querySelector("[role=img][aria-label]");
    const label = icon && NAMES_BY_ICON[icon.getAttribute("aria-label")];
    const copied = label === "save" && !button.closest(EDITING);
    if (label && !button.textContent.trim()) name(button, say(copied ? "copied" : label));
    if (button.classList.contains("ms-gr-ant-file-card-list-remove")) {
      button.setAttribute("role", "button");
      button.tabIndex = 0;
    }
  }

  window.page.watch(() => {
    nameButtons();
    nameSliders();
    namePrompts();
  });
})();
