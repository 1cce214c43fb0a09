// The view of one sample.

import { get, type BesideTruth, type Pictures, type Sample, type Store } from "./api";
import { Compare, MODES, type Mode } from "./compare";
import type { Curation } from "./curation";
import { button, decimal, element } from "./dom";
import { provenance, scoresTable } from "./facts";
import { Judge } from "./judge";
import type { Keys } from "./keys";
import { RecordingView } from "./recording";

const MODE_KEYS: Record<Mode, string> = { "side by side": "g", swipe: "w", blink: "b", difference: "d" };
const PAN = 0.1;

export interface Moves {
  close: () => void;
  step: (by: number) => void;
}

export class SampleView {
  readonly node = element("main", { class: "sample", hidden: true });
  sample: Sample | null = null;
  private readonly title = element("h1");
  private readonly lead = element("p", { class: "quiet lead" });
  private readonly modes = element("div", { class: "choice modes", role: "group", "aria-label": "How to compare" });
  private readonly facts = element("div", { class: "facts" });
  private readonly compare: Compare;
  private readonly judge: Judge;
  private readonly recording: RecordingView;
  private asked = -1;
  private position = "";
  private opened = false; // whether provenance is open

  constructor(
    private readonly store: Store,
    private readonly pictures: Pictures,
    private readonly curation: Curation,
    private readonly moves: Moves,
  ) {
    this.compare = new Compare(() => this.marked());
    this.judge = new Judge(curation, this.compare);
    this.recording = new RecordingView(pictures);
    for (const mode of MODES) {
      const item = button(mode, mode, () => this.compare.show(mode), MODE_KEYS[mode]);
      item.dataset.mode = mode;
      this.modes.append(item);
    }
    this.node.append(
      element(
        "header",
        { class: "bar" },
        button("←", "Back to the gallery", moves.close, "Esc"),
        element("div", { class: "title" }, this.title, this.lead),
        element("div", { class: "steps" }, button("‹", "Sample before", () => moves.step(-1), "←"), button("›", "Next sample", () => moves.step(1), "→")),
      ),
      element(
        "div",
        { class: "body" },
        element("div", { class: "left" }, element("div", { class: "between" }, this.modes, this.judge.node), this.compare.node),
        element("div", { class: "right" }, this.facts, this.recording.node, element("div", { class: "more" })),
      ),
    );
  }

  /** Show a sample; `position` says where it is among those that were found. */
  async open(row: number, position: string): Promise<void> {
    this.node.hidden = false;
    this.asked = row;
    const sample = await get<Sample>(`/api/samples/${row}`);
    if (this.asked !== row) return; // people step faster than answers come
    this.sample = sample;
    this.title.textContent = sample.key;
    this.title.title = sample.key;
    this.position = position;
    this.use(null);
    void this.recording.use(sample);
    const details = provenance(sample);
    details.toggleAttribute("open", this.opened);
    details.addEventListener("toggle", () => (this.opened = details.hasAttribute("open")));
    this.node.querySelector(".more")?.replaceChildren(details);
    await this.fetchTruth(sample);
  }

  close(): void {
    this.node.hidden = true;
    this.asked = -1;
    this.sample = null;
    this.compare.stop();
  }

  /** Show what people say of the sample now. */
  update(): void {
    const sample = this.sample;
    if (!sample) return;
    const verdict = this.curation.of(sample.row);
    this.compare.pick(verdict?.method ?? null);
    this.judge.show();
    const method = sample.candidates.find((item) => item.method === sample.winner)?.name;
    const parts = [
      this.position,
      sample.source,
      method ? `winner ${method}` : "quarantined",
      sample.score === null ? "" : `${this.store.scorer} ${decimal(sample.score)}`,
      sample.margin === null ? "" : `margin ${decimal(sample.margin)}${sample.ambiguous ? ", ambiguous" : ""}`,
    ];
    if (verdict) parts.push(`${this.curation.text(sample.row)}${verdict.author ? ` by ${verdict.author}` : ""}`);
    this.lead.textContent = parts.filter((part) => part).join(" · ");
  }

  keys(keys: Keys): void {
    const here = "sample";
    const { compare, recording, moves } = this;
    keys.add(here, "back to the gallery", ["Escape"], moves.close);
    keys.add(here, "sample before, next sample", ["ArrowLeft", "ArrowRight"], (key) => moves.step(key === "ArrowLeft" ? -1 : 1));
    for (const mode of MODES) keys.add(here, mode, [MODE_KEYS[mode]], () => compare.show(mode));
    keys.add(here, "choose a candidate", ["1", "2", "3", "4", "5", "6", "7", "8", "9"], (key) => compare.choose(Number(key) - 1));
    keys.add(here, "candidate before, next candidate", ["ArrowUp", "ArrowDown"], (key) => compare.step(key === "ArrowUp" ? -1 : 1));
    keys.add(here, "exchange the two sides", ["a"], () => compare.swap());
    keys.add(here, "move the swipe", ["Shift+ArrowLeft", "Shift+ArrowRight"], (key) => compare.move(key === "Shift+ArrowLeft" ? -5 : 5));
    keys.add(here, "blink by hand", [" "], () => compare.turn());
    keys.add(here, "enlarge, reduce, whole picture", ["+", "-", "0"], (key) => (key === "0" ? compare.reset() : compare.enlarge(key === "+" ? 1.5 : 1 / 1.5)));
    keys.add(here, "move the enlarged picture", ["h", "j", "k", "l"], (key) => {
      compare.pan(key === "h" ? PAN : key === "l" ? -PAN : 0, key === "k" ? PAN : key === "j" ? -PAN : 0);
    });
    keys.add(here, "frame before, next frame", [",", "."], (key) => recording.step(key === "," ? -1 : 1));
    keys.add(here, "ten frames", ["<", ">"], (key) => recording.step(key === "<" ? -10 : 10));
    keys.add(here, "centre frame", ["o"], () => recording.centre());
    this.judge.keys(keys, here);
    keys.add(here, "provenance", ["i"], () => this.node.querySelector("details")?.toggleAttribute("open"));
  }

  private async fetchTruth(sample: Sample): Promise<void> {
    try {
      const truth = await get<BesideTruth | null>(`/api/samples/${sample.row}/truth`);
      if (truth && this.sample === sample) this.use(truth);
    } catch (error) {
      if (this.sample !== sample) return;
      this.facts.append(element("p", { class: "problem" }, `ground truth: ${(error as Error).message}`));
    }
  }

  private use(truth: BesideTruth | null): void {
    if (!this.sample) return;
    this.compare.use(this.sample, this.pictures, truth);
    this.judge.use(this.sample.row);
    this.facts.replaceChildren(scoresTable(this.sample, this.store, truth, (place) => this.compare.choose(place)));
    this.marked();
  }

  /** Mark the mode and the chosen candidate. */
  private marked(): void {
    for (const item of this.modes.querySelectorAll<HTMLElement>("button")) {
      item.setAttribute("aria-pressed", String(item.dataset.mode === this.compare.mode));
    }
    this.facts.querySelectorAll("tbody tr").forEach((line, place) => {
      line.classList.toggle("chosen", place === this.compare.right);
    });
    this.update();
  }
}
