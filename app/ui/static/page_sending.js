"use strict";
// Sending a message: whole, once, after its files, and out of the box afterwards.
(() => {
  const { composing, deeds, sends, watch } = window.page;
  const { box, area, isAnswering, isUploading, areLeft } = window.attachments;
  const SENDER = ".ms-gr-ant-sender-actions-btn:not([class*=loading-button])"; // else it is Stop
  const quoted = (text) => JSON.stringify(text).slice(1, -1);
  const shown = () => area()?.value || "";

  // --- what was typed while files upload: the component puts the older text back when they have arrived --------------
  let typed = null;
  document.addEventListener("input", (event) => {
    if (event.isTrusted && isUploading() && box()?.contains(event.target)) typed = event.target.value;
  }, true);
  function restoreTyped() {
    if (typed === null || isUploading()) return;
    const text = typed, place = area();
    typed = null;
    setTimeout(() => { if (place && place.value !== text) window.setTyped(place, text); }, 50);
  }

  // --- a message sent before its files have arrived would go without them: it waits, and goes when they are here ------
  let wanted = false;
  const hold = (event) => { event.preventDefault(); event.stopImmediatePropagation(); wanted = true; };
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !box()?.contains(event.target)) return;
    if (composing(event)) event.stopImmediatePropagation(); // in Safari the component would send
    else if (sends(event) && isUploading()) hold(event);
  }, true);
  document.addEventListener("click", (event) => {
    if (isUploading() && event.target.closest?.(SENDER)) hold(event);
  }, true);
  window.addEventListener("uploadlost", () => { wanted = false; });
  function sendWanted() {
    if (!wanted || isUploading()) return;
    wanted = false;
    setTimeout(() => press(20), 200); // behind restoreTyped
  }

  // --- what leaves the page -------------------------------------------------------------------------------------------
  let outgoing = ""; // since the message was sent
  let textSent = ""; // until the user types
  window.pageWire.whenCalled((body, answering) => {
    const whole = answering && meant ? inFull(body) : body, text = shown();
    outgoing += whole;
    if (answering) {
      window.dispatchEvent(new Event("pageasked"));
      textSent = whole.includes(quoted(text)) ? text : "";
      window.dispatchEvent(new CustomEvent("pagesent", { detail: textSent }));
    }
    if (areLeft() || textSent) setTimeout(() => askEmptied(5), 1500);
    return whole;
  });

  // The component sends the text that it has drawn, which on a busy machine lags behind what was typed.
  const LEAVING = 5000; // ms in which a message leaves
  let meant = null; // {text, time} of what stood in the box when it was sent
  const mean = (text) => { meant = { text, time: performance.now() }; };
  function inFull(body) {
    const { text, time } = meant, call = JSON.parse(body), whole = text.trim();
    meant = null;
    const message = call.data?.find((part) => typeof part?.text === "string" && "files" in part);
    const drawn = message?.text.trim();
    if (!message || drawn === whole || performance.now() - time > LEAVING) return body;
    if (!whole.startsWith(drawn) && !drawn.startsWith(whole)) return body;
    message.text = text;
    return JSON.stringify(call);
  }

  // An answer of two words may come before the component has caught up: it then goes on showing what was sent. The
  // server empties the box if it holds what was answered.
  function askEmptied(tries) {
    if (!(areLeft() || (textSent && shown() === textSent)) || !tries) return;
    const busy = isAnswering();
    if (!busy) window.callPage("settle", {});
    setTimeout(() => askEmptied(busy ? tries : tries - 1), 1500);
  }
  document.addEventListener("input", (event) => {
    if (event.isTrusted && box()?.contains(event.target)) textSent = "";
  }, true);

  // --- a click that does nothing --------------------------------------------------------------------------------------
  // Until the component has caught up with the text and the files, a click does nothing or sends less than is shown:
  // it counts once the message has left the page.
  function press(tries) {
    if (isUploading()) { wanted = true; return; }
    const text = area()?.value;
    const message = text ? quoted(text) : '"files":[{';
    outgoing = "";
    if (text) mean(text);
    box()?.querySelector(SENDER)?.click();
    setTimeout(() => {
      const waiting = !outgoing.includes(message) && area()?.value === text;
      if (waiting && tries > 1) press(tries - 1);
    }, 500);
  }

  // On a page that has just come up, Enter or a click on Send may do nothing, or no more than empty the box. What was
  // written is put back then and sent, unless the user has done something since.
  const LOST = 1500; // ms after which a message that has not left will not leave
  function seeSent() {
    const text = shown(), known = deeds();
    if (!text.trim() || isAnswering()) return;
    outgoing = "";
    mean(text);
    setTimeout(() => {
      const place = area();
      if (!place || deeds() !== known || wanted || isAnswering() || outgoing.includes(quoted(text.trim()))) return;
      if (!place.value) window.setTyped(place, text);
      if (place.value === text) press(5);
    }, LOST);
  }
  document.addEventListener("keydown", (event) => {
    if (event.isTrusted && box()?.contains(event.target) && sends(event)) seeSent();
  }, true);
  document.addEventListener("click", (event) => {
    if (event.isTrusted && event.target.closest?.(SENDER)) seeSent();
  }, true);

  watch(() => {
    restoreTyped();
    sendWanted();
  });
})();
