"use strict";
// What the page's scripts share: words in the user's language, copying, telling, and looking at what has changed.
window.page = (() => {
  const text = window.pageSay;

  /** An element: make("button", {class: "x", "aria-label": "y"}, "text" or children). */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "rect", "polygon", "path", "g"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // Looking takes a while where a long answer is on the page, which changes ten times a second while it is written.
  const REST = 5; // times as long as looking took, until the next look
  const LONGEST = 500; // ms
  const watchers = [];
  let planned = false, rest = 0;
  function look() {
    const began = performance.now();
    planned = false;
    for (const watcher of watchers) {
      try { watcher(); } catch (error) { reportError(error); } // the others look all the same
    }
    rest = Math.min(LONGEST, REST * (performance.now() - began));
  }
  new MutationObserver(() => {
    if (planned) return;
    planned = true;
    setTimeout(() => requestAnimationFrame(look), rest);
  }).observe(document.documentElement, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["class", "data-number"],
  });
  /** Call a function now and, at most once per frame, whenever the page's elements have changed. */
  const watch = (watcher) => { watchers.push(watcher); watcher(); };

  async function copy(words) {
    if (navigator.clipboard) return navigator.clipboard.writeText(words);
    const area = make("textarea", { style: "position: fixed; opacity: 0" }); // a page without https has no clipboard
    area.value = words;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  function download(blob, name) {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  return { text, make, watch, copy, download };
})();
