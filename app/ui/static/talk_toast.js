"use strict";
// A line at the foot of the page that goes by itself, with a button to take something back.
(() => {
  const { make, place } = window.pageDom;
  const STAY = 10000; // ms
  window.pageToast = (text, action = null) => {
    document.querySelectorAll(".page-toast").forEach((old) => old.finish());
    let over = false;
    const toast = make("div", { class: "page-toast" }, make("span", {}, text));
    const end = (taken) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      toast.remove();
      if (!taken) action?.gone?.();
    };
    toast.finish = () => end(false);
    if (action) {
      toast.append(make("button", { type: "button", onclick: () => { action.undo(); end(true); } }, action.label));
    }
    const timer = setTimeout(() => end(false), STAY);
    place().append(toast);
    window.pageAnnounce("status", text);
  };
})();
