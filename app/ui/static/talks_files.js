"use strict";
// Export, import and "copy as Python": the server writes and reads, this downloads, uploads and shows.
(() => {
  const { make, button, dialog, api } = window.pageDom;
  const say = window.pageSay;

  async function give(record, form) {
    try {
      const media = await window.talkStore.uploadMedia(window.talkStore.mediaOf(record.talk));
      window.talks.ask({ do: "export", form, talk: record.talk, media, title: record.name || record.title || "" });
    } catch (error) {
      window.talks.failed(error);
    }
  }

  function download(file) {
    const path = (Array.isArray(file) ? file[0] : file)?.path;
    if (!path) return;
    const address = api("file=" + path.split("/").map(encodeURIComponent).join("/"));
    const link = make("a", { href: address, download: path.split("/").pop() });
    document.body.append(link);
    link.click();
    link.remove();
  }

  function choose() {
    const input = make("input", { type: "file", accept: ".zip,application/zip", class: "talk-file", hidden: true });
    input.addEventListener("change", async () => {
      input.remove();
      if (!input.files[0]) return;
      try {
        window.talks.ask({ do: "import", file: await window.talkStore.upload(input.files[0]) });
      } catch (error) {
        window.talks.failed(error);
      }
    });
    document.body.append(input);
    input.click();
  }

  function showPython(codes) {
    const names = [say("python_chat"), say("python_openai")].slice(-codes.length); // a model may have no chat
    dialog(say("python"), make("p", {}, say("python_help")), ...codes.flatMap((code, at) => {
      const copier = make("button", { type: "button", onclick: async () => {
        await copy(code);
        copier.textContent = say("copied");
      } }, say("copy"));
      return [make("h3", {}, names[at], copier), make("pre", { tabindex: 0, "aria-label": names[at] }, code)];
    }));
  }

  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = make("textarea", { class: "talk-copy" }); // where the page comes without TLS from another machine
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  window.turnTools.push(({ key }) =>
    button(say("python"), "</>", () => window.talks.ask({ do: "python", key }), { class: "turn-python" }));
  window.talkActions.push(
    { key: "talk_zip", run: (record) => give(record, "zip"), asked: true },
    { key: "talk_markdown", run: (record) => give(record, "markdown"), asked: true },
    { key: "talk_html", run: (record) => give(record, "html"), asked: true });
  window.talkFiles = { download, choose, showPython };
})();
