"use strict";
// The list of conversations at the side: new, search, open, rename, pin, delete; by day. A drawer on a phone.
(() => {
  const { make, button, busy, composing, place } = window.pageDom;
  const say = window.pageSay;
  const FOLDED = "minicpm-v-folded";
  const COUNTED = 30000; // ms between two looks at what is kept while an answer is written, which reads all of it
  const narrow = () => matchMedia("(max-width: 900px)").matches;
  const fine = () => matchMedia("(pointer: fine)").matches; // else the search brings up a keyboard
  const plain = (text = "") => text // without the markup of places; a title kept by an older version may have it too
    .replace(/<ref>(.*?)<\/ref>/gs, "$1").replace(/\s*<(box|quad|point)>[^<>]*<\/\1>/g, "").replace(/\s+/g, " ").trim();
  const titleOf = (record) => record.name || plain(record.title)
    || plain(record.draft?.text).slice(0, 60) || say("talk_untitled");
  let list = null, search = null, room = null, menu = null, renaming = null;

  function build(root) {
    if (root.childElementCount) return;
    search = make("input", { type: "search", class: "talk-search", placeholder: say("talk_search_hint"),
      "aria-label": say("talk_search_hint"), oninput: render });
    list = make("div", { class: "talk-groups" });
    room = make("p", { class: "talk-room" });
    root.append(
      make("div", { class: "talk-head" },
        button(say("talk_new"), make("span", {}, "+ " + say("talk_new")), begin, { class: "talk-new" }),
        button(say("talks_hide"), "«", () => fold(true), { class: "talk-fold" })),
      search, list,
      make("div", { class: "talk-foot" }, room,
        button(say("talk_import"), "⇪", () => window.talkFiles.choose()),
        button(say("shortcuts"), "?", () => window.talkKeys.show())));
    fold(narrow() || wasFolded(), false);
    render();
  }

  function buildToggle(root) {
    if (root.childElementCount) return;
    root.append(button(say("talks_show"), "☰", () => fold(false), { class: "talk-toggle", "aria-expanded": "false" }));
  }

  // In a frame of another page a browser may keep nothing for us, and says so by raising.
  function wasFolded() { try { return localStorage.getItem(FOLDED) === "1"; } catch { return false; } }
  function noteFolded(folded) {
    try { localStorage.setItem(FOLDED, folded ? "1" : "0"); } catch { /* it holds for this page */ }
  }

  function fold(folded, keep = true) {
    document.body.classList.toggle("talks-folded", folded);
    document.querySelector(".talk-toggle")?.setAttribute("aria-expanded", String(!folded));
    if (keep && !narrow()) noteFolded(folded);
    const open = fine() ? search : document.querySelector(".talk-fold");
    if (keep) (folded ? document.querySelector(".talk-toggle") : open)?.focus();
  }

  async function begin() {
    await window.talks.begin();
    if (narrow()) fold(true, false);
    document.querySelector(".message-box textarea")?.focus();
  }

  async function open(id) {
    await window.talks.open(id);
    if (narrow()) fold(true, false);
  }

  // --- search ----------------------------------------------------------------------------------------------------
  const texts = new Map(); // id -> [updated, lower-case text]
  function textOf(record) {
    const stamp = `${record.updated} ${titleOf(record)}`;
    const known = texts.get(record.id);
    if (known?.[0] === stamp) return known[1];
    const said = record.talk.turns.flatMap((turn) => [...turn.content.map((part) => part.text || ""), turn.answer]);
    const text = [titleOf(record), ...said].join("\n").toLowerCase();
    texts.set(record.id, [stamp, text]);
    return text;
  }
  function matches(record, words) {
    const text = textOf(record);
    return words.every((word) => text.includes(word));
  }
  function excerpt(record, word) {
    const text = record.talk.turns.flatMap((turn) => [...turn.content.map((part) => part.text || ""), turn.answer])
      .find((each) => each.toLowerCase().includes(word));
    if (!text) return "";
    const at = text.toLowerCase().indexOf(word), from = Math.max(0, at - 20);
    const shown = make("span", { class: "talk-excerpt" }, (from ? "…" : "") + text.slice(from, at));
    shown.append(make("mark", {}, text.slice(at, at + word.length)), text.slice(at + word.length, at + 60));
    return shown;
  }

  // --- groups ----------------------------------------------------------------------------------------------------
  function groupOf(record) {
    if (record.pinned) return say("talk_pinned");
    const day = new Date(record.updated), today = new Date();
    const days = Math.round((new Date(today).setHours(0, 0, 0, 0) - new Date(day).setHours(0, 0, 0, 0)) / 86400000);
    if (days <= 0) return say("talk_today");
    if (days === 1) return say("talk_yesterday");
    const year = day.getFullYear() === today.getFullYear() ? {} : { year: "numeric" };
    return day.toLocaleDateString(window.pageLanguage, { day: "numeric", month: "long", ...year });
  }

  function render() {
    if (!list || (renaming && list.querySelector(".talk-rename"))) return; // what is typed would be lost: `end` does it
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const records = window.talks.records().filter((record) => matches(record, words))
      .sort((a, b) => b.pinned - a.pinned || b.updated - a.updated);
    const groups = new Map();
    for (const record of records) {
      const name = groupOf(record);
      groups.set(name, [...(groups.get(name) || []), record]);
    }
    const focused = list.contains(document.activeElement) && document.activeElement;
    list.replaceChildren(...[...groups].map(([name, some]) => make("section", { "aria-label": name },
      make("h3", {}, name), make("ul", {}, ...some.map((record) => item(record, words))))));
    if (!records.length) list.append(make("p", { class: "talk-none" }, say(words.length ? "talk_no_match" : "talk_none")));
    if (renaming) list.querySelector(".talk-rename")?.select();
    else if (focused) {
      const id = focused.closest("[data-id]")?.dataset.id;
      (inRow(id, focused.className) || inRow(id, "talk-open"))?.focus(); // the latter once a name is given
    }
    for (const id of texts.keys()) if (!window.talks.record(id)) texts.delete(id);
    showRoom();
  }

  const inRow = (id, kind) => list.querySelector(`[data-id="${id}"] .${kind}`);

  function item(record, words) {
    const title = titleOf(record), active = record.id === window.talks.current();
    const row = make("li", { "data-id": record.id, class: active ? "active" : "" });
    if (renaming === record.id) {
      row.append(renamer(record));
      return row;
    }
    const opener = make("button", { type: "button", class: "talk-open", title, onclick: () => open(record.id),
      "aria-current": active ? "true" : null }, make("span", { class: "talk-title" }, title));
    if (words.length) opener.append(excerpt(record, words[0]));
    row.append(opener, button(say("talk_menu", { title }), "⋯", (event) => showMenu(event, record),
      { class: "talk-more", "aria-haspopup": "menu" }));
    return row;
  }

  function renamer(record) {
    const input = make("input", { class: "talk-rename", value: titleOf(record), "aria-label": say("talk_name"), maxlength: 200 });
    const end = (name) => {
      if (renaming !== record.id) return;
      renaming = null;
      if (name) window.talks.change(record.id, { name });
      render();
    };
    input.onkeydown = (event) => {
      event.stopPropagation();
      if (composing(event)) return;
      if (event.key === "Enter") end(input.value.trim());
      if (event.key === "Escape") end("");
    };
    input.addEventListener("blur", () => end(input.value.trim()));
    return input;
  }

  // --- the menu of a conversation --------------------------------------------------------------------------------
  window.talkActions = [ // further entries: {key, run(record), asked: only with a question}; the key is that of the text
    { key: "talk_rename", run: (record) => { renaming = record.id; render(); } },
    { key: (record) => (record.pinned ? "talk_unpin" : "talk_pin"),
      run: (record) => window.talks.change(record.id, { pinned: !record.pinned }) },
    { key: "delete", run: (record) => window.talks.drop(record.id), last: true },
  ];

  function showMenu(event, record) {
    hideMenu();
    const opener = event.currentTarget;
    const actions = window.talkActions.filter(({ asked }) => !asked || record.talk.turns.length)
      .sort((a, b) => !!a.last - !!b.last);
    menu = make("div", { class: "talk-menu", role: "menu", onkeydown: walkMenu }, ...actions.map(({ key, run }) =>
      make("button", { type: "button", role: "menuitem", onclick: () => { hideMenu(true); run(record); } },
        say(typeof key === "function" ? key(record) : key))));
    place().append(menu);
    const at = opener.getBoundingClientRect(), size = menu.getBoundingClientRect();
    menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    menu.style.top = `${Math.min(at.bottom + 4, innerHeight - size.height - 8)}px`;
    menu.of = record.id;
    menu.querySelector("button").focus();
    event.stopPropagation();
  }
  function hideMenu(back = false) {
    const opener = menu && inRow(menu.of, "talk-more"); // another one once the list was made anew
    menu?.remove();
    menu = null;
    if (back) opener?.focus();
  }
  function walkMenu(event) {
    const items = [...menu.querySelectorAll("button")], at = items.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) items[(at + step + items.length) % items.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") hideMenu(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  document.addEventListener("click", (event) => { // the page's own calls to the server are clicks too
    if (menu && event.isTrusted && !menu.contains(event.target)) hideMenu();
  });
  document.addEventListener("pointerdown", (event) => { // beside the drawer
    const beside = !event.target.closest?.(".talk-column, .talk-menu, .talk-toggle, .page-toast, dialog");
    if (narrow() && beside && !document.body.classList.contains("talks-folded")) fold(true, false);
  });

  const bytes = (count) => (count < 1e6 ? `${Math.round(count / 1e3)} KB` : count < 1e9 ? `${(count / 1e6).toFixed(1)} MB`
    : `${(count / 1e9).toFixed(1)} GB`);
  let counting = 0, counted = -Infinity;
  function showRoom() {
    clearTimeout(counting);
    counting = setTimeout(async () => {
      counted = performance.now();
      const counts = [window.talkStore.used(), window.talkStore.limit()];
      const [used, limit] = await Promise.all(counts).catch(() => [0, 0]); // none can be kept, which is said already
      if (!limit) return;
      room.textContent = say("talks_room", { used: bytes(used), limit: bytes(limit) });
      room.classList.toggle("talk-room-short", used > 0.9 * limit);
    }, Math.max(300, busy() ? counted + COUNTED - performance.now() : 0));
  }

  window.talkList = {
    search() { fold(false, false); search.focus(); search.select(); },
    escape() { // whether the drawer was open
      const open = narrow() && !document.body.classList.contains("talks-folded");
      if (open) fold(true);
      return open;
    },
  };
  const ready = () => {
    const root = document.querySelector(".talk-list"), bar = document.querySelector(".talk-bar");
    if (!root || !bar) return;
    if (!window.talks.listening) { window.talks.listening = true; window.talks.listen(render); }
    root.setAttribute("aria-label", say("talks"));
    buildToggle(bar);
    build(root);
  };
  window.page.watch(ready);
})();
