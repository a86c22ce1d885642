"use strict";
// One conversation that two tabs have written: what one of them tells, with what only the other has changed.
(() => {
  // `told` and `kept` are as in the store, and so is `before`, what was told last. `keys` are those of all turns that
  // who tells ever saw: what is kept beside them is of another tab, and what is not told of them was deleted. A turn
  // that is told as before was changed by the other tab, if at all.
  window.talkMerge = (told, kept, keys, before = null) => {
    if (!kept) return told;
    const mine = unchanged(told, kept, before);
    const theirs = kept.turns.filter((turn) => !keys.has(turn.key));
    const above = new Map(kept.turns.map((turn) => [turn.key, turn.parent]));
    const there = new Set(["", ...[...mine, ...theirs].map((turn) => turn.key)]);
    const placed = (parent) => (there.has(parent) ? parent : placed(above.get(parent) ?? ""));
    const turns = [...mine, ...theirs.map((turn) => ({ ...turn, parent: placed(turn.parent) }))];
    const parents = new Map(turns.map((turn) => [turn.key, turn.parent]));
    const chosen = {}; // what was chosen here since it was told last, else what is kept, else what is told, else the newest
    for (const { key, parent } of turns) {
      const own = told.chosen?.[parent], other = kept.chosen?.[parent];
      const first = own === before?.chosen?.[parent] ? [other, own] : [own, other];
      const given = first.find((child) => parents.get(child) === parent);
      chosen[parent] = given ?? key;
    }
    return { ...told, turns, chosen };
  };

  function unchanged(told, kept, before) { // the turns that are told, as they are kept where they are told as before
    const last = new Map((before?.turns || []).map((turn) => [turn.key, JSON.stringify(turn)]));
    const known = new Map(kept.turns.map((turn) => [turn.key, turn]));
    return told.turns.map((turn) => {
      const other = known.get(turn.key);
      return other && JSON.stringify(turn) === last.get(turn.key) ? { ...other, parent: turn.parent } : turn;
    });
  }
})();
