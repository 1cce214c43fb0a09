// The candidates of a sample: side by side, two of them under a swipe, in turns, or as differences.

import type { BesideTruth, Pictures, Sample } from "./api";
import { decimal, element, picture } from "./dom";
import { Zoom } from "./zoom";

export const MODES = ["side by side", "swipe", "blink", "difference"] as const;
export type Mode = (typeof MODES)[number];

const BLINK = 600; // milliseconds

/** What can be looked at: a candidate, or the ground truth. */
export interface Look {
  name: string;
  source: string;
  difference: string | null;
  score: number | null;
  note: string;
  winner: boolean;
  method: number | null;
}

export class Compare {
  readonly node = element("div", { class: "compare" });
  mode: Mode = "side by side";
  left = 0;
  right = 0;
  looks: Look[] = [];
  private shape = { width: 1, height: 1 };
  private readonly zoom = new Zoom(this.node);
  private timer = 0;
  private cut = 50;
  private picked: number | null = null;

  constructor(private readonly changed: () => void) {}

  use(sample: Sample, pictures: Pictures, truth: BesideTruth | null): void {
    const chosen = this.looks[this.right]?.name;
    this.shape = sample;
    this.looks = sample.candidates.map((candidate) => ({
      name: candidate.name,
      source: candidate.score === null ? "" : pictures.candidate(sample.row, candidate.method),
      difference: candidate.score === null || sample.winner === null ? null : pictures.difference(sample.row, candidate.method),
      score: candidate.score,
      note: candidate.reason ?? (candidate.score === null ? "no score" : ""),
      winner: candidate.method === sample.winner,
      method: candidate.method,
    }));
    if (truth) {
      this.looks.push({
        name: "ground truth",
        source: pictures.truth(sample.row),
        difference: null,
        score: null,
        note: "",
        winner: false,
        method: null,
      });
    }
    this.left = Math.max(0, this.looks.findIndex((look) => look.winner));
    const again = this.looks.findIndex((look) => look.name === chosen && look.source !== "");
    this.right = again >= 0 ? again : this.other(this.left);
    this.draw();
  }

  /** Mark the candidate that a person picked. */
  pick(method: number | null): void {
    if (method === this.picked) return;
    this.picked = method;
    this.draw();
  }

  /** Choose what is compared with the other one. */
  choose(place: number, side: "left" | "right" = "right"): void {
    if (!this.looks[place]) return;
    this[side] = place;
    this.draw();
  }

  step(by: number): void {
    this.choose((this.right + by + this.looks.length) % this.looks.length);
  }

  show(mode: Mode): void {
    this.mode = mode;
    this.draw();
  }

  swap(): void {
    [this.left, this.right] = [this.right, this.left];
    this.draw();
  }

  move(by: number): void {
    this.cutAt(this.cut + by);
  }

  /** Blink by hand; the clock stops. */
  turn(): void {
    clearInterval(this.timer);
    this.node.dataset.side = this.node.dataset.side === "right" ? "left" : "right";
  }

  enlarge(factor: number): void {
    this.zoom.by(factor);
  }

  pan(x: number, y: number): void {
    this.zoom.pan(x, y);
  }

  reset(): void {
    this.zoom.reset();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private other(place: number): number {
    const scored = this.looks
      .map((look, index) => ({ ...look, index }))
      .filter((look) => look.index !== place && look.source !== "");
    scored.sort((a, b) => (a.score ?? Infinity) - (b.score ?? Infinity));
    return scored[0]?.index ?? place;
  }

  private draw(): void {
    clearInterval(this.timer);
    this.node.dataset.mode = this.mode;
    if (this.mode === "side by side") this.node.replaceChildren(...this.looks.map((_, place) => this.pane(place)));
    else if (this.mode === "difference") this.drawDifferences();
    else this.drawPair();
    this.changed();
  }

  private drawDifferences(): void {
    const legend = element(
      "p",
      { class: "quiet legend" },
      element("i", { class: "more" }),
      "brighter than the winner ",
      element("i", { class: "less" }),
      "darker; four times enlarged",
    );
    const panes = this.looks.flatMap((look, place) => (look.winner || look.method === null ? [] : [this.pane(place, true)]));
    this.node.replaceChildren(legend, ...panes);
  }

  private drawPair(): void {
    const [left, right] = [this.looks[this.left]!, this.looks[this.right]!];
    const frame = this.frame();
    const top = this.shown(right);
    top.classList.add("top");
    frame.append(this.shown(left), top);
    const names = element(
      "figcaption",
      {},
      element("b", { class: "of one" }, left.name, ...this.tags(left)),
      element("b", { class: "of two" }, right.name, ...this.tags(right)),
    );
    const pair = element("figure", { class: "pair" }, frame, names);
    if (this.mode === "swipe") {
      const handle = element("div", { class: "handle", "aria-hidden": "true" });
      const drag = (event: PointerEvent): void => {
        if (event.buttons === 0) return;
        const box = frame.getBoundingClientRect();
        this.cutAt((100 * (event.x - box.left)) / box.width);
      };
      handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
      handle.addEventListener("pointermove", drag);
      frame.append(handle);
      const input = (event: Event): void => this.cutAt(Number((event.target as HTMLInputElement).value));
      pair.append(
        element("input", { type: "range", class: "cut", min: 0, max: 100, step: 0.5, value: this.cut, oninput: input, "aria-label": "Where the two pictures meet" }),
      );
    } else {
      this.node.dataset.side = "left";
      this.timer = window.setInterval(() => {
        this.node.dataset.side = this.node.dataset.side === "right" ? "left" : "right";
      }, BLINK);
    }
    this.node.replaceChildren(pair);
    this.cutAt(this.cut);
  }

  private cutAt(percent: number): void {
    this.cut = Math.min(100, Math.max(0, percent));
    this.node.style.setProperty("--cut", `${this.cut}%`);
    const input = this.node.querySelector<HTMLInputElement>(".cut");
    if (input) input.value = String(this.cut);
  }

  private pane(place: number, difference = false): HTMLElement {
    const look = this.looks[place]!;
    const frame = this.frame();
    frame.append(this.shown(look, difference));
    const key = place < 9 ? element("kbd", {}, String(place + 1)) : null;
    const kind = `pane${look.winner ? " winner" : ""}${place === this.right ? " chosen" : ""}`;
    const caption = element(
      "figcaption",
      {},
      key,
      element("b", {}, look.name, ...this.tags(look)),
      element("span", { class: "number" }, look.score === null ? "" : decimal(look.score)),
    );
    const choose = (): void => this.choose(place);
    return element("figure", { class: kind, "data-look": look.name, onclick: choose }, frame, caption);
  }

  private tags(look: Look): HTMLElement[] {
    const picked = look.method !== null && look.method === this.picked;
    return [
      ...(look.winner ? [element("em", { class: "tag" }, "winner")] : []),
      ...(picked ? [element("em", { class: "tag picked" }, "picked")] : []),
    ];
  }

  private frame(): HTMLElement {
    const frame = element("div", { class: "frame" });
    frame.style.aspectRatio = `${this.shape.width} / ${this.shape.height}`;
    return frame;
  }

  private shown(look: Look, difference = false): HTMLElement {
    const source = difference ? look.difference : look.source;
    if (source) return picture(source, difference ? `${look.name}, difference to the winner` : look.name);
    const text = look.note || "no picture";
    return element("span", { class: "picture" }, element("span", { class: "problem quiet", title: text }, text));
  }
}
