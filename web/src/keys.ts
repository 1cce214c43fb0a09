// Every action has a key. One table holds them; `?` shows it.

import { element } from "./dom";

export interface Key {
  /** As `KeyboardEvent.key` has it, with `Shift+` before keys that write nothing. */
  keys: string[];
  text: string;
  group: string;
  action: (key: string) => void;
}

const NAMES: Record<string, string> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  Escape: "Esc",
  " ": "Space",
};

export class Keys {
  private readonly table: Key[] = [];
  private readonly help = element("dialog", { class: "help", "aria-label": "Keys" });

  /** `open` says which groups of keys work now. */
  constructor(private readonly open: () => string[]) {
    document.body.append(this.help);
    document.addEventListener("keydown", (event) => this.press(event));
    this.help.addEventListener("click", () => this.help.close());
    this.add("everywhere", "show the keys", ["?"], () => this.toggleHelp());
  }

  add(group: string, text: string, keys: string[], action: (key: string) => void): void {
    this.table.push({ keys, text, group, action });
  }

  toggleHelp(): void {
    if (this.help.open) {
      this.help.close();
      return;
    }
    const groups = [...new Set(this.table.map((key) => key.group))];
    this.help.replaceChildren(
      element("h2", {}, "Keys"),
      element("div", { class: "columns" }, ...groups.map((group) => this.listed(group))),
    );
    this.help.showModal();
  }

  private listed(group: string): HTMLElement {
    const rows = this.table
      .filter((key) => key.group === group)
      .flatMap((key) => [
        element("dt", {}, ...key.keys.map((name) => element("kbd", {}, shown(name)))),
        element("dd", {}, key.text),
      ]);
    return element("section", {}, element("h3", {}, group), element("dl", {}, ...rows));
  }

  private press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (event.key === "Escape" && isField(target)) {
      target.blur();
      return;
    }
    if (this.help.open ? event.key !== "?" : takesKey(target, event.key)) return;
    const writes = event.key.length === 1;
    const name = event.shiftKey && !writes ? `Shift+${event.key}` : event.key;
    const groups = this.open();
    const found = this.table.find((key) => groups.includes(key.group) && key.keys.includes(name));
    if (!found) return;
    event.preventDefault();
    found.action(name);
  }
}

function shown(name: string): string {
  return name
    .split("+")
    .map((part) => NAMES[part] ?? part)
    .join("+") || "+";
}

function isField(target: HTMLElement): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** Whether an element needs a key itself. */
function takesKey(target: HTMLElement, key: string): boolean {
  if (target instanceof HTMLInputElement && target.type === "range") return /^(Arrow|Page|Home|End)/.test(key);
  if (target instanceof HTMLInputElement && target.type === "checkbox") return key === " ";
  if (isField(target)) return true;
  return /^(BUTTON|SUMMARY)$/.test(target.tagName) && (key === "Enter" || key === " ");
}
