"use strict";
// Copies of an answer are what the model wrote.
(() => {
  const JOINER = /\u2060/g; // put into model text by escape.py; never part of what is copied

  if (navigator.clipboard) {
    const write = navigator.clipboard.writeText.bind(navigator.clipboard);
    navigator.clipboard.writeText = (text) => write(text.replace(JOINER, ""));
  }
  document.addEventListener("copy", (event) => {
    const text = String(document.getSelection());
    if (text.search(JOINER) < 0 || !event.clipboardData) return;
    event.clipboardData.setData("text/plain", text.replace(JOINER, ""));
    event.preventDefault();
  });
})();
