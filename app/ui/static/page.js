"use strict";
// What the chat components leave out: names for icon buttons, an attachment panel that opens and closes by itself,
// numbers on attachments, and text typed during an upload. Labels follow the page's language.
(() => {
  const say = window.pageSay;
  const JOINER = /\u2060/g; // put into model text by escape.py; never part of what is copied

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

  // --- attachments -------------------------------------------------------------------------------------------
  const box = () => document.querySelector(".ms-gr-pro-multimodal-input");
  const cards = (root) => [...root.querySelectorAll(".ms-gr-ant-sender-header .ms-gr-ant-file-card-list-item")];
  const isVideo = (card) => /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|ts|flv|wmv|ogv)$/i.test(
    card.querySelector("img")?.alt || card.textContent.trim()) || !!card.querySelector("video");
  const SENDER = ".ms-gr-ant-sender-actions-btn:not([class*=loading-button])"; // else it is Stop
  const isReopening = () => document.body.classList.contains("talk-reopening"); // by talk_reopen.js
  const isAnswering = () => isReopening() || window.pageDom.busy(); // its script comes later
  let feeding = false;
  const UPLOADING = "[class*=status-uploading], .ms-gr-ant-file-card-loading";
  // The component takes no file while one is on its way, before its card is drawn too.
  const isTaking = () => !isAnswering() && !!box()?.querySelector(".ms-gr-ant-attachment-placeholder-disabled");
  const isDrawn = () => [...box()?.querySelectorAll(UPLOADING) || []]
    .some((part) => !part.closest("[class*=motion-leave]")); // a card taken away may stay a while
  const isUploading = () => feeding || isReopening() || isTaking() || isDrawn();
  const attachButton = () => box()?.querySelector(".anticon-link")?.closest("button");
  const isOpen = () => !!box()?.querySelector(".ms-gr-ant-sender-header:not([style*='none']) .ms-gr-ant-sender-header-header");

  function numberCards() {
    const root = box();
    if (!root) return;
    const counts = { image: 0, video: 0 };
    for (const card of cards(root)) {
      const kind = isVideo(card) ? "video" : "image";
      const label = `[${window.pageSay(`${kind}_number`, { number: ++counts[kind] })}]`;
      if (card.dataset.number !== label) card.dataset.number = label;
    }
  }

  document.addEventListener("keydown", (event) => { // the component hears clicks alone
    const remove = event.target.closest?.(".ms-gr-ant-file-card-list-remove");
    if (!remove || !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    remove.click();
    box()?.querySelector("textarea")?.focus();
  });

  const openPanel = () => { if (!isOpen()) attachButton()?.click(); };
  window.openAttachments = openPanel;
  // Once per message: while the panel folds up it still looks open, and a second click would open it again. By the
  // call that carries the files: an answer of two words may come and go before the page is drawn.
  let filesSent = false;
  function closePanelAfterSend() {
    const placeholder = box()?.querySelector(".ms-gr-ant-attachment-placeholder");
    if (!filesSent || (placeholder && placeholder.style.display === "none")) return; // the files are still there
    filesSent = false;
    if (isOpen()) attachButton()?.click();
  }

  // An answer of two words may come before the component has caught up: it then goes on showing what was sent. The
  // server empties the box if it holds what was answered.
  let textSent = ""; // until the user types
  let lastSent = "";
  function askEmptied(tries) {
    const left = filesSent || (textSent && box()?.querySelector("textarea")?.value === textSent);
    if (!left || !tries) return;
    const busy = isAnswering();
    if (!busy) window.callPage("settle", {});
    setTimeout(() => askEmptied(busy ? tries : tries - 1), 1500);
  }
  document.addEventListener("input", (event) => {
    if (event.isTrusted && box()?.contains(event.target)) textSent = "";
  }, true);

  // Several files chosen at once reach the component as one event per file, which race each other on a slow machine
  // and may leave all of them at 0 %. So they are handed over one after another.
  const arrived = () => box()?.querySelectorAll("[class*=attachment-list-card-status-done]").length || 0;
  const until = (condition, patience = 120000) => new Promise((resolve) => {
    const end = performance.now() + patience;
    const look = () => (condition() || performance.now() > end ? resolve() : setTimeout(look, 20));
    look();
  });
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (feeding || input.type !== "file" || !box()?.contains(input)) return;
    if (!(input.files.length > 1) && !isAnswering()) return; // while an answer is written the component takes none
    event.stopImmediatePropagation();
    feed([...input.files]);
  }, true);

  const pause = () => new Promise((resolve) => setTimeout(resolve, 100));
  const chooser = () => box()?.querySelector("input[type=file]");
  async function feed(files) {
    while (feeding || isAnswering()) await pause();
    feeding = true;
    for (const file of files) {
      while (isAnswering()) await pause();
      const before = arrived(), lost = uploadsLost, one = new DataTransfer();
      one.items.add(file);
      await until(chooser);
      const input = chooser(); // a new one after every upload
      input.files = one.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      await until(() => arrived() > before || uploadsLost > lost);
    }
    feeding = false;
    refresh();
  }

  /** Attach files that did not come through the chooser, in their order. */
  window.attachFiles = (files) => {
    openPanel();
    box()?.querySelector("textarea")?.focus({ preventScroll: true });
    return feed([...files]);
  };

  const acceptMedia = () => box()?.querySelectorAll("input[type=file]:not([accept])")
    .forEach((input) => { input.accept = "image/*,video/*"; }); // a phone then offers its photos

  const carriesFiles = (event) => [...(event.clipboardData || event.dataTransfer)?.types || []].includes("Files");
  document.addEventListener("dragenter", (event) => { if (carriesFiles(event)) openPanel(); });
  document.addEventListener("paste", (event) => {
    if (!carriesFiles(event) || !box()) return;
    if (box().contains(event.target)) return openPanel();
    if (!box().checkVisibility() || event.target.closest?.("input, textarea, [contenteditable], dialog")) return;
    event.preventDefault();
    window.attachFiles(event.clipboardData.files); // a screenshot is meant for the message wherever the focus is
  });

  // --- text typed while files upload: the component puts the older text back when they have arrived -----------
  let typed = null;
  document.addEventListener("input", (event) => {
    if (event.isTrusted && isUploading() && box()?.contains(event.target)) typed = event.target.value;
  }, true);

  function restoreTyped() {
    if (typed === null || isUploading()) return;
    const text = typed, area = box()?.querySelector("textarea");
    typed = null;
    setTimeout(() => {
      if (!area || area.value === text) return;
      setText(area, text);
    }, 50);
  }

  function setText(area, text) { // past React, which then hears of it
    written.set.call(area, text);
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // A message sent before its files have arrived would go without them: it waits, and goes when they are here.
  let wanted = false;
  const isSending = (event) => event.key === "Enter" && !event.shiftKey && event.target.tagName === "TEXTAREA"
    && !window.pageDom.composing(event);
  const hold = (event) => { event.preventDefault(); event.stopImmediatePropagation(); wanted = true; };
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !box()?.contains(event.target)) return;
    if (window.pageDom.composing(event)) event.stopImmediatePropagation(); // in Safari the component would send
    else if (isSending(event) && isUploading()) hold(event);
  }, true);
  document.addEventListener("click", (event) => {
    if (isUploading() && event.target.closest?.(SENDER)) hold(event);
  }, true);

  function sendWanted() {
    if (!wanted || isUploading()) return;
    wanted = false;
    setTimeout(() => press(20), 200); // behind restoreTyped
  }

  // Until the component has caught up with the text and the files, a click does nothing or sends less than is shown:
  // it counts once the message has left the page.
  let outgoing = "";
  const post = window.fetch;
  window.fetch = (resource, options) => {
    const address = String(resource?.url || resource);
    if (/\/upload(\?|$)/.test(address)) return upload(resource, options);
    let body = String(options?.body || "");
    if (address.includes("/queue/data")) return listen(resource, options);
    if (!address.includes("/queue/join")) return post(resource, options);
    if (!fromScript(body)) {
      const answering = mayAnswer(body);
      if (answering && meant) {
        body = inFull(body);
        options = { ...options, body };
      }
      outgoing += body;
      const text = box()?.querySelector("textarea")?.value || "";
      if (answering) {
        window.dispatchEvent(new Event("pageasked"));
        textSent = lastSent = body.includes(quoted(text)) ? text : "";
      }
      if (body.includes('"files":[{')) filesSent = true;
      if (filesSent || textSent) setTimeout(() => askEmptied(5), 1500);
    }
    return join(resource, options);
  };

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

  // What Gradio hears of a call before the reply to it is put together, each step changing the one before in place: that
  // the box is empty and the button is Stop, which the first step alone says, would be lost. So it hears it afterwards.
  const SOON = 30, LATE = 2000; // ms: for the reply to be read; for a reply to hold others up
  let joining = 0;
  async function join(resource, options) {
    joining += 1;
    try {
      const answer = await post(resource, options);
      return new Response(await answer.text(), answer);
    } finally {
      setTimeout(() => { joining -= 1; }, SOON);
    }
  }
  async function listen(resource, options) {
    const answer = await post(resource, options);
    if (!answer.ok || !answer.body) return answer;
    const reader = answer.body.getReader(), held = [];
    const read = async (out) => {
      const pass = () => held.splice(0).forEach((chunk) => out.enqueue(chunk));
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        held.push(value);
        if (joining) until(() => !joining, LATE).then(pass); else pass();
      }
      // At once: the server has ended it before it knew of the call, whose reply must find that there is no stream.
      pass();
      out.close();
    };
    const body = new ReadableStream({
      start(out) { read(out).catch((error) => { held.length = 0; out.error(error); }); },
      cancel: (reason) => { held.length = 0; return reader.cancel(reason); },
    });
    return new Response(body, answer);
  }
  // A file that is too large or whose connection broke: the component would show it as on its way for ever.
  let uploadsLost = 0;
  async function upload(resource, options) {
    const answer = await post(resource, options).catch((error) => { setTimeout(loseUpload, 100); throw error; });
    if (!answer.ok) setTimeout(loseUpload, 100);
    // The card is drawn once there is a preview: one that came behind the file would put it back to 0 %.
    else await Promise.race([until(() => !isTaking() || isDrawn(), PREVIEW), unseen(options?.body)]);
    return answer;
  }
  const PREVIEW = 5000; // ms
  async function unseen(body) { // at once where this browser can show none of the files: there will be no preview
    for (const file of body?.getAll?.("files") || []) {
      const image = await createImageBitmap(file).catch(() => null);
      if (!image) continue;
      image.close();
      return until(() => false, PREVIEW);
    }
  }
  async function loseUpload() {
    wanted = false;
    window.pageToast(say("upload_failed"));
    await until(isDrawn, PREVIEW); // on a slow machine the card comes after the refusal
    uploadsLost += 1;
    box()?.querySelectorAll("[class*=status-uploading]").forEach((card) => {
      card.closest(".ms-gr-ant-file-card-list-item")?.querySelector(".ms-gr-ant-file-card-list-remove")?.click();
    });
  }
  function mayAnswer(body) { // Send, Regenerate, Retry, an edit: what changes the conversation
    const { components, dependencies } = window.gradio_config;
    const [, called] = body.match(/"fn_index":\s*(\d+)/) || [];
    const chatbot = components.find(({ props }) => props.elem_classes?.includes("conversation"));
    return !!dependencies.find(({ id }) => id === Number(called))?.outputs.includes(chatbot?.id);
  }
  const quoted = (text) => JSON.stringify(text).slice(1, -1);
  // Our own calls, the meter's for one, carry what stands in the message box too.
  const fromScript = (body) => {
    const [, trigger] = body.match(/"trigger_id":\s*(\d+)/) || [];
    return window.gradio_config.components
      .some(({ id, props }) => id === Number(trigger) && props.elem_classes?.includes("page-bridge"));
  };
  function press(tries) {
    if (isUploading()) { wanted = true; return; }
    const text = box()?.querySelector("textarea")?.value;
    const message = text ? quoted(text) : '"files":[{';
    outgoing = "";
    if (text) mean(text);
    box()?.querySelector(SENDER)?.click();
    setTimeout(() => {
      const waiting = !outgoing.includes(message) && box()?.querySelector("textarea")?.value === text;
      if (waiting && tries > 1) press(tries - 1);
    }, 500);
  }

  // On a page that has just come up, Enter or a click on Send may do nothing, or no more than empty the box. What was
  // written is put back then and sent, unless the user has done something since.
  const LOST = 1500; // ms after which a message that has not left will not leave
  let deeds = 0; // of the user
  ["keydown", "pointerdown", "input"].forEach((kind) => document.addEventListener(kind, (event) => {
    if (event.isTrusted) deeds += 1;
  }, true));
  function seeSent() {
    const text = box()?.querySelector("textarea")?.value || "", known = deeds;
    if (!text.trim() || isAnswering()) return;
    outgoing = "";
    mean(text);
    setTimeout(() => {
      const area = box()?.querySelector("textarea");
      if (!area || deeds !== known || wanted || isAnswering() || outgoing.includes(quoted(text.trim()))) return;
      if (!area.value) setText(area, text);
      if (area.value === text) press(5);
    }, LOST);
  }
  document.addEventListener("keydown", (event) => {
    if (event.isTrusted && box()?.contains(event.target) && isSending(event)) seeSent();
  }, true);
  document.addEventListener("click", (event) => {
    if (event.isTrusted && event.target.closest?.(SENDER)) seeSent();
  }, true);

  // --- editing: the component keeps what was typed by place alone and mixes messages up, so it is told to cancel, and
  // the server gets what stands in the text areas -------------------------------------------------------------------
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

  // --- keystrokes: the component's own echo of an older text would overwrite what was typed since ---------------
  const ECHO = 5000; // ms within which an older text is an echo and no new value, on a busy machine too
  const CLEARING = 10000; // the same after Clear history and New conversation, answered late on a busy machine
  const written = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value");
  const recent = new Map(); // text that was typed -> when it was replaced by newer typing
  let area = null, latest = "", resync = 0, cleared = -Infinity;
  const patience = () => (performance.now() - cleared < CLEARING ? CLEARING : ECHO);
  document.addEventListener("beforeinput", (event) => { // what stands there may be the server's doing: emptied, say
    if (box()?.contains(event.target) && event.target.tagName === "TEXTAREA") latest = event.target.value;
  }, true);
  document.addEventListener("input", (event) => {
    if (!event.isTrusted || !box()?.contains(event.target) || event.target.tagName !== "TEXTAREA") return;
    const now = performance.now();
    for (const [text, time] of recent) if (now - time > patience()) recent.delete(text);
    recent.set(latest, now);
    if (latest && latest === lastSent) recent.set("", now); // it has still to be emptied of what was sent
    area = event.target;
    latest = area.value;
    recent.delete(latest);
  }, true);
  const forget = () => { recent.clear(); cleared = -Infinity; }; // what comes after a click or Enter is meant
  document.addEventListener("keydown", (event) => { if (isSending(event)) forget(); }, true);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.(".page-bridge")) forget(); // our own calls to the server happen while the user types
    if (event.target.closest?.(".clear-history, .talk-act")) cleared = performance.now();
  }, true);
  Object.defineProperty(HTMLTextAreaElement.prototype, "value", {
    ...written,
    set(text) {
      const replaced = this === area && text !== written.get.call(this) ? recent.get(text) : undefined;
      if (replaced === undefined || performance.now() - replaced > patience()) return written.set.call(this, text);
      clearTimeout(resync); // React now believes the older text: tell it what stands there
      resync = setTimeout(() => this.dispatchEvent(new Event("input", { bubbles: true })), 100);
    },
  });

  // --- copies are what the model wrote -------------------------------------------------------------------------
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

  function refresh() {
    nameButtons();
    nameSliders();
    namePrompts();
    numberCards();
    acceptMedia();
    closePanelAfterSend();
    restoreTyped();
    sendWanted();
  }
  window.page.watch(refresh);
})();
