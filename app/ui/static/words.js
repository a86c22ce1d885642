"use strict";
// The page's language, and pageSay(key, {name: value}): a text in it, from the one table. The reader's own choice is kept
// in the browser; else that of the server's --lang holds, else the first of the browser's that there is.
(() => {
  const KEPT = "minicpm-v-language";
  const known = (name) => window.pageLanguages.find((language) => (name || "").toLowerCase().split("-")[0] === language);
  const kept = () => { try { return localStorage.getItem(KEPT); } catch { return null; } };
  const names = navigator.languages?.length ? [...navigator.languages] : [navigator.language];
  window.pageLanguage = [kept(), window.pageDefaultLanguage, ...names].map(known).find(Boolean) || window.pageLanguages[0];

  window.labelLanguage = known(navigator.language) || window.pageLanguages[0]; // in which Gradio translates by itself
  document.documentElement.lang = window.pageLanguage;

  window.setPageLanguage = (language) => {
    window.pageLanguage = document.documentElement.lang = language;
    try { localStorage.setItem(KEPT, language); } catch { /* nothing is kept here: it holds for this page */ }
  };
  window.pageSayIn = (language, key, values = {}) => window.pageTexts[key][window.pageLanguages.indexOf(language)]
    .replace(/\{(\w+)[^}]*\}/g, (all, name) => values[name] ?? all);
  window.pageSay = (key, values) => window.pageSayIn(window.pageLanguage, key, values);
})();
