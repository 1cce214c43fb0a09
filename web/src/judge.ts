// The buttons by which a person judges the sample that is shown.

import type { Compare } from "./compare";
import type { Curation } from "./curation";
import { button, element } from "./dom";
import type { Keys } from "./keys";

export class Judge {
  readonly node = element("div", { class: "tools", role: "group", "aria-label": "Verdict" });
  private readonly pick = button("pick", "Overrule: pick the chosen candidate", () => this.toggle("pick"), "p");
  private readonly reject = button("reject", "Reject the sample", () => this.toggle("reject"), "x");
  private readonly mark = button("mark", "Mark the sample to look at it again", () => this.toggle("mark"), "m");
  private readonly undo = button("undo", "Take back what this page said last", () => void this.curation.undo(), "u");
  private readonly note = element("input", {
    type: "text",
    maxlength: 2000,
    placeholder: "note",
    "aria-label": "Note",
    title: "Note (n); Enter keeps it",
  });
  private row = -1;

  constructor(
    private readonly curation: Curation,
    private readonly compare: Compare,
  ) {
    this.note.addEventListener("change", () => {
      if (this.note.value !== (this.curation.of(this.row)?.note ?? "")) void this.curation.note(this.row, this.note.value);
    });
    this.note.addEventListener("keydown", (event) => event.key === "Enter" && this.note.blur());
    this.node.append(this.pick, this.reject, this.mark, this.note, this.undo);
  }

  use(row: number): void {
    this.row = row;
    this.show();
  }

  keys(keys: Keys, group: string): void {
    keys.add(group, "overrule: pick the chosen candidate", ["p"], () => this.toggle("pick"));
    keys.add(group, "reject", ["x"], () => this.toggle("reject"));
    keys.add(group, "mark", ["m"], () => this.toggle("mark"));
    keys.add(group, "write a note", ["n"], () => this.note.select());
    keys.add(group, "undo what this page said last", ["u"], () => void this.curation.undo());
  }

  /** Show what holds of the sample, and which candidate would be picked. */
  show(): void {
    const look = this.compare.looks[this.compare.right];
    const can = look !== undefined && look.method !== null && look.source !== "";
    this.pick.textContent = can ? `pick ${look.name}` : "pick";
    this.pick.disabled = !can;
    const verdict = this.curation.of(this.row);
    const picked = verdict?.action === "pick" && verdict.method === look?.method;
    for (const [item, on] of [
      [this.pick, picked],
      [this.reject, verdict?.action === "reject"],
      [this.mark, verdict?.action === "mark"],
    ] as const) {
      item.setAttribute("aria-pressed", String(on));
    }
    if (document.activeElement !== this.note) this.note.value = verdict?.note ?? "";
  }

  private toggle(action: "pick" | "reject" | "mark"): void {
    if (action === "pick" && this.pick.disabled) return;
    const method = action === "pick" ? (this.compare.looks[this.compare.right]?.method ?? null) : null;
    void this.curation.toggle(this.row, action, method);
  }
}
