"use strict";
// The presets of the decoding panel: the model's and the user's own, which this browser alone keeps, for each model.
(() => {
  const { text } = window.page;
  let make, button, dialog; // of a script that comes later
  const KEY = "minicpm-v-presets", MOST = 100, LONGEST = 60;
  let chosen = ""; // the value of the list
  let wanted = null; // {at, then}: what happens once the server has told what the panel shows
  let open = null; // the conversation
  let shownOf = ""; // the model whose presets are shown

  // --- what is kept ----------------------------------------------------------------------------------------------
  // The heading names the model, of an engine elsewhere once it is known.
  const model = () => document.querySelector(".title h1")?.textContent.trim() || "";
  const keyOf = () => `${KEY}:${model()}`;
  function kept(key) {
    try {
      const entries = Object.entries(JSON.parse(localStorage.getItem(key)) || {});
      return entries.filter(([name, values]) => name.trim() && values && typeof values === "object");
    } catch { return []; }
  }
  // Those kept without a model, as all once were, become those of the model with which they are first used or changed.
  const own = () => new Map([...kept(KEY), ...kept(keyOf())].slice(0, MOST));
  function store(presets, select) {
    try { localStorage.setItem(keyOf(), JSON.stringify(Object.fromEntries(presets))); }
    catch { return window.pageToast(text("presets_full")); }
    localStorage.removeItem(KEY);
    choose(select);
  }
  const nameOf = (value) => (value.startsWith("own:") ? value.slice(4) : "");
  function ask(call, then = null) {
    wanted = { at: performance.now(), then };
    window.callPage("preset", { ...call, at: wanted.at });
  }

  // --- the row ---------------------------------------------------------------------------------------------------
  const place = () => document.querySelector(".presets-place");
  const list = () => place()?.querySelector("select");
  const entry = (value, label) => make("option", { value }, label);

  function fill() {
    if (!place() || place().childElementCount) return;
    ({ make, button, dialog } = window.pageDom);
    const select = make("select", { "aria-label": text("presets") });
    select.addEventListener("change", () => { use(select.value); });
    place().append(make("div", { class: "presets", role: "group", "aria-label": text("presets") }, select,
      button(text("preset_save"), "+", (event) => save(event.currentTarget), { class: "preset-save" }),
      button(text("preset_rename"), "✎", (event) => rename(event.currentTarget), { class: "preset-rename" }),
      button(text("preset_delete"), "✕", drop, { class: "preset-delete" })));
    choose(chosen);
  }

  function choose(value) {
    const select = list(), mine = own();
    shownOf = model();
    chosen = nameOf(value) && !mine.has(nameOf(value)) ? "" : value;
    const shipped = JSON.parse(place().dataset.presets).map((name) => entry(`model:${name}`, text(`preset_${name}`)));
    const groups = [make("optgroup", { label: text("presets_model") }, ...shipped)];
    if (mine.size) groups.push(make("optgroup", { label: text("presets_own") },
      ...[...mine.keys()].sort((a, b) => a.localeCompare(b)).map((name) => entry(`own:${name}`, name))));
    select.replaceChildren(make("option", { value: "", disabled: true }, text("preset_none")), ...groups);
    select.value = chosen;
    place().querySelectorAll(".preset-rename, .preset-delete").forEach((each) => { each.disabled = !nameOf(chosen); });
  }

  function use(value) {
    const name = nameOf(value), mine = own();
    ask(name ? { do: "use", values: mine.get(name) } : { do: "use", name: value.slice("model:".length) });
    if (name && kept(KEY).length) store(mine, value);
    else choose(value);
    window.pageAnnounce("status", text("preset_used", { name: list().selectedOptions[0].label }));
  }

  // --- own ones --------------------------------------------------------------------------------------------------
  function named(title, name, opener, done) {
    const input = make("input", { type: "text", maxlength: LONGEST, value: name, "aria-label": text("preset_name") });
    const confirm = make("button", { type: "submit" }, text("save"));
    const look = () => {
      const given = input.value.trim();
      confirm.disabled = !given;
      confirm.textContent = text(given !== name && own().has(given) ? "preset_overwrite" : "save");
    };
    const form = make("form", { class: "preset-form" }, input, confirm);
    const box = dialog(title, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      box.close();
      done(input.value.trim());
    });
    box.addEventListener("close", () => opener.focus());
    input.addEventListener("input", look);
    look();
    input.focus();
    input.select();
  }
  function save(opener) {
    named(text("preset_save"), nameOf(chosen), opener, (name) => {
      ask({ do: "keep", name }, (values) => store(own().set(name, values), `own:${name}`));
    });
  }
  function rename(opener) {
    const before = nameOf(chosen);
    named(text("preset_rename"), before, opener, (name) => {
      const presets = own(), values = presets.get(before);
      presets.delete(before);
      store(presets.set(name, values), `own:${name}`);
    });
  }
  function drop() {
    const name = nameOf(chosen), presets = own(), values = presets.get(name);
    presets.delete(name);
    store(presets, "");
    list().focus();
    const undo = () => store(own().set(name, values), `own:${name}`);
    window.pageToast(text("preset_deleted", { name }), { label: text("undo"), undo });
  }

  window.presets = { keep: ({ values, at }) => { if (wanted?.at === at) wanted.then?.(values); } };
  // What the user changes is no preset any more, nor what a conversation brings that is opened; what else the server
  // changes is what was asked for.
  document.addEventListener("input", (event) => {
    if (event.isTrusted && chosen && event.target.closest?.(".decoding") && !event.target.closest(".presets")) choose("");
  }, true);
  document.addEventListener("click", (event) => {
    if (chosen && event.target.closest?.(".decoding .reset-button, button.fix[class*='fix--max_']")) choose("");
  }, true);
  function follow() {
    const now = window.talks?.current();
    if (now !== open && chosen && window.talks.record(now)?.talk.turns.some(({ params }) => params)) choose("");
    open = now;
  }
  const look = () => {
    fill();
    if (list() && model() !== shownOf) choose("");
    follow();
  };
  window.addEventListener("storage", (event) => { // another tab's
    if ([KEY, keyOf()].includes(event.key) && list()) choose(chosen);
  });
  if (document.body) window.page.watch(look);
  else document.addEventListener("DOMContentLoaded", () => window.page.watch(look));
})();
