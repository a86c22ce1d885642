"use strict";
// Attachments of the message: numbered, one after another on their way, a panel that opens and closes by itself.
window.attachments = (() => {
  const { until, watch } = window.page;
  const box = () => document.querySelector(".ms-gr-pro-multimodal-input");
  const area = () => box()?.querySelector("textarea");
  const cards = (root) => [...root.querySelectorAll(".ms-gr-ant-sender-header .ms-gr-ant-file-card-list-item")];
  const isVideo = (card) => /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|ts|flv|wmv|ogv)$/i.test(
    card.querySelector("img")?.alt || card.textContent.trim()) || !!card.querySelector("video");

  // --- where they are -----------------------------------------------------------------------------------------------
  const isReopening = () => document.body.classList.contains("talk-reopening"); // by talk_reopen.js
  const isAnswering = () => isReopening() || window.pageDom.busy(); // its script comes later
  let feeding = false;
  const UPLOADING = "[class*=status-uploading], .ms-gr-ant-file-card-loading";
  // The component takes no file while one is on its way, before its card is drawn too.
  const isTaking = () => !isAnswering() && !!box()?.querySelector(".ms-gr-ant-attachment-placeholder-disabled");
  const isDrawn = () => [...box()?.querySelectorAll(UPLOADING) || []]
    .some((part) => !part.closest("[class*=motion-leave]")); // a card taken away may stay a while
  const isUploading = () => feeding || isReopening() || isTaking() || isDrawn();

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
    area()?.focus();
  });

  // --- the panel ----------------------------------------------------------------------------------------------------
  const attachButton = () => box()?.querySelector(".anticon-link")?.closest("button");
  const isOpen = () => !!box()?.querySelector(".ms-gr-ant-sender-header:not([style*='none']) .ms-gr-ant-sender-header-header");
  const open = () => { if (!isOpen()) attachButton()?.click(); };
  // Once per message: while the panel folds up it still looks open, and a second click would open it again. By the
  // call that carries the files: an answer of two words may come and go before the page is drawn.
  let sent = false;
  window.pageWire.whenCalled((body) => { if (body.includes('"files":[{')) sent = true; });
  function closeAfterSend() {
    const placeholder = box()?.querySelector(".ms-gr-ant-attachment-placeholder");
    if (!sent || (placeholder && placeholder.style.display === "none")) return; // the files are still there
    sent = false;
    if (isOpen()) attachButton()?.click();
  }

  // --- several at once ----------------------------------------------------------------------------------------------
  // Several files chosen at once reach the component as one event per file, which race each other on a slow machine
  // and may leave all of them at 0 %. So they are handed over one after another.
  const PATIENCE = 120000; // ms
  const arrived = () => box()?.querySelectorAll("[class*=attachment-list-card-status-done]").length || 0;
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
      const before = arrived(), known = lost, one = new DataTransfer();
      one.items.add(file);
      await until(chooser, PATIENCE);
      const input = chooser(); // a new one after every upload
      input.files = one.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      await until(() => arrived() > before || lost > known, PATIENCE);
    }
    feeding = false;
    window.page.look();
  }

  /** Attach files that did not come through the chooser, in their order. */
  function attach(files) {
    open();
    area()?.focus({ preventScroll: true });
    return feed([...files]);
  }

  // --- uploads ------------------------------------------------------------------------------------------------------
  // A file that is too large or whose connection broke: the component would show it as on its way for ever.
  const PREVIEW = 5000; // ms
  let lost = 0;
  window.pageWire.whenUploaded(async (ok, body) => {
    if (!ok) setTimeout(lose, 100);
    // The card is drawn once there is a preview: one that came behind the file would put it back to 0 %.
    else await Promise.race([until(() => !isTaking() || isDrawn(), PREVIEW), unseen(body)]);
  });
  async function unseen(body) { // at once where this browser can show none of the files: there will be no preview
    for (const file of body?.getAll?.("files") || []) {
      const image = await createImageBitmap(file).catch(() => null);
      if (!image) continue;
      image.close();
      return until(() => false, PREVIEW);
    }
  }
  async function lose() {
    window.dispatchEvent(new Event("uploadlost"));
    window.pageToast(window.pageSay("upload_failed"));
    await until(isDrawn, PREVIEW); // on a slow machine the card comes after the refusal
    lost += 1;
    box()?.querySelectorAll("[class*=status-uploading]").forEach((card) => {
      card.closest(".ms-gr-ant-file-card-list-item")?.querySelector(".ms-gr-ant-file-card-list-remove")?.click();
    });
  }

  // --- from elsewhere -----------------------------------------------------------------------------------------------
  const acceptMedia = () => box()?.querySelectorAll("input[type=file]:not([accept])")
    .forEach((input) => { input.accept = "image/*,video/*"; }); // a phone then offers its photos

  const carriesFiles = (event) => [...(event.clipboardData || event.dataTransfer)?.types || []].includes("Files");
  document.addEventListener("dragenter", (event) => { if (carriesFiles(event)) open(); });
  document.addEventListener("paste", (event) => {
    if (!carriesFiles(event) || !box()) return;
    if (box().contains(event.target)) return open();
    if (!box().checkVisibility() || event.target.closest?.("input, textarea, [contenteditable], dialog")) return;
    event.preventDefault();
    attach(event.clipboardData.files); // a screenshot is meant for the message wherever the focus is
  });

  watch(() => {
    numberCards();
    acceptMedia();
    closeAfterSend();
  });
  return { box, area, attach, open, isAnswering, isUploading, areLeft: () => sent };
})();
