"use strict";
// The strips of attached clips, and times in an answer that jump the player of the clip they speak of.
(() => {
  const bubbles = () => [...document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message")];
  const cards = () => [...document.querySelectorAll(".message-box [class*=attachment-list-card-status-done]")];
  const folded = () => document.querySelector(".message-box .ms-gr-ant-badge-count")?.title || "";
  let files = "0:";
  function look() {
    const now = `${cards().length}:${folded()}`; // a draft that comes back has its files folded away
    if (now === files) return;
    files = now;
    setTimeout(() => window.callPage("bench", {}), 300); // once the component knows its files
  }
  window.addEventListener("pagelanguage", () => { if (files) setTimeout(() => window.callPage("bench", {}), 300); });
  let drawing = 0;
  window.addEventListener("pageframes", () => { // Max Frames has changed
    clearTimeout(drawing);
    drawing = setTimeout(() => { if (document.querySelector(".bench")) window.callPage("bench", {}); }, 300);
  });
  const controls = (bench) => Object.fromEntries([...bench.querySelectorAll("[data-name]")].map((control) =>
    [control.dataset.name, control.tagName === "SELECT" ? control.value : Number(control.value)]));
  document.addEventListener("change", (event) => {
    const bench = event.target.closest?.(".bench"), name = event.target.dataset.name;
    if (!bench || !name) return;
    const call = { clip: Number(bench.dataset.clip), ...controls(bench) };
    if (name === "mode") delete call.value; // it is the other mode's
    window.callPage("bench", call);
  });
  document.addEventListener("input", (event) => {
    if (event.target.type === "range" && event.target.closest?.(".bench")) tell(event.target);
  });
  function tell(range) {
    const seconds = Math.round(Number(range.value) * 10) / 10;
    const whole = Math.floor(seconds % 60);
    range.parentElement.querySelector("output").textContent =
      `${Math.floor(seconds / 60)}:${String(whole).padStart(2, "0")}`;
  }
  function setBack() { // what was refused does not hold
    const refused = document.querySelector(".bench-host .bench-refused");
    if (!refused) return;
    refused.className = "";
    for (const control of document.querySelectorAll(".bench [data-name]")) {
      control.value = (control.querySelector("option[selected]") || control).getAttribute("value");
      if (control.type === "range") tell(control);
    }
  }
  document.addEventListener("click", (event) => {
    const frame = event.target.closest?.(".bench-frame");
    if (frame) {
      // All of them, for of several calls that wait the server may hear the last alone.
      const bench = frame.closest(".bench");
      frame.setAttribute("aria-pressed", String(frame.getAttribute("aria-pressed") !== "true"));
      const dropped = [...bench.querySelectorAll('.bench-frame[aria-pressed="true"]')].map((one) => Number(one.dataset.frame));
      window.callPage("bench", { clip: Number(bench.dataset.clip), dropped });
    }
    const time = event.target.closest?.("button.seek");
    if (!time) return;
    const index = bubbles().indexOf(time.closest(".ms-gr-pro-chatbot-message"));
    if (time.dataset.seconds) seek(player(index, Number(time.dataset.clip)), Number(time.dataset.seconds));
    else window.callPage("seek", { index, frame: Number(time.dataset.frame) });
  });

  function player(index, clip = 1) { // of the clips sent last before, numbered as below their thumbnails
    for (const bubble of bubbles().slice(0, index + 1).reverse()) {
      const videos = bubble.querySelectorAll("video");
      if (videos.length) return videos[clip - 1] || videos[0];
    }
    return null;
  }
  function seek(video, seconds) {
    if (!video) return;
    video.preload = "auto";
    video.currentTime = seconds;
    video.scrollIntoView({ block: "nearest" });
  }

  // [00:12], [1:02:03] and "frame 7" outside of code, once an answer is complete.
  const TIME = /\[(?:(\d{1,2}):)?(\d{1,3}):(\d{2}(?:\.\d+)?)\]|\bframe (\d{1,4})\b|第\s*(\d{1,4})\s*帧/gi;
  // Which of several clips the times behind it are of: "video 2", "the second clip", 视频 2, 第二段视频.
  const NAMED = new RegExp("\\b(?:video|clip) ?(\\d{1,2})\\b|\\b(first|second|third|fourth) (?:video|clip)\\b"
    + "|视频 ?(\\d{1,2})|第 ?([一二三四]|\\d{1,2}) ?[个段]?视频", "gi");
  const ORDER = { first: 1, second: 2, third: 3, fourth: 4, 一: 1, 二: 2, 三: 3, 四: 4 };
  const clipNamed = (text) => {
    const word = [...text.matchAll(NAMED)].pop()?.slice(1).find(Boolean)?.toLowerCase();
    return word && (ORDER[word] || Number(word));
  };
  function link() {
    if (!document.querySelector(".conversation video")) return;
    let last = null, clip = 1;
    document.querySelectorAll(".conversation .ms-gr-ant-bubble-start .ms-gr-markdown .prose:not([data-times])")
      .forEach((text) => {
        const bubble = text.closest(".ms-gr-pro-chatbot-message");
        if (!bubble.querySelector(".ms-gr-pro-chatbot-message-footer") || !player(bubbles().indexOf(bubble))) return;
        text.dataset.times = "";
        if (bubble !== last) [last, clip] = [bubble, 1];
        const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT), nodes = [];
        while (walker.nextNode()) if (!walker.currentNode.parentElement.closest("code, pre, button, a")) nodes.push(walker.currentNode);
        for (const node of nodes) clip = split(node, clip);
      });
  }
  function split(node, clip) { // returns the clip that what comes behind is of
    const found = [...node.data.matchAll(TIME)], after = clipNamed(node.data) || clip;
    if (!found.length) return after;
    const pieces = [];
    let at = 0;
    for (const match of found) {
      pieces.push(node.data.slice(at, match.index));
      const button = document.createElement("button");
      button.type = "button";
      button.className = "seek";
      button.textContent = match[0];
      button.setAttribute("aria-label", window.pageSay("bench_jump", { place: match[0] }));
      if (match[3]) {
        button.dataset.seconds = 3600 * (match[1] || 0) + 60 * match[2] + Number(match[3]);
        button.dataset.clip = clipNamed(node.data.slice(0, match.index)) || clip;
      } else button.dataset.frame = match[4] || match[5];
      pieces.push(button);
      at = match.index + match[0].length;
    }
    node.replaceWith(...pieces, node.data.slice(at));
    return after;
  }
  function jump() {
    const found = document.querySelector(".seek-host [data-seek]");
    if (!found) return;
    const [message, clip, seconds] = JSON.parse(found.dataset.seek);
    seek(bubbles()[message]?.querySelectorAll("video")[clip], seconds);
    found.removeAttribute("data-seek");
  }
  window.page.watch(() => { look(); link(); setBack(); jump(); });
})();
