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
    [...new Set([...mediaOf(record.talk), ...(record.draft?.files || []).map((file) => file.media)])];

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

  // Fetches what is not kept yet; `paths` are files of the server by id. Returns how many did not fit.
  async function keepMedia(paths) {
    const known = new Set(await keys("media"));
    let over = 0, room = null;
    for (const [id, path] of Object.entries(paths)) {
      if (!id || known.has(id)) continue;
      const answer = await fetch(api("file=" + path.split("/").map(encodeURIComponent).join("/")));
      if (!answer.ok) continue;
      const blob = await answer.blob();
      room ??= (await limit()) - (await used());
      if (blob.size > room) { over += 1; continue; }
      room -= blob.size;
      await put("media", { id, blob, path });
    }
    return over;
  }

  // Puts kept media back on the server and says where; a file still there is not sent again. Raises an UploadError: a
  // conversation without its media must not be opened, it would be kept so.
  async function uploadMedia(ids) {
    const paths = {};
    for (const id of ids) {
      const medium = await get("media", id);
      if (!medium) continue;
      paths[id] = (await isThere(medium.path)) ? medium.path : await upload(medium.blob);
      if (paths[id] !== medium.path) await put("media", { ...medium, path: paths[id] });
    }
    return paths;
  }
  async function isThere(path) {
    if (!path) return false;
    const answer = await fetch(api("file=" + path.split("/").map(encodeURIComponent).join("/")), { method: "HEAD" })
      .catch(() => null);
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

  async function sweep() { // media that no conversation has any more
    const wanted = new Set((await all("talks")).flatMap(mediaOfRecord));
    for (const id of await keys("media")) if (!wanted.has(id)) await remove("media", id);
  }

  window.talkStore = {
    get: (id) => get("talks", id),
    all: () => all("talks"),
    put: (record) => put("talks", { ...record, size: JSON.stringify(record).length }),
    remove: (id) => remove("talks", id),
    keepMedia, uploadMedia, upload, mediaOf, sweep, used, limit,
  };
})();
