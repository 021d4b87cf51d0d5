// One cell for each shard; only what changed is touched, so that a thousand cost no more than a few.

import { MARKS, MEANINGS, shown } from "./words.js";

export class Grid {
  constructor(box, onChoose) {
    this.box = box;
    this.onChoose = onChoose;
    this.cells = new Map();
    this.states = new Map();
    this.current = null; // the one that Tab reaches
    this.chosen = null;
    box.addEventListener("click", (event) => {
      const cell = event.target.closest(".cell");
      if (cell) this.onChoose(Number(cell.dataset.shard));
    });
    box.addEventListener("focusin", (event) => {
      const cell = event.target.closest(".cell");
      if (cell) this.reach(Number(cell.dataset.shard));
    });
    box.addEventListener("keydown", (event) => this.key(event));
  }

  show(shards) {
    const ids = shards.map((shard) => shard.shard);
    if (ids.length !== this.cells.size || ids.some((id) => !this.cells.has(id))) this.build(ids);
    for (const shard of shards) this.paint(shard);
  }

  build(ids) {
    this.cells.clear();
    this.states.clear();
    this.box.className = ids.length <= 16 ? "few" : ids.length <= 128 ? "" : ids.length <= 400 ? "many" : "crowd";
    for (const id of ids) {
      const cell = document.createElement("button");
      cell.type = "button";
      cell.tabIndex = -1;
      cell.dataset.shard = id;
      cell.setAttribute("aria-pressed", String(id === this.chosen));
      const mark = document.createElement("b");
      mark.setAttribute("aria-hidden", "true");
      const label = document.createElement("i");
      label.textContent = id;
      cell.append(mark, label);
      this.cells.set(id, cell);
    }
    this.box.replaceChildren(...this.cells.values());
    this.reach(this.cells.has(this.current) ? this.current : ids[0]);
  }

  paint(shard) {
    const state = shown(shard);
    const cell = this.cells.get(shard.shard);
    const title = `shard ${shard.shard}: ${MEANINGS[state]}${shard.host ? `, host ${shard.host}` : ""}`;
    if (cell.title !== title) {
      cell.title = title;
      cell.setAttribute("aria-label", title);
    }
    const before = this.states.get(shard.shard);
    if (before === state) return;
    this.states.set(shard.shard, state);
    cell.className = `cell ${state}${before ? " changed" : ""}`;
    cell.firstChild.textContent = MARKS[state];
  }

  choose(id) {
    this.cells.get(this.chosen)?.setAttribute("aria-pressed", "false");
    this.chosen = id;
    this.cells.get(id)?.setAttribute("aria-pressed", "true");
  }

  reach(id) {
    if (this.cells.has(this.current)) this.cells.get(this.current).tabIndex = -1;
    this.current = id;
    if (this.cells.has(id)) this.cells.get(id).tabIndex = 0;
  }

  focus(id) {
    this.cells.get(id)?.focus();
  }

  key(event) {
    const ids = [...this.cells.keys()];
    const at = ids.indexOf(this.current);
    const columns = getComputedStyle(this.box).gridTemplateColumns.split(" ").length;
    const to = {
      ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns,
      Home: 0, End: ids.length - 1,
    }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (to >= 0 && to < ids.length) this.focus(ids[to]);
  }
}
