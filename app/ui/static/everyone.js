"use strict";
// For those who hear the page or use it without a mouse: what is announced, names and roles that the components leave
// out, a way past the list of conversations, and where the focus goes when what had it has gone.
(() => {
  const { text, make, watch } = window.page;
  const busy = () => !!window.pageDom?.busy(); // its script comes later
  const FORGET = 10000; // ms after which an announcement is no longer found by who reads through the page
  const box = () => document.querySelector(".ms-gr-pro-multimodal-input textarea");
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };

  // --- announcements ------------------------------------------------------------------------------------------------
  const regions = {
    status: make("div", { class: "page-heard", role: "status", "aria-live": "polite" }),
    alert: make("div", { class: "page-heard", role: "alert", "aria-live": "assertive" }),
  };
  const timers = {};
  function announce(kind, words) {
    const region = regions[kind];
    region.replaceChildren(); // the same words twice are heard twice
    clearTimeout(timers[kind]);
    timers[kind] = setTimeout(() => {
      region.textContent = words;
      timers[kind] = setTimeout(() => region.replaceChildren(), FORGET);
    }, 60);
  }

  const standing = () => { // changes with every answer that has come to its end
    const ends = ".ms-gr-pro-chatbot-message-footer, .answer-failed";
    return [...document.querySelectorAll(`.conversation :is(${ends})`)].map((end) => end.textContent).join("\n");
  };
  let answering = false;
  let before = null; // what stood when a question was asked whose answer has not begun yet
  window.addEventListener("pageasked", () => { before = standing(); });
  function hearShort() { // an answer that began and ended between two drawings of the page
    if (before === null || answering || !standing() || standing() === before) return;
    before = null;
    setTimeout(() => announce("status", text(outcome())), 300);
    setTimeout(() => keepFocus(), 50);
  }
  function hearAnswers() {
    if (answering === busy()) return hearShort();
    answering = !answering;
    before = null;
    document.querySelector(".conversation")?.setAttribute("aria-busy", String(answering));
    if (answering) announce("status", text("hear_answering"));
    else setTimeout(() => announce("status", text(outcome())), 300); // its last words are shown after the button
    setTimeout(() => keepFocus(), 50);
  }
  function outcome() {
    const last = [...document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message")].at(-1);
    if (!last || last.matches(".ms-gr-ant-bubble-end")) return "hear_stopped";
    if (last.closest(".answer-failed") || last.querySelector(".answer-failed")) return "hear_failed";
    const footer = last.querySelector(".ms-gr-pro-chatbot-message-footer")?.textContent || "";
    return window.pageTexts.stopped.some((word) => footer.includes(word)) ? "hear_stopped" : "hear_done";
  }

  function hearToasts() { // a live region that comes with its words inside is not heard: ours were there before
    for (const toast of document.querySelectorAll("[data-testid=toast-body]:not([data-heard])")) {
      toast.dataset.heard = "";
      toast.removeAttribute("role");
      toast.removeAttribute("aria-live");
      const header = toast.querySelector(".toast-header"); // a button around a button: the inner one is enough
      header?.removeAttribute("role");
      header?.removeAttribute("tabindex");
      announce("alert", [".toast-title", "[data-testid=toast-text]"]
        .map((part) => toast.querySelector(part)?.innerText.trim()).filter(Boolean).join(": "));
    }
  }

  // --- focus --------------------------------------------------------------------------------------------------------
  const shown = (element) => element?.offsetParent && !element.disabled;
  let deeds = 0; // of the user
  ["keydown", "pointerdown"].forEach((kind) => document.addEventListener(kind, () => { deeds += 1; }, true));
  // The button that was pressed has become another, or is gone. On a slow machine it goes later and the box comes later:
  // looked for again until the user does something.
  function keepFocus(again = 0, known = deeds) {
    if (known !== deeds) return;
    if (again < 20) setTimeout(() => keepFocus(again + 1, known), 100);
    const active = document.activeElement;
    const lost = active === document.body || !active?.isConnected || !active.offsetParent
      || (!again && active.closest(".ms-gr-ant-sender-actions-list"));
    if (!lost || document.querySelector("dialog[open]")) return;
    const next = [box(), ...document.querySelectorAll(".few-shot button.stop, .few-shot button.primary")].find(shown);
    if (next && (next.tagName !== "TEXTAREA" || matchMedia("(pointer: fine)").matches)) next.focus();
  }

  function addSkip() { // anew once the language has changed
    if (document.querySelector(".page-skip")) return;
    const skip = make("a", { class: "page-skip", href: "#" }, text("skip"));
    skip.addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector(".page-tabs [role=tab]")?.click();
      setTimeout(() => box()?.focus(), 50);
    });
    document.body.prepend(skip);
  }

  // --- names and roles ----------------------------------------------------------------------------------------------
  function nameParts() {
    const conversation = document.querySelector(".ms-gr-pro-chatbot");
    if (conversation) {
      set(conversation, "role", "region");
      set(conversation, "aria-label", text("conversation"));
    }
    document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message").forEach((message, index) => {
      const kind = message.matches(".ms-gr-ant-bubble-end") ? "hear_question" : "hear_answer";
      set(message, "role", "article");
      set(message, "aria-label", text(kind, { number: Math.floor(index / 2) + 1 }));
    });
    // The component wraps its copy button into another one, which only passes the click on.
    document.querySelectorAll(".conversation button:has(> button)").forEach((outer) => {
      set(outer, "role", "group");
      set(outer, "tabindex", "-1");
    });
    // Pictures of the examples are buttons that do nothing.
    document.querySelectorAll(".how-to .card button:has(> .image-frame)").forEach((button) => {
      const title = button.closest(".card").querySelector(".card-title")?.textContent.trim() || "";
      set(button, "aria-label", `${text("image")}: ${title}`);
      set(button, "tabindex", "-1");
    });
    // Opened by a click alone elsewhere.
    document.querySelectorAll("[data-testid=block-info] [role=button]:not([tabindex])")
      .forEach((sign) => { sign.tabIndex = 0; });
  }

  const begin = () => {
    document.body.append(regions.status, regions.alert);
    watch(() => { addSkip(); hearAnswers(); hearToasts(); nameParts(); });
  };
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);

  window.pageAnnounce = announce;
})();
