"use strict";
// A page that stays open for longer than the server keeps uploads, which is a day: when it is looked at, its
// conversation is opened again, and what is missing is uploaded again.
(() => {
  const OLD = 6 * 3600000; // ms since it was opened
  const LOOK = 300000; // ms between two looks of a page that stays before the eyes
  const BUSY = ".message-box [class*=status-uploading], .ms-gr-pro-chatbot-message-footer-editing";
  const MARK = "talk-reopening"; // page.js holds back what is sent and attached meanwhile

  async function look() {
    const due = Date.now() - (window.talks?.openedAt() ?? Infinity) > OLD;
    if (!due || document.hidden || document.querySelector(`${BUSY}, .${MARK}`) || window.pageDom.busy()) return;
    document.body.classList.add(MARK);
    try {
      await window.talks.reopen();
    } catch (error) { // of a network that is not back yet nobody has to hear: the next look is another try
      if (error?.name !== "UploadError") window.talks.failed(error);
    } finally {
      document.body.classList.remove(MARK);
    }
  }

  document.addEventListener("visibilitychange", look);
  window.addEventListener("focus", look);
  window.addEventListener("online", look);
  setInterval(look, LOOK);
})();
