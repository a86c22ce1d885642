"use strict";
// Editing a message: the component keeps what was typed by place alone and mixes messages up, so it is told to cancel,
// and the server gets what stands in the text areas.
(() => {
  const EDITING = ".ms-gr-pro-chatbot-message-footer-editing";

  document.addEventListener("click", (event) => {
    const footer = event.target.closest?.(EDITING);
    if (!footer || !event.target.closest("button")?.querySelector(".anticon-check")) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    const message = footer.closest(".ms-gr-pro-chatbot-message");
    const index = [...document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message")].indexOf(message);
    const texts = [...message.querySelectorAll("textarea")].map((one) => one.value);
    footer.querySelector(".anticon-close")?.closest("button").click();
    if (message.matches(".ms-gr-ant-bubble-end")) window.dispatchEvent(new Event("pageasked"));
    window.callPage("edit", { index, texts });
  }, true);
})();
