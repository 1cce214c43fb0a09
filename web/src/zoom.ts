// One view of many pictures: all frames below a node show the same part, by three variables of its style.

const MOST = 40;

interface Point {
  x: number;
  y: number;
}

export class Zoom {
  private scale = 1;
  private x = 0; // left and top edge of the picture, in frames
  private y = 0;
  private readonly touches = new Map<number, Point>();
  private dragged = false;

  constructor(private readonly node: HTMLElement) {
    node.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    node.addEventListener("pointerdown", (event) => this.down(event));
    node.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"] as const) {
      node.addEventListener(end, (event) => this.touches.delete(event.pointerId));
    }
    // A click at the end of a drag is not a click.
    node.addEventListener("click", (event) => this.dragged && event.stopPropagation(), { capture: true });
    node.addEventListener("dblclick", (event) => {
      const frame = frameOf(event);
      if (frame) this.by(this.scale > 1 ? 1 / this.scale : 4, fraction(frame, event));
    });
    this.apply();
  }

  /** Larger by a factor; `at` stays where it is. */
  by(factor: number, at: Point = { x: 0.5, y: 0.5 }): void {
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.apply();
  }

  /** Move the picture by a part of its frame. */
  pan(x: number, y: number): void {
    this.x += x;
    this.y += y;
    this.apply();
  }

  reset(): void {
    this.scale = 1;
    this.apply();
  }

  private apply(): void {
    const inside = (edge: number): number => Math.min(0, Math.max(1 - this.scale, edge));
    this.x = inside(this.x);
    this.y = inside(this.y);
    this.node.style.setProperty("--scale", String(this.scale));
    this.node.style.setProperty("--x", `${100 * this.x}%`);
    this.node.style.setProperty("--y", `${100 * this.y}%`);
    this.node.dataset.zoomed = String(this.scale > 1);
  }

  private wheel(event: WheelEvent): void {
    const frame = frameOf(event);
    // Without a key the page scrolls, as long as nothing is enlarged.
    if (!frame || (this.scale === 1 && event.deltaY > 0) || event.shiftKey) return;
    event.preventDefault();
    this.by(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.06 : 0.002)), fraction(frame, event));
  }

  private down(event: PointerEvent): void {
    this.dragged = false;
    if (frameOf(event)) this.touches.set(event.pointerId, event);
  }

  private moved(event: PointerEvent): void {
    const before = this.touches.get(event.pointerId);
    const frame = frameOf(event);
    if (!before || !frame || (event.target as Element).closest(".handle")) return;
    const [other] = [...this.touches].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const { width, height } = frame.getBoundingClientRect();
    if (other) {
      const ratio = distance(event, other) / Math.max(1, distance(before, other));
      this.by(ratio, fraction(frame, { x: (event.x + other.x) / 2, y: (event.y + other.y) / 2 }));
    } else if (this.scale > 1) {
      this.pan((event.x - before.x) / width, (event.y - before.y) / height);
    }
    if (this.scale > 1 && distance(event, before) > 0) this.dragged = true;
    this.touches.set(event.pointerId, { x: event.x, y: event.y });
  }
}

function frameOf(event: Event): HTMLElement | null {
  return (event.target as Element).closest<HTMLElement>(".frame");
}

function fraction(frame: HTMLElement, point: Point): Point {
  const box = frame.getBoundingClientRect();
  return { x: (point.x - box.left) / box.width, y: (point.y - box.top) / box.height };
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
