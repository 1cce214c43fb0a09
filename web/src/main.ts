// The page of `hqgen view`.

import { get, Pictures, type Page, type Store } from "./api";
import { Curation } from "./curation";
import { button, commas, count, element } from "./dom";
import { Filters } from "./filters";
import { Gallery } from "./gallery";
import { Keys } from "./keys";
import { Rows } from "./rows";
import { SampleView } from "./sample";
import { Address } from "./state";

const ORDERS: [string, string][] = [
  ["store", "order of the store"],
  ["key", "key"],
  ["score", "score"],
  ["margin", "margin"],
  ["winner", "winner"],
];
const TYPING = 120; // milliseconds
const TELL = 8000; // milliseconds for which an error is shown

class Application {
  private readonly address = new Address();
  private readonly curation: Curation;
  private readonly filters: Filters;
  private readonly gallery: Gallery;
  private readonly view: SampleView;
  private readonly keys: Keys;
  private readonly found = element("p", { class: "found", role: "status" });
  private readonly search = element("input", { type: "search", placeholder: "search keys", "aria-label": "Search keys", title: "Search keys (/)" });
  private readonly order = element("select", { "aria-label": "Sort by", title: "Sort by (s)" });
  private readonly direction: HTMLButtonElement;
  private readonly notice = element("p", { class: "notice", role: "alert", hidden: true });
  private rows: Rows | null = null;
  private typing = 0;
  private telling = 0;
  private lost = false; // whether the server did not answer

  constructor(private readonly store: Store) {
    const pictures = new Pictures(store);
    this.curation = new Curation(store.version, store.methods, () => this.judged(), (error) => this.failed(error));
    this.filters = new Filters(store, this.address, this.curation);
    this.gallery = new Gallery(store, pictures, (place) => void this.open(place), (row) => this.curation.text(row));
    this.view = new SampleView(store, pictures, this.curation, {
      close: () => this.address.open(null),
      step: (by) => void this.open(this.gallery.active + by),
    });
    this.direction = button("↑", "Reverse the order", () => this.reverse(), "r");
    this.keys = new Keys(() => ["everywhere", this.address.state.sample === null ? "gallery" : "sample"]);
    this.build();
    this.addKeys();
    this.address.watch((state, before) => {
      if (JSON.stringify(state.query) !== JSON.stringify(before.query)) void this.find();
      if (state.sample !== before.sample) void this.show();
    });
    void this.find().then(() => this.show());
  }

  private build(): void {
    this.order.append(...ORDERS.map(([value, text]) => element("option", { value }, text)));
    this.order.addEventListener("change", () => this.address.filter({ order: this.order.value }));
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = window.setTimeout(() => this.address.filter({ text: this.search.value }), TYPING);
    });
    const title = element("span", { class: "name", title: `plan ${this.store.plan_id}` }, "hqgen");
    const bar = element(
      "header",
      { class: "bar" },
      title,
      this.search,
      this.found,
      element("div", { class: "sorting" }, this.order, this.direction),
      element(
        "div",
        { class: "sizes" },
        button("−", "Smaller pictures", () => this.gallery.resize(-1), "-"),
        button("+", "Larger pictures", () => this.gallery.resize(1), "+"),
        button("☰", "Filters", () => this.toggleFilters(), "f"),
        button("◐", "Dark or light", toggleTheme, "t"),
        button("?", "Keys", () => this.keys.toggleHelp(), "?"),
      ),
    );
    bar.querySelector('[aria-label="Filters"]')?.classList.add("filter-button");
    const place = element("main", { class: "browse" }, bar, element("div", { class: "body" }, this.filters.node, this.gallery.node));
    document.querySelector("#application")?.replaceChildren(place, this.view.node, this.notice);
  }

  private addKeys(): void {
    const { keys, gallery } = this;
    keys.add("everywhere", "dark or light", ["t"], toggleTheme);
    const here = "gallery";
    keys.add(here, "move", ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], (key) => {
      if (key === "ArrowLeft" || key === "ArrowRight") gallery.move(key === "ArrowLeft" ? -1 : 1);
      else gallery.move(0, key === "ArrowUp" ? -1 : 1);
    });
    keys.add(here, "a screen up, down", ["PageUp", "PageDown"], (key) => gallery.move(0, 0, key === "PageUp" ? -1 : 1));
    keys.add(here, "first, last", ["Home", "End"], (key) => gallery.go(key === "Home" ? 0 : Infinity));
    keys.add(here, "open the sample", ["Enter"], () => void this.open(gallery.active));
    keys.add(here, "search keys", ["/"], () => this.search.select());
    keys.add(here, "filters", ["f"], () => this.toggleFilters());
    keys.add(here, "clear all filters", ["c"], () => this.filters.reset());
    keys.add(here, "sort by the next column", ["s"], () => this.nextOrder());
    keys.add(here, "reverse the order", ["r"], () => this.reverse());
    keys.add(here, "smaller, larger pictures", ["-", "+"], (key) => gallery.resize(key === "+" ? 1 : -1));
    for (const [action, key] of [["reject", "x"], ["mark", "m"]] as const) {
      keys.add(here, action, [key], () => {
        const row = this.rows?.at(gallery.active);
        if (row) void this.curation.toggle(row.row, action);
      });
    }
    keys.add(here, "undo what this page said last", ["u"], () => void this.curation.undo());
    this.view.keys(keys);
  }

  /** Find the rows of the query. */
  private async find(stay = false): Promise<void> {
    const { query, sample } = this.address.state;
    if (document.activeElement !== this.search) this.search.value = query.text;
    this.order.value = query.order;
    this.direction.textContent = query.descending ? "↓" : "↑";
    const rows = new Rows(query, (page) => this.arrived(rows, page), (error) => this.failed(error));
    this.rows?.drop();
    this.rows = rows;
    const position = await rows.begin(sample);
    if (this.rows !== rows) return;
    this.gallery.use(rows, stay);
    if (position !== null) this.gallery.go(position);
  }

  private arrived(rows: Rows, page: Page): void {
    if (rows !== this.rows) return;
    this.notice.hidden = true;
    this.found.textContent =
      page.total === this.store.samples ? count(page.total, "sample") : `${commas(page.total)} of ${count(this.store.samples, "sample")}`;
    if (page.start === 0) this.filters.show(this.address.state.query, page);
    this.gallery.update();
  }

  /** Somebody has said something. */
  private judged(): void {
    if (this.address.state.query.verdict.length > 0 && this.address.state.sample === null) void this.find(true);
    this.filters.judged();
    this.gallery.update();
    this.view.update();
  }

  /** Say what went wrong; null takes it back once the server answers again. */
  private failed(error: unknown): void {
    if (error === null) {
      if (this.lost) this.notice.hidden = true;
      this.lost = false;
      return;
    }
    this.lost = error instanceof TypeError;
    this.notice.hidden = false;
    clearTimeout(this.telling);
    if (!this.lost) this.telling = window.setTimeout(() => (this.notice.hidden = true), TELL);
    this.notice.textContent = this.lost ? "`hqgen view` does not answer; start it again and load this page again" : (error as Error).message;
  }

  /** Open the sample at a place among those that were found. */
  private async open(place: number): Promise<void> {
    const row = await this.rows?.wait(place);
    if (!row) return;
    this.gallery.go(place);
    this.address.open(row.row);
  }

  /** Show what the address says: a sample, or the gallery. */
  private async show(): Promise<void> {
    const { sample } = this.address.state;
    const browse = document.querySelector<HTMLElement>(".browse")!;
    browse.hidden = sample !== null;
    document.body.dataset.view = sample === null ? "gallery" : "sample";
    if (sample === null) {
      this.view.close();
      this.gallery.reveal();
      this.gallery.update();
      this.gallery.node.focus();
      if (this.address.state.query.verdict.length > 0) void this.find(true);
      return;
    }
    const known = this.rows?.at(this.gallery.active)?.row === sample;
    try {
      await this.view.open(sample, known ? `${commas(this.gallery.active + 1)} of ${commas(this.rows?.total ?? 0)}` : "");
    } catch (error) {
      this.address.open(null);
      this.failed(error);
    }
  }

  private nextOrder(): void {
    const place = ORDERS.findIndex(([value]) => value === this.address.state.query.order);
    this.address.filter({ order: ORDERS[(place + 1) % ORDERS.length]![0] });
  }

  private reverse(): void {
    this.address.filter({ descending: !this.address.state.query.descending });
  }

  private toggleFilters(): void {
    // On a wide screen they are always there, and the key leads into them and back.
    const narrow = matchMedia("(max-width: 860px)").matches;
    const into = narrow ? document.body.classList.toggle("filtering") : !this.filters.node.contains(document.activeElement);
    const inputs = [...this.filters.node.querySelectorAll("input")];
    (into ? inputs.find((input) => input.offsetParent !== null) : this.gallery.node)?.focus();
  }
}

/** Dark or light; without a choice, what the system has. */
function toggleTheme(): void {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("hqgen-theme", root.dataset.theme);
}

async function begin(): Promise<void> {
  const theme = localStorage.getItem("hqgen-theme");
  if (theme) document.documentElement.dataset.theme = theme;
  try {
    new Application(await get<Store>("/api/store"));
  } catch (error) {
    const text = element("p", { class: "problem" }, `the store cannot be shown: ${(error as Error).message}`);
    document.querySelector("#application")?.replaceChildren(text);
  }
}

void begin();
