// The recording of a sample: the spike rate of its window, and a slider over all frames.

import { get, type Pictures, type Rates, type Sample } from "./api";
import { commas, decimal, drawing, element } from "./dom";

const WIDTH = 360;
const HEIGHT = 84;
const WAIT = 90; // milliseconds that a frame must stay chosen before it is fetched

export class RecordingView {
  readonly node = element("section", { class: "recording", "aria-label": "Recording" });
  private readonly curve = element("div", { class: "curve" });
  private readonly slider = element("input", { type: "range", min: 0, "aria-label": "Frame" });
  private readonly number = element("output", { class: "number" });
  private readonly how = element("select", { "aria-label": "How a frame is shown" });
  private readonly frame = element("div", { class: "frame" });
  private readonly image = element("img", { alt: "", draggable: "false" });
  private readonly note = element("p", { class: "problem", hidden: true });
  private sample: Sample | null = null;
  private rates: Rates | null = null;
  private timer = 0;
  private wanted = "";

  constructor(private readonly pictures: Pictures) {
    this.slider.addEventListener("input", () => this.chosen());
    this.how.addEventListener("change", () => this.fetch());
    this.frame.append(this.image);
    this.node.append(
      element("h3", {}, "recording"),
      this.curve,
      element("div", { class: "frames" }, this.slider, this.number, this.how),
      this.note,
      this.frame,
    );
  }

  async use(sample: Sample): Promise<void> {
    this.sample = sample;
    this.rates = null;
    this.curve.replaceChildren();
    this.frame.style.aspectRatio = `${sample.width} / ${sample.height}`;
    this.slider.max = String(sample.frames - 1);
    this.slider.value = String(sample.frame);
    const methods = sample.candidates.map(({ method, name }) => ({ value: String(method), name }));
    const before = this.how.value;
    this.how.replaceChildren(
      ...[...methods, { value: "spikes", name: "spikes" }].map(({ value, name }) => element("option", { value }, name)),
    );
    // The winner may be a network that takes seconds per frame; the first method is quick.
    this.how.value = [...this.how.options].some((option) => option.value === before) ? before : this.how.options[0]!.value;
    this.chosen();
    try {
      const rates = await get<Rates>(`/api/samples/${sample.row}/rates`);
      if (this.sample !== sample) return;
      this.rates = rates;
      this.draw();
    } catch (error) {
      if (this.sample === sample) this.curve.replaceChildren(element("p", { class: "problem" }, (error as Error).message));
    }
  }

  step(by: number): void {
    this.slider.value = String(Number(this.slider.value) + by);
    this.chosen();
  }

  centre(): void {
    if (!this.sample) return;
    this.slider.value = String(this.sample.frame);
    this.chosen();
  }

  private chosen(): void {
    const last = Number(this.slider.max);
    this.number.textContent = `${commas(Number(this.slider.value))} / ${commas(last)}`;
    this.draw();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.fetch(), WAIT);
  }

  private fetch(): void {
    if (!this.sample) return;
    const source = this.pictures.frame(this.sample.row, Number(this.slider.value), this.how.value);
    const next = new Image();
    next.addEventListener("load", () => {
      if (this.wanted !== source) return;
      this.note.hidden = true;
      this.image.src = source;
    });
    next.addEventListener("error", () => void this.explain(source));
    this.wanted = source;
    next.src = source;
  }

  private async explain(source: string): Promise<void> {
    try {
      await get(source);
    } catch (error) {
      if (this.wanted !== source) return;
      this.image.removeAttribute("src");
      this.note.hidden = false;
      this.note.textContent = (error as Error).message;
    }
  }

  /** The curve, the centre frame and the chosen one; a click chooses a frame. */
  private draw(): void {
    const { rates, sample } = this;
    if (!rates || !sample || rates.values.length === 0) return;
    const [low, high] = [Math.min(...rates.values), Math.max(...rates.values)];
    const span = high - low || 1;
    const steps = Math.max(1, rates.values.length - 1);
    const x = (frame: number): number => ((frame - rates.start) / steps) * WIDTH;
    const y = (value: number): number => 4 + (HEIGHT - 8) * (1 - (value - low) / span);
    const points = rates.values.map((value, i) => `${x(rates.start + i).toFixed(1)},${y(value).toFixed(1)}`);
    const line = (frame: number, kind: string): SVGElement =>
      drawing("line", { x1: x(frame), x2: x(frame), y1: 0, y2: HEIGHT, class: kind });
    const chosen = Number(this.slider.value);
    const svg = drawing(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none", "aria-label": `Spike rate from ${decimal(low)} to ${decimal(high)}` },
      line(sample.frame, "centre"),
      chosen >= rates.start && chosen <= rates.start + steps ? line(chosen, "chosen") : null,
      drawing("polyline", { points: points.join(" ") }),
    );
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      this.slider.value = String(rates.start + Math.round(((event.clientX - box.left) / box.width) * steps));
      this.chosen();
    });
    const inside = rates.values[chosen - rates.start];
    this.curve.replaceChildren(
      element(
        "p",
        { class: "quiet between" },
        element("span", {}, "spikes per pixel and frame"),
        element("span", { class: "number" }, inside === undefined ? `${decimal(low)} to ${decimal(high)}` : decimal(inside, 4)),
      ),
      svg as unknown as HTMLElement,
      element(
        "p",
        { class: "quiet between number" },
        element("span", {}, String(rates.start)),
        element("span", {}, `frames of the window; centre ${sample.frame}`),
        element("span", {}, String(rates.start + steps)),
      ),
    );
  }
}
