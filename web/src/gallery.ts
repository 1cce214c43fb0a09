// The gallery: only the tiles that can be seen exist, so 100,000 samples scroll as 10 do.

import { Pictures, type Store } from "./api";
import { decimal, element, show, shortened } from "./dom";
import type { Row, Rows } from "./rows";

const SIZES = [92, 124, 164, 220, 300];
const CAPTION = 38;
const GAP = 10;
const REST = 70; // milliseconds without scrolling after which pictures are fetched
const AHEAD = 2; // lines of tiles above and below those that can be seen

interface Shape {
  columns: number;
  width: number;
  height: number; // of a picture
  line: number; // from one line of tiles to the next
}

export class Gallery {
  readonly node = element("div", {
    class: "gallery",
    tabindex: 0,
    role: "listbox",
    "aria-label": "Samples",
  });
  active = 0;
  private readonly space = element("div", { class: "space" });
  private readonly tiles = new Map<number, Tile>();
  private rows: Rows | null = null;
  private size = Number(localStorage.getItem("hqgen-size") ?? 2);
  private shape: Shape = { columns: 1, width: 1, height: 1, line: 1 };
  private drawn = 0;
  private rest = 0;
  private moving = false;

  constructor(
    private readonly store: Store,
    private readonly pictures: Pictures,
    private readonly open: (place: number) => void,
    private readonly mark: (row: number) => string,
  ) {
    this.node.append(this.space);
    this.node.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.node.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.resized()).observe(this.node);
  }

  /** Show the rows of another query, or of the same one as it is now. */
  use(rows: Rows, stay: boolean): void {
    this.rows = rows;
    this.active = stay ? Math.min(this.active, Math.max(0, rows.total - 1)) : 0;
    for (const tile of this.tiles.values()) tile.node.remove();
    this.tiles.clear();
    if (!stay) this.node.scrollTop = 0;
    this.resized();
  }

  /** Draw again: rows have come, or marks have changed. */
  update(): void {
    cancelAnimationFrame(this.drawn);
    this.drawn = requestAnimationFrame(() => this.draw());
  }

  resize(step: number): void {
    this.size = Math.min(SIZES.length - 1, Math.max(0, this.size + step));
    localStorage.setItem("hqgen-size", String(this.size));
    this.resized();
    this.reveal();
  }

  /** Move to another tile: by tiles, by lines, or by screens. */
  move(tiles: number, lines = 0, screens = 0): void {
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.shape.line));
    this.go(this.active + tiles + (lines + screens * page) * this.shape.columns);
  }

  go(place: number): void {
    const total = this.rows?.total ?? 0;
    this.active = Math.min(Math.max(0, place), Math.max(0, total - 1));
    this.reveal();
    this.update();
  }

  /** Scroll as little as possible for the active tile to be seen. */
  reveal(): void {
    const top = Math.floor(this.active / this.shape.columns) * this.shape.line;
    const bottom = top + this.shape.line + GAP;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (bottom > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = bottom - this.node.clientHeight;
  }

  private resized(): void {
    const inner = this.node.clientWidth - 2 * GAP;
    if (inner <= 0) return;
    const least = Math.min(SIZES[this.size] ?? 164, (inner - GAP) / 2);
    const columns = Math.max(1, Math.floor((inner + GAP) / (least + GAP)));
    const width = Math.floor((inner - GAP * (columns - 1)) / columns);
    const flattest = Math.max(...this.store.sources.map((source) => source.height / source.width));
    const height = Math.round(width * Math.min(1, flattest));
    this.shape = { columns, width, height, line: height + CAPTION + GAP };
    const lines = Math.ceil((this.rows?.total ?? 0) / columns);
    this.space.style.height = `${lines * this.shape.line + GAP}px`;
    for (const tile of this.tiles.values()) tile.node.remove();
    this.tiles.clear();
    this.update();
  }

  private scrolled(): void {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = window.setTimeout(() => {
      this.moving = false;
      this.update();
    }, REST);
    this.update();
  }

  private draw(): void {
    const { rows, shape } = this;
    if (!rows) return;
    const above = Math.floor(this.node.scrollTop / shape.line);
    const below = Math.ceil((this.node.scrollTop + this.node.clientHeight) / shape.line);
    const first = Math.max(0, above - AHEAD) * shape.columns;
    const last = Math.min(rows.total, (below + AHEAD) * shape.columns);
    if (!this.moving) rows.want(first, last);
    for (const [place, tile] of this.tiles) {
      if (place < first || place >= last) {
        tile.node.remove();
        this.tiles.delete(place);
      }
    }
    for (let place = first; place < last; place++) this.place(place, rows.at(place));
    this.node.setAttribute("aria-activedescendant", `tile-${this.active}`);
  }

  private place(place: number, row: Row | null): void {
    let tile = this.tiles.get(place);
    if (!tile) {
      const { columns, width, height, line } = this.shape;
      tile = new Tile(place, GAP + (place % columns) * (width + GAP), GAP + Math.floor(place / columns) * line, width, height);
      this.tiles.set(place, tile);
      this.space.append(tile.node);
    }
    tile.node.classList.toggle("active", place === this.active);
    tile.node.setAttribute("aria-selected", String(place === this.active));
    if (!row) return;
    tile.describe(row, row.winner < 0 ? null : this.store.methods[row.winner]!, this.mark(row.row));
    if (row.winner >= 0 && !(this.moving && tile.empty)) tile.show(this.pictures.small(row.row, this.factor(row)));
  }

  /** The largest whole factor by which a picture may be smaller and still fill its tile. */
  private factor(row: Row): number {
    const source = this.store.sources[row.source]!;
    const dots = this.shape.width * window.devicePixelRatio;
    return Math.min(64, Math.max(1, Math.floor(source.width / dots)));
  }

  private clicked(event: Event): void {
    const tile = (event.target as Element).closest<HTMLElement>(".tile");
    if (!tile) return;
    this.active = Number(tile.dataset.place);
    this.open(this.active);
  }
}

class Tile {
  readonly node: HTMLElement;
  private readonly holder = element("span", { class: "picture" });
  private readonly method = element("b");
  private readonly score = element("span", { class: "number" });
  private readonly key = element("span", { class: "key" });
  private readonly verdict = element("span", { class: "verdict" });

  constructor(place: number, left: number, top: number, width: number, height: number) {
    this.node = element(
      "div",
      { class: "tile", role: "option", id: `tile-${place}`, "data-place": place },
      element("div", { class: "frame" }, this.holder, this.verdict),
      element("div", { class: "caption" }, this.method, this.score),
      this.key,
    );
    this.node.style.transform = `translate(${left}px, ${top}px)`;
    this.node.style.width = `${width}px`;
    this.node.style.setProperty("--height", `${height}px`);
    this.key.dataset.letters = String(Math.floor(width / 6.2));
  }

  get empty(): boolean {
    return this.holder.childElementCount === 0;
  }

  describe(row: Row, method: string | null, verdict: string): void {
    this.node.dataset.row = String(row.row);
    this.node.classList.toggle("quarantined", method === null);
    this.node.classList.toggle("rejected", verdict.startsWith("reject"));
    this.method.textContent = method ?? "no picture";
    this.score.textContent = method === null ? "" : `${row.ambiguous ? "≈ " : ""}${decimal(row.score, 2)}`;
    this.score.title = row.ambiguous ? "ambiguous: the lead says little" : "";
    this.key.textContent = shortened(row.key, Number(this.key.dataset.letters));
    this.verdict.textContent = verdict;
    this.verdict.hidden = verdict === "";
    this.node.title = `${row.key}\nmargin ${decimal(row.margin)}`;
    this.node.setAttribute("aria-label", `${row.key}, ${method ?? "no picture"}, score ${decimal(row.score, 2)}`);
  }

  show(source: string): void {
    show(this.holder, source, "");
  }
}
