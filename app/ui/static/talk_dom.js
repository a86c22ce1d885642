"use strict";
// Small helpers of the scripts that keep and show conversations.
window.pageDom = {
  make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick" || name === "oninput" || name === "onkeydown") element[name] = value;
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  },
  button(label, text, onclick, attributes = {}) {
    return window.pageDom.make("button", { type: "button", "aria-label": label, title: label, onclick, ...attributes }, text);
  },
  dialog(title, ...content) { // Esc closes it, and the focus goes back where it was
    const { make, button } = window.pageDom;
    const box = make("dialog", { class: "page-dialog", "aria-label": title });
    box.append(make("header", {}, make("h2", {}, title), button(window.pageSay("close"), "✕", () => box.close())), ...content);
    box.addEventListener("close", () => box.remove());
    box.addEventListener("click", (event) => { if (window.pageDom.beside(box, event)) box.close(); });
    window.pageDom.place().append(box);
    box.showModal();
    return box;
  },
  beside: (() => { // whether a click began and ended outside of a dialog; a drag that selects text ends anywhere
    let pressed = null;
    document.addEventListener("pointerdown", (event) => { pressed = event; }, true);
    const outside = (box, event) => {
      const { left, right, top, bottom } = box.getBoundingClientRect();
      return event?.target === box
        && (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom);
    };
    return (box, event) => outside(box, pressed) && outside(box, event);
  })(),
  // Within @media Gradio's style sheets hold for what is in here alone.
  place: () => document.querySelector(".gradio-container .contain") || document.body,
  composing: (event) => event.isComposing || event.keyCode === 229, // Enter then ends a word, of Chinese for one
  busy: () => !!document.querySelector(".ms-gr-ant-sender-actions-btn-loading-button"),
  api(path) { // an address of the server's own, behind whatever proxy
    const { root = "", api_prefix = "/gradio_api" } = window.gradio_config || {};
    return `${root}${api_prefix}/${path}`;
  },
  until(condition, patience = 15000) {
    return new Promise((resolve) => {
      const end = performance.now() + patience;
      const look = () => (condition() || performance.now() > end ? resolve() : setTimeout(look, 30));
      look();
    });
  },
};
