// The column of filters: what each would leave is beside it.

import type { Histogram, Page, Store } from "./api";
import type { Curation } from "./curation";
import { button, commas, drawing, element } from "./dom";
import { ALL, type Address, type Query } from "./state";

const SHOWN: Record<string, string> = { "": "no picture", pick: "overruled", reject: "rejected", mark: "marked", none: "without" };

export class Filters {
  readonly node = element("aside", { class: "filters", id: "filters", "aria-label": "Filters" });
  private readonly sources = element("fieldset");
  private readonly winners = element("fieldset");
  private readonly score: RangeFilter;
  private readonly margin: RangeFilter;
  private readonly flags = element("fieldset");
  private readonly verdicts = element("fieldset");
  private readonly reasons = element("select", { "aria-label": "Reason" });
  private readonly clear: HTMLButtonElement;

  constructor(
    private readonly store: Store,
    private readonly address: Address,
    private readonly curation: Curation,
  ) {
    this.score = new RangeFilter(`${store.scorer.toUpperCase()} of the winner`, "score", address);
    this.margin = new RangeFilter("margin", "margin", address);
    this.clear = button("clear all filters", "Clear all filters", () => this.reset(), "c");
    this.clear.classList.add("clear");
    this.reasons.append(
      element("option", { value: "" }, "any reason"),
      ...store.reasons.map(({ text, samples }) =>
        element("option", { value: text }, `${text.length > 70 ? `${text.slice(0, 69)}…` : text} (${commas(samples)})`),
      ),
    );
    this.reasons.addEventListener("change", () => address.filter({ reason: this.reasons.value }));
    const reason = element("fieldset", {}, element("legend", {}, "without a score, because"), this.reasons);
    reason.hidden = store.reasons.length === 0;
    this.sources.hidden = store.sources.length < 2;
    this.node.append(
      this.sources,
      this.winners,
      this.score.node,
      this.margin.node,
      this.flags,
      this.verdicts,
      reason,
      this.clear,
    );
  }

  reset(): void {
    const { order, descending } = this.address.state.query;
    this.address.filter({ ...ALL, order, descending });
  }

  show(query: Query, page: Page): void {
    const { counts, histograms } = page;
    const sources = this.store.sources.map((source) => source.name);
    this.boxes(this.sources, "source", "source", sources, query.source, counts.sources);
    const winners = this.store.quarantined > 0 ? [...this.store.methods, ""] : this.store.methods;
    this.boxes(this.winners, "winner", "winner", winners, query.winner, counts.winners);
    this.score.show(query.score_min, query.score_max, histograms.score);
    this.margin.show(query.margin_min, query.margin_max, histograms.margin);
    const pick = `margin under ${this.store.ambiguous_below ?? 0}`;
    refresh(
      this.flags,
      element("legend", {}, "pick"),
      this.store.ambiguous_below === null
        ? null
        : this.choice("ambiguous", query.ambiguous, ["clear", "ambiguous"], this.store.ambiguous, pick),
      this.store.quarantined === 0
        ? null
        : this.choice("quarantined", query.quarantined, ["with picture", "quarantined"], this.store.quarantined, ""),
    );
    this.judged();
    this.flags.hidden = this.flags.children.length < 2;
    this.reasons.value = query.reason;
    const { order, descending } = query;
    this.clear.disabled = JSON.stringify(query) === JSON.stringify({ ...ALL, order, descending });
  }

  /** Show how many verdicts there are. */
  judged(): void {
    const counts = this.curation.counts;
    const none = this.store.samples - Object.values(counts).reduce((sum, number) => sum + number, 0);
    const names = ["pick", "reject", "mark", "none"];
    this.boxes(this.verdicts, "verdict", "verdict", names, this.address.state.query.verdict, { ...counts, none });
  }

  private boxes(
    place: HTMLElement,
    title: string,
    field: "source" | "winner" | "verdict",
    names: string[],
    chosen: string[],
    counts: Record<string, number>,
  ): void {
    const rows = names.map((name) => {
      const change = (event: Event): void => {
        const { checked } = event.target as HTMLInputElement;
        const others = this.address.state.query[field].filter((item) => item !== name);
        this.address.filter({ [field]: checked ? [...others, name] : others });
      };
      const box = element("input", { type: "checkbox", value: name, name: field, onchange: change });
      box.checked = chosen.includes(name);
      const found = counts[name] ?? 0;
      return element(
        "label",
        { class: found ? "row" : "row empty" },
        box,
        element("span", { class: "name", title: name }, SHOWN[name] ?? name),
        element("span", { class: "number" }, commas(found)),
      );
    });
    refresh(place, element("legend", {}, title), ...rows);
  }

  /** A choice between all, those that are not, and those that are. */
  private choice(
    field: "ambiguous" | "quarantined",
    now: string,
    [no, yes]: [string, string],
    there: number,
    title: string,
  ): HTMLElement {
    const item = (value: "" | "no" | "yes", text: string): HTMLElement =>
      element(
        "button",
        {
          type: "button",
          title,
          "aria-pressed": String(now === value),
          "data-field": field,
          "data-value": value,
          onclick: () => this.address.filter({ [field]: value }),
        },
        text,
      );
    return element(
      "div",
      { class: "choice", role: "group", "aria-label": field },
      item("", "all"),
      item("no", no),
      item("yes", `${yes} ${commas(there)}`),
    );
  }
}

/** Put in new children; what had the focus has it again. */
function refresh(place: HTMLElement, ...children: (Node | null)[]): void {
  const all = [...place.querySelectorAll<HTMLElement>("input, button")];
  const focused = all.indexOf(document.activeElement as HTMLElement);
  place.replaceChildren(...children.filter((child) => child !== null));
  if (focused >= 0) place.querySelectorAll<HTMLElement>("input, button")[focused]?.focus();
}

/** Two limits below a histogram of what there is. */
class RangeFilter {
  readonly node = element("fieldset");
  private readonly low: HTMLInputElement;
  private readonly high: HTMLInputElement;
  private readonly bars = drawing("svg", { class: "bars", preserveAspectRatio: "none", "aria-hidden": "true" });

  constructor(
    title: string,
    private readonly field: "score" | "margin",
    private readonly address: Address,
  ) {
    this.low = this.input("min", `smallest ${field}`);
    this.high = this.input("max", `largest ${field}`);
    this.node.append(
      element("legend", {}, title),
      this.bars,
      element("div", { class: "limits" }, this.low, element("span", {}, "to"), this.high),
    );
  }

  show(low: string, high: string, found: Histogram): void {
    this.node.hidden = found.counts.length === 0;
    for (const [input, value] of [[this.low, low], [this.high, high]] as const) {
      if (document.activeElement !== input) input.value = value;
    }
    this.low.placeholder = found.low.toFixed(2);
    this.high.placeholder = found.high.toFixed(2);
    const most = Math.max(...found.counts, 1);
    const bins = found.counts.length;
    const [from, to] = [low === "" ? -Infinity : Number(low), high === "" ? Infinity : Number(high)];
    this.bars.setAttribute("viewBox", `0 0 ${Math.max(bins, 1)} 24`);
    this.bars.replaceChildren(
      ...found.counts.map((number, bin) => {
        const middle = found.low + ((bin + 0.5) / bins) * (found.high - found.low);
        const height = number === 0 ? 0 : Math.max(1, (24 * number) / most);
        const kind = middle >= from && middle <= to ? "in" : "out";
        return drawing("rect", { x: bin + 0.1, y: 24 - height, width: 0.8, height, class: kind });
      }),
    );
  }

  private input(end: "min" | "max", title: string): HTMLInputElement {
    const change = (event: Event): void => {
      const { value, validity } = event.target as HTMLInputElement;
      if (validity.valid) this.address.filter({ [`${this.field}_${end}`]: value });
    };
    const name = `${this.field}_${end}`;
    return element("input", { type: "number", step: "any", name, "aria-label": title, title, oninput: change });
  }
}
