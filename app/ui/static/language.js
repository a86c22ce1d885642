"use strict";
// The switch of the page's language. What the server makes, it says anew; what our scripts have made is taken away
// here, and made anew by the script that misses it.
(() => {
  const REMADE = ".library, .seen-open, .table-csv, .turn-tools, .camera-open, .mark-place, .page-skip, .language-switch";
  const EMPTIED = ".talk-list, .talk-bar, .presets-place";
  const STATED = ".box-figures"; // compare what they show with a state of theirs
  const { make, watch, text } = window.page;

  function choose(language) {
    const { activeElement } = document, focused = activeElement?.closest(".language-switch");
    window.setPageLanguage(language);
    document.querySelectorAll(STATED).forEach((element) => { element.state = null; });
    document.querySelectorAll(EMPTIED).forEach((element) => element.replaceChildren());
    document.querySelectorAll(REMADE).forEach((element) => element.remove());
    window.callPage("language", { language });
    window.dispatchEvent(new Event("pagelanguage"));
    fill();
    if (focused) document.querySelector(".language-switch select").focus();
  }

  function fill() {
    const place = document.querySelector(".language-place");
    if (!place || place.childElementCount) return;
    const options = window.pageLanguages.map((language) => {
      const own = window.pageSayIn(language, "language_name");
      return make("option", { value: language, lang: language, ...(language === window.pageLanguage && { selected: "" }) }, own);
    });
    const select = make("select", { "aria-label": text("language"), title: text("language") }, ...options);
    select.addEventListener("change", () => choose(select.value));
    place.append(make("span", { class: "language-switch" }, select));
  }
  watch(fill);
})();
