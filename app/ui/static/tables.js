"use strict";
// A table in an answer can be downloaded as CSV.
(() => {
  const { text, make, watch, download } = window.page;
  const cell = (words) => (/[",\n]/.test(words) ? `"${words.replace(/"/g, '""')}"` : words);
  const clean = (words) => words.replace(/\u2060/g, "").trim();
  const NUMBER = /^[+-]?([\d.,]*\d(e[+-]?\d+)?)? ?%?$/i; // or a sign alone
  // A spreadsheet would take it for a formula and run it.
  const harmless = (words) => (/^[=+@-]/.test(words) && !NUMBER.test(words) ? `'${words}` : words);

  function wordsOf(each) { // of a formula what the model wrote, which stands on the page three times
    const copied = each.cloneNode(true);
    for (const formula of copied.querySelectorAll(".katex")) {
      formula.replaceWith(formula.querySelector("annotation")?.textContent ?? formula.textContent);
    }
    return copied.textContent;
  }

  function csv(table) {
    const rows = [...table.rows].map((row) => [...row.cells].map((each) => cell(harmless(clean(wordsOf(each))))).join(","));
    return "\ufeff" + rows.join("\r\n") + "\r\n"; // the mark tells spreadsheets that this is UTF-8
  }

  watch(() => {
    for (const table of document.querySelectorAll(".conversation .ms-gr-ant-bubble-start .ms-gr-markdown table")) {
      if (table.nextElementSibling?.matches(".table-csv")) continue;
      const name = text("table_csv");
      const button = make("button", { type: "button", class: "table-csv", "aria-label": name, title: name }, "CSV");
      button.addEventListener("click", () => download(new Blob([csv(table)], { type: "text/csv" }), "table.csv"));
      table.after(button);
    }
  });
})();
