"use strict";
// A table in an answer can be downloaded as CSV.
(() => {
  const { text, make, watch, download } = window.page;
  const cell = (words) => (/[",\n]/.test(words) ? `"${words.replace(/"/g, '""')}"` : words);
  const clean = (words) => words.replace(/\u2060/g, "").trim();

  function csv(table) {
    const rows = [...table.rows].map((row) => [...row.cells].map((each) => cell(clean(each.textContent))).join(","));
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
