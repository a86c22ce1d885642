"use strict";
// One conversation that two tabs have written: what one of them tells, with the turns that only the other knows.
(() => {
  // `told` and `kept` are as in the store; `keys` are those of all turns that who tells ever saw: what is kept beside
  // them is of another tab, and what is not told of them was deleted.
  window.talkMerge = (told, kept, keys) => {
    const theirs = (kept?.turns || []).filter((turn) => !keys.has(turn.key));
    if (!theirs.length) return told;
    const above = new Map(kept.turns.map((turn) => [turn.key, turn.parent]));
    const there = new Set(["", ...[...told.turns, ...theirs].map((turn) => turn.key)]);
    const placed = (parent) => (there.has(parent) ? parent : placed(above.get(parent) ?? ""));
    const turns = [...told.turns, ...theirs.map((turn) => ({ ...turn, parent: placed(turn.parent) }))];
    const parents = new Map(turns.map((turn) => [turn.key, turn.parent]));
    const chosen = {}; // what is told, else what is kept, else the newest
    for (const { key, parent } of turns) {
      const given = [told.chosen?.[parent], kept.chosen?.[parent]].find((child) => parents.get(child) === parent);
      chosen[parent] = given ?? key;
    }
    return { ...told, turns, chosen };
  };
})();
