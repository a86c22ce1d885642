"use strict";
// On a phone: the keyboard takes room from the page instead of covering the message box, also where the browser
// only tells of it (Safari); and the page can be installed from wherever it is served.
(() => {
  const viewport = document.querySelector("meta[name=viewport]");
  if (viewport) viewport.content = "width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content";

  // Gradio names the manifest from the root of the host, which a proxy's path is not.
  const manifest = document.querySelector("link[rel=manifest]") || document.head.appendChild(document.createElement("link"));
  manifest.rel = "manifest";
  manifest.href = "manifest.json";

  const LEAST = 80; // pixels; less is a bar of the browser that comes and goes
  const seen = window.visualViewport;
  const root = document.documentElement;
  const zoomed = () => seen.scale > 1.01;
  function fit() {
    const hidden = zoomed() ? 0 : Math.round(innerHeight - seen.height); // zoomed in is no keyboard
    root.style.setProperty("--keyboard", `${hidden > LEAST ? hidden : 0}px`);
    if (zoomed()) return; // it would jump from what is looked at
    const box = document.activeElement?.closest?.(".ms-gr-pro-multimodal-input");
    if (box && (seen.height < 600)) requestAnimationFrame(() => box.scrollIntoView({ block: "end" }));
  }
  seen?.addEventListener("resize", fit);
  document.addEventListener("focusin", (event) => {
    if (seen && event.target.closest?.(".ms-gr-pro-multimodal-input")) fit();
  });
})();
