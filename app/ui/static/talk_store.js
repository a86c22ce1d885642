"use strict";
// Conversations in this browser alone: texts in one IndexedDB store, pictures and clips in another, by their content.
(() => {
  const { api } = window.pageDom;
  const MOST = 2 * 1024 ** 3; // bytes; less where the browser gives less
  let opened = null;

  function database() {
    opened ||= new Promise((resolve, reject) => {
      const request = indexedDB.open("minicpm-v-talks", 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("talks", { keyPath: "id" });
        request.result.createObjectStore("media", { keyPath: "id" });
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    return opened;
  }

  async function run(store, mode, action) {
    const transaction = (await database()).transaction(store, mode);
    return new Promise((resolve, reject) => {
      const request = action(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error || request?.error);
    });
  }

  const get = (store, id) => run(store, "readonly", (it) => it.get(id));
  const put = (store, value) => run(store, "readwrite", (it) => it.put(value));
  const remove = (store, id) => run(store, "readwrite", (it) => it.delete(id));
  const all = (store) => run(store, "readonly", (it) => it.getAll());
  const keys = (store) => run(store, "readonly", (it) => it.getAllKeys());

  function mediaOf(talk) {
    const parts = (talk?.turns || []).flatMap((turn) => turn.content || []);
    return [...new Set(parts.map((part) => part.media).filter(Boolean))];
  }
  const mediaOfRecord = (record) =>
    [...new Set([...mediaOf(record?.talk), ...(record?.draft?.files || []).map((file) => file.media)])];

  async function limit() {
    const { quota = MOST } = (await navigator.storage?.estimate?.()) || {};
    return Math.min(MOST, Math.floor(quota / 2));
  }
  async function used() { // bytes of texts and of media
    let total = 0;
    for (const record of await all("talks")) total += record.size || 0;
    await run("media", "readonly", (store) => {
      const request = store.openCursor();
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor) return;
        total += cursor.value.blob.size;
        cursor.continue();
      };
      return request;
    });
    return total;
  }

  const places = new Map(); // path on the server -> id of what is kept of it
  const refused = new Map(); // id of what did not fit -> path on the server; until there is more room
  const address = (path) => api("file=" + path.split("/").map(encodeURIComponent).join("/"));

  // Fetches what is not kept yet; `paths` are files of the server by id. Returns how many turned out not to fit.
  async function keepMedia(paths) {
    const known = new Set(await keys("media"));
    let over = 0, room = null;
    for (const [id, path] of Object.entries(paths)) {
      if (!id || known.has(id)) continue;
      const before = [...refused.values()].includes(path);
      if (!before && (await took(id, path))) continue;
      refused.set(id, path);
      if (!before) over += 1;
    }
    return over;

    async function took(id, path) { // whether there was room; what is gone needs none
      // Kept under another name, of a draft that was sent: that copy goes soon, so this one takes no room.
      let blob = (await get("media", places.get(path) || ""))?.blob;
      if (!blob) {
        const head = await fetch(address(path), { method: "HEAD" });
        if (!head.ok) return true;
        room ??= (await limit()) - (await used());
        if (+head.headers.get("content-length") > room) return false;
        const answer = await fetch(address(path));
        if (!answer.ok) return true;
        blob = await answer.blob();
        if (blob.size > room) return false; // where nothing told the size
        room -= blob.size;
      }
      try { await put("media", { id, blob, path }); } catch (error) {
        if (error?.name === "QuotaExceededError") return false;
        throw error;
      }
      places.set(path, id);
      return true;
    }
  }
  const idOf = (path) => places.get(path) || "draft:" + path; // under which a file of the message box is kept

  // Puts kept media back on the server and says where; a file still there is not sent again, nor one that was too large
  // to be kept. Raises an UploadError: a conversation without its media must not be opened, it would be kept so.
  async function uploadMedia(ids) {
    const paths = {};
    for (const id of ids) {
      const medium = await get("media", id), path = medium?.path || refused.get(id);
      const there = await isThere(path);
      if (!medium && !there) continue;
      paths[id] = there ? path : await upload(medium.blob);
      if (!medium) continue;
      if (!there) await put("media", { ...medium, path: paths[id] });
      places.set(paths[id], id);
    }
    return paths;
  }
  async function isThere(path) {
    if (!path) return false;
    const answer = await fetch(address(path), { method: "HEAD" }).catch(() => null);
    return !!answer?.ok;
  }
  async function upload(blob) { // raises an UploadError
    const form = new FormData();
    const kind = (blob.type || "").split(";")[0];
    form.append("files", blob, "attachment." + (kind.split("/")[1] || "bin").replace(/\W.*/, ""));
    // By the mark behind it, page.js knows that it is none of the message box, whose failures it speaks of.
    const answer = await fetch(api("upload#talk"), { method: "POST", body: form }).catch(() => null);
    if (!answer?.ok) throw Object.assign(new Error("upload"), { name: "UploadError" });
    return (await answer.json())[0];
  }

  // Removes the media, of some or of all, that no conversation has any more. Returns how many still do not fit.
  async function sweep(some = null) {
    const kept = await keys("media"), wanted = await wantedMedia(); // in this order: another tab may write meanwhile
    const left = kept.filter((id) => !wanted.has(id) && (!some || some.includes(id)));
    for (const id of left) await remove("media", id);
    return left.length ? retry() : 0;
  }
  const wantedMedia = async () => new Set((await all("talks")).flatMap(mediaOfRecord));

  async function retry() { // there is more room: keeps what did not fit before; returns how many still do not
    const wanted = await wantedMedia(), again = [...refused].filter(([id]) => wanted.has(id));
    refused.clear();
    return keepMedia(Object.fromEntries(again));
  }

  window.talkStore = {
    get: (id) => get("talks", id),
    all: () => all("talks"),
    put: (record) => put("talks", { ...record, size: JSON.stringify(record).length }),
    remove: (id) => remove("talks", id),
    keepMedia, idOf, uploadMedia, upload, mediaOf, mediaOfRecord, sweep, retry, used, limit,
  };
})();
