"use strict";
// Under an answer of which there are several versions: ‹ 2/3 ›. Which turn it is stands in the message's classes.
(() => {
  const { make, button, busy } = window.pageDom;
  const say = window.pageSay;

  function turnOf(message) {
    const key = message.className.match(/\bturn-([0-9a-f]{32})\b/)?.[1];
    const place = message.className.match(/\bversion-(\d+)-(\d+)\b/);
    return key && place ? { key, number: +place[1], total: +place[2] } : null;
  }

  function decorate() {
    for (const message of document.querySelectorAll(".conversation .ms-gr-pro-chatbot-message[class*='turn-']")) {
      const turn = turnOf(message);
      const footer = message.querySelector(".ms-gr-pro-chatbot-message-footer > .ms-gr-ant-flex");
      if (!turn || !footer) continue;
      const state = `${turn.key} ${turn.number}/${turn.total}`;
      const old = footer.querySelector(":scope > .turn-tools");
      if (old?.dataset.state === state) continue;
      old?.remove();
      if (message.querySelector(".ms-gr-pro-chatbot-message-footer-editing")) continue;
      footer.append(make("span", { class: "turn-tools", "data-state": state }, ...tools(turn)));
    }
  }

  const tools = (turn) => [...(turn.total > 1 ? [walker(turn)] : []), ...window.turnTools.map((tool) => tool(turn))];

  function walker({ key, number, total }) {
    const step = (by) => () => { if (!busy()) window.talks.send({ do: "step", key, by }); };
    return make("span", { class: "turn-walker", role: "group", "aria-label": say("versions") },
      button(say("version_before"), "‹", step(-1), { disabled: number === 1 }),
      make("span", { "aria-live": "polite" }, `${number}/${total}`),
      button(say("version_after"), "›", step(1), { disabled: number === total }));
  }

  window.turnTools = []; // further buttons: functions from {key, number, total} to an element
  window.turnToolsRenew = () => document.querySelectorAll(".turn-tools").forEach((old) => old.remove());
  window.page.watch(decorate);
})();
