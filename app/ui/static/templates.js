"use strict";
// Two libraries of ready texts: prompts for the message box, system prompts for their field.
(() => {
  const { text, make, watch } = window.page;
  const PROMPTS = () => [
    [text("template_ocr"), text("template_ocr_text")],
    [text("template_describe"), text("template_describe_text")],
    [text("template_compare"), text("template_compare_text")],
    [text("template_table"), text("template_table_text")],
    [text("template_find"), text("template_find_text")],
    [text("template_translate"), text("template_translate_text")],
  ];
  const SYSTEM = () => [
    [text("system_none"), ""],
    [text("system_exact"), text("system_exact_text")],
    [text("system_short"), text("system_short_text")],
    [text("system_json"), text("system_json_text")],
    [text("system_teacher"), text("system_teacher_text")],
  ];

  const box = () => document.querySelector(".ms-gr-pro-multimodal-input textarea");
  const systemField = () => document.querySelector(".option-system_prompt label textarea");

  function put(area, words) { // in place of what was there, as if typed, so that it can be undone
    area.focus();
    area.select();
    document.execCommand(words ? "insertText" : "delete", false, words);
    const blank = words.indexOf("…");
    if (blank >= 0) area.setSelectionRange(blank, blank + 1);
  }

  function library(kind, title, entries, area) {
    const list = make("div", { class: "library-list" });
    const root = make("details", { class: `library library-${kind}` }, make("summary", {}, title), list);
    for (const [name, words] of entries) {
      const button = make("button", { type: "button", title: words }, name);
      button.addEventListener("click", () => { root.open = false; put(area(), words); });
      list.append(button);
    }
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !root.open) return;
      root.open = false;
      root.querySelector("summary").focus();
      event.stopPropagation();
    });
    return root;
  }
  document.addEventListener("click", (event) => {
    if (!event.isTrusted) return; // our own calls to the server are clicks too
    document.querySelectorAll(".library[open]").forEach((one) => { if (!one.contains(event.target)) one.open = false; });
  });

  watch(() => {
    const row = document.querySelector(".chat-buttons");
    if (row && !row.querySelector(".library-prompts"))
      row.prepend(library("prompts", text("templates"), PROMPTS(), box));
    const label = systemField()?.closest("label");
    if (label && !label.parentElement.querySelector(".library-system"))
      label.after(library("system", text("system_prompts"), SYSTEM(), systemField));
  });
})();
