"use strict";
// Which conversation is open, and what passes between the page and the browser's store.
(() => {
  const store = () => window.talkStore;
  const { until, busy } = window.pageDom;
  const UNDO = 60000; // ms in which a deletion may still be undone, on another tab's page too
  const OPEN = "minicpm-v-open"; // of this tab: a reload opens it again, another tab begins a new one
  const records = new Map(); // all that is kept, deleted ones apart
  const dropped = new Set(); // deleted here: what the server still tells of them is not kept
  let heard = ""; // what was told last and is to be shown once
  const settledAway = new Set(); // what was cleared away here; it may be back by Undo since
  let current = null, opened = Infinity, asked = "", last = Promise.resolve(); // opened: when, by the clock
  let shown = null; // the conversation that the server has open
  const listeners = new Set();
  const others = "BroadcastChannel" in window ? new BroadcastChannel("minicpm-v-talks") : null;

  const changed = () => listeners.forEach((listener) => listener());
  const announce = (what = "changed") => { changed(); others?.postMessage(what); };
  const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const inTurn = (work) => (last = last.then(work).catch(failed)); // one write after the other

  const FAILED = { QuotaExceededError: "talks_full", UploadError: "talk_upload_failed" };
  function failed(error) {
    window.pageToast(window.pageSay(FAILED[error?.name] || "talks_failed"));
  }

  async function load() {
    const kept = await store().all();
    records.clear();
    for (const record of kept) if (!record.deleted) records.set(record.id, record);
    changed();
    return kept;
  }

  function setCurrent(id) {
    current = id;
    opened = Date.now();
    sessionStorage.setItem(OPEN, id);
    changed();
  }

  // --- to the server ---------------------------------------------------------------------------------------------
  const press = (name) => (document.querySelector(`button.${name}`) || document.querySelector(`.${name} button`))?.click();
  async function send(deed) {
    if (deed.draft) boxFiles = deed.draft.files;
    asked = JSON.stringify(deed);
    press("talk-act");
  }
  let wanted = ""; // what does not change the page, and may be asked while an answer is written
  async function ask(deed) {
    wanted = JSON.stringify(deed);
    press("talk-give");
  }

  async function opening(record) { // raises an UploadError
    const draft = record.draft || {};
    const ids = [...store().mediaOf(record.talk), ...(draft.files || []).map((file) => file.media)];
    const media = await store().uploadMedia([...new Set(ids)]);
    const files = (draft.files || []).map((file) => media[file.media]).filter(Boolean);
    const talk = record.talk.turns.length ? record.talk : null;
    const chosen = (draft.files || []).filter((file) => file.choice && media[file.media]);
    const choices = Object.fromEntries(chosen.map((file) => [media[file.media], file.choice]));
    return { do: "open", id: record.id, talk, media, draft: { text: draft.text || "", files, choices } };
  }

  async function start() {
    try {
      await purge(await load());
      const record = records.get(sessionStorage.getItem(OPEN));
      store().sweep();
      if (!record) {
        setCurrent(newId());
        return JSON.stringify({ do: "name", id: current });
      }
      setCurrent(record.id);
      const deed = await opening(record).catch(failed);
      if (deed) boxFiles = deed.draft.files;
      else setCurrent(newId()); // what is typed now is no draft of the one that could not be opened
      return JSON.stringify(deed || { do: "name", id: current });
    } catch (error) {
      failed(error);
      return "";
    }
  }

  async function purge(kept) { // deleted ones whose Undo went with the page
    for (const record of kept) {
      if (record.deleted && Date.now() - record.deleted > UNDO) await forget(record.id);
    }
  }

  async function open(id) {
    const record = records.get(id);
    if (!record || id === current) return;
    flushDraft();
    const deed = await opening(record).catch(failed);
    if (!deed) return;
    setCurrent(id);
    await send(deed);
  }

  let asks = 0, tellings = 0; // questions that this page has sent, and what it has heard
  window.addEventListener("pageasked", () => { asks += 1; });
  // The open one once more, for its media to live on the server; what stands in the message box and the options stay.
  // Raises an UploadError.
  async function reopen() {
    const id = current, before = asks;
    flushDraft();
    await last;
    const record = records.get(id), media = store().mediaOfRecord(record);
    const { text = "", files = [] } = record?.draft || {};
    if (text !== boxText() || files.length !== boxFiles.length) return; // somebody types, or it could not be kept
    const deed = media.length ? await opening(record) : null;
    if (id !== current || busy() || asks > before) return;
    opened = Date.now();
    if (!deed || media.some((name) => !deed.media[name])) return; // one that is lost would be shown and kept without it
    const heardBefore = tellings;
    await send({ ...deed, again: true });
    await until(() => tellings > heardBefore);
    await until(() => boxText() === text, 2000);
  }

  async function begin() {
    const id = newId();
    flushDraft();
    setCurrent(id);
    await send({ do: "new", id });
  }

  // A conversation without questions: another one if this one has some.
  async function fresh() {
    if (!records.get(current)?.talk.turns.length) return;
    await begin();
    await until(() => shown === current);
  }

  // --- from the server -------------------------------------------------------------------------------------------
  function keep(text) {
    started = true;
    tellings += 1;
    if (!text) return;
    const told = JSON.parse(text);
    if (told.open) shown = told.open;
    if (told.python || told.imported) {
      if (text === heard) return; // told again because something else was asked
      heard = text;
    }
    if (told.python) return window.talkFiles.showPython(told.python);
    if (told.imported) return inTurn(() => importTalk(told.imported));
    inTurn(async () => {
      for (const id of told.cleared || []) {
        if (settledAway.has(id)) continue;
        settledAway.add(id);
        if (records.has(id)) await dropNow(id, false);
        if (id === current) setCurrent(told.open);
      }
      const known = told.talk.turns.length || told.id !== told.open; // else a page that has just been opened
      if (known && told.open && told.open !== current) setCurrent(told.open);
      await keepTalk(told);
    });
  }

  // What this page was told of each conversation: {talk: the last, as JSON, keys: of all turns}. Another tab may have
  // written more since, which the server behind this page knows nothing of.
  const seen = new Map();
  function met(id, talk) {
    const keys = new Set([...(seen.get(id)?.keys || []), ...talk.turns.map((turn) => turn.key)]);
    seen.set(id, { talk: JSON.stringify(talk), keys });
  }

  async function keepTalk(told) {
    const before = seen.get(told.id)?.talk;
    if (dropped.has(told.id)) return;
    if (before === JSON.stringify(told.talk)) return; // nothing new here, maybe in another tab
    if (told.id === current) unbox(told);
    met(told.id, told.talk);
    await alone(() => mergeIn(told, before));
  }

  // One tab after the other: what one writes between another's reading and writing would be lost. Only where the browser
  // has locks, which is on this machine or by https.
  const alone = (work) => (navigator.locks ? navigator.locks.request("minicpm-v-talks", work) : work());

  // As it is kept, by whichever tab; null if it is deleted, undefined if there is none.
  async function latest(id) {
    const record = await store().get(id);
    return record?.deleted ? null : record;
  }

  async function mergeIn(told, before) {
    const stored = await latest(told.id), old = stored || records.get(told.id), kept = stored?.talk;
    const talk = window.talkMerge(told.talk, kept, seen.get(told.id).keys, before && JSON.parse(before));
    if (!talk.turns.length) {
      if (!old?.talk.turns.length) return;
      if (!old.draft) return erase(told.id);
      await write({ ...old, talk, title: "", name: "" });
      return announce();
    }
    if (kept && JSON.stringify(kept) === JSON.stringify(talk)) return;
    const now = Date.now();
    const fresh = old?.talk.turns.length ? old : { draft: old?.draft };
    const title = told.talk.turns.length ? told.title : old?.title || "";
    const record = { created: now, pinned: false, ...fresh, id: told.id, talk, title, updated: now };
    await write(record);
    await keepMedia(told.media);
    announce();
    if (told.id === current) planDraft(); // what was sent is no draft any more
  }

  const keepMedia = async (media) => tellOver(await store().keepMedia(media));
  function tellOver(count) {
    if (count) window.pageToast(window.pageSay("talks_media_full", { count }));
  }

  async function write(record) { // what it had and has not any more goes with it
    const before = store().mediaOfRecord(records.get(record.id)), now = store().mediaOfRecord(record);
    records.set(record.id, record);
    await store().put(record);
    await sweep(before.filter((id) => !now.includes(id)));
  }
  const sweep = async (ids) => { if (ids.length) await store().sweep(ids); };

  async function importTalk({ id, name, title, talk, media }) {
    const now = Date.now();
    await write({ id, talk, title, name: name || "", created: now, updated: now, pinned: false });
    await keepMedia(media);
    announce();
    await open(id);
  }

  // --- drafts: what stands in the message box, until it is sent ---------------------------------------------------
  let draftTimer = 0, started = false; // a page that opens begins with an empty box, which is no draft
  let boxFiles = [];
  const boxText = () => document.querySelector(".ms-gr-pro-multimodal-input textarea")?.value || "";
  function drafted(box) { // the component tells of its files; of what is typed, the text area itself
    boxFiles = (box?.files || []).map((file) => file?.path || file).filter((path) => typeof path === "string");
    planDraft();
  }
  function unbox({ id, talk, media }) { // what was sent is out of the box, which does not tell of it
    const fresh = talk.turns.filter((turn) => !seen.get(id)?.keys.has(turn.key));
    const sent = new Set(store().mediaOf({ turns: fresh }).map((name) => media[name]));
    boxFiles = boxFiles.filter((path) => !sent.has(path));
  }
  function planDraft() {
    if (!started) return;
    const id = current;
    clearTimeout(draftTimer);
    draftTimer = setTimeout(() => {
      if (id === current) inTurn(() => keepDraft(id, boxText(), boxFiles));
    }, 300);
  }
  function flushDraft() { // before another conversation takes the box
    clearTimeout(draftTimer);
    const id = current, text = boxText(), files = boxFiles;
    if (started && id && !dropped.has(id)) inTurn(() => keepDraft(id, text, files).then(changed));
  }
  document.addEventListener("input", (event) => {
    if (event.target.closest?.(".ms-gr-pro-multimodal-input")) planDraft();
  }, true);
  const choiceOf = (path, known = []) => { // the frames chosen of a clip, as its strip has them once it is there
    const strip = [...document.querySelectorAll(".bench")].find((bench) => bench.dataset.path === path);
    return strip ? JSON.parse(strip.dataset.choice) : known.find((file) => file.media === store().idOf(path))?.choice;
  };
  async function keepDraft(id, text, paths) {
    const known = records.get(id)?.draft;
    if (!id || (!text && !paths.length && !known)) return;
    const files = paths.map((path) => ({ media: store().idOf(path), choice: choiceOf(path, known?.files) }));
    await keepMedia(Object.fromEntries(paths.map((path) => [store().idOf(path), path])));
    await alone(async () => {
      const old = await latest(id);
      if (dropped.has(id) || old === null) return;
      const record = { talk: { turns: [] }, created: Date.now(), updated: Date.now(), pinned: false, ...old, id };
      record.draft = text || files.length ? { text, files } : null;
      if (!record.draft && !record.talk.turns.length) return erase(id);
      await write(record);
    });
  }

  // --- what the list does ----------------------------------------------------------------------------------------
  function change(id, fields) {
    const record = records.get(id);
    if (!record) return;
    Object.assign(record, fields);
    changed();
    return inTurn(() => alone(async () => {
      const now = await latest(id); // its talk may have been kept meanwhile, by another tab too
      if (!now || dropped.has(id)) return;
      await write({ ...now, ...fields });
      announce();
    }));
  }

  async function erase(id) {
    const media = store().mediaOfRecord(records.get(id));
    records.delete(id);
    await store().remove(id);
    await sweep(media);
    announce();
  }

  // Deleted ones stay in the store until Undo is gone. What is deleted, brought back and forgotten is what is kept then:
  // another tab may have written more of it, and goes on with it where it is open there.
  const drop = (id) => inTurn(() => dropNow(id));
  async function dropNow(id, leave = true) {
    const known = records.get(id);
    if (!known) return;
    dropped.add(id);
    records.delete(id);
    const record = await alone(async () => {
      const now = await latest(id);
      if (now !== null) await store().put({ ...(now || known), deleted: Date.now() });
      return now || known;
    });
    announce();
    if (leave && id === current) await begin();
    window.pageToast(window.pageSay("talk_deleted"), {
      label: window.pageSay("undo"),
      undo: () => inTurn(async () => {
        dropped.delete(id);
        await alone(async () => {
          const now = await latest(id);
          records.set(id, now || record);
          if (!now) await store().put(record);
        });
        announce();
        if (!leave && !records.get(current)?.talk.turns.length) await open(id); // it was cleared from before the eyes
      }),
      gone: () => inTurn(async () => {
        if (!(await forget(id))) return;
        tellOver(await store().sweep());
        announce("room");
      }),
    });
  }

  // Whether it was deleted still, and is gone now.
  const forget = (id) => alone(async () => {
    const gone = (await latest(id)) === null;
    if (gone) await store().remove(id);
    return gone;
  });

  others?.addEventListener("message", ({ data }) => inTurn(async () => {
    await load();
    if (data === "room") await store().retry();
  }));

  window.talks = {
    start, keep, open, reopen, begin, fresh, change, drop, send, ask, failed, drafted, redraft: planDraft, newId,
    take: async () => asked,
    takeGiven: async () => wanted,
    // Of those without a question, what was left unsent; the open one has it in the box.
    records: () => [...records.values()]
      .filter((record) => record.talk.turns.length || (record.draft && record.id !== current)),
    record: (id) => records.get(id),
    current: () => current,
    openedAt: () => opened,
    listen: (listener) => listeners.add(listener),
    settled: () => last,
    until, busy,
  };
})();
