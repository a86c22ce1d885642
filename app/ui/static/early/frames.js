"use strict";
// Gradio's loading screen counts its seconds frame by frame, and goes on when it is gone, for as long as the page is
// open: a tenth of a slow core, and a browser that never rests. Who asked for frames before the page was there, and has
// asked in each frame since, gets no more of them some seconds after.
(() => {
  const STAY = 5000; // ms, for what an element does as it comes up
  const request = window.requestAnimationFrame.bind(window);
  let row = null; // the row of frames, each asked for in the one before, that the running one belongs to
  let there = null; // ms, when the page was first seen

  function isThere() {
    if (there === null && document.querySelector(".message-box")) there = performance.now();
    return there !== null;
  }

  window.requestAnimationFrame = (callback) => {
    const own = row ?? { early: !isThere() };
    if (own.early && isThere() && performance.now() - there > STAY) return 0;
    return request((time) => {
      const before = row;
      row = own;
      try { callback(time); } finally { row = before; }
    });
  };
})();
