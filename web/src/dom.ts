// Elements. Text is always inserted as text: a name in a file is never read as HTML.

type Child = Node | string | null;
type Properties = Record<string, string | number | boolean | ((event: never) => void)>;

/** An element with attributes, listeners (`onclick`) and children. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  assign(made, properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The same of SVG. */
export function drawing<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  properties: Properties = {},
  ...children: Child[]
): SVGElementTagNameMap[Name] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  assign(made, properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function assign(made: Element, properties: Properties): void {
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value as EventListener);
    else if (typeof value === "boolean") made.toggleAttribute(key, value);
    else made.setAttribute(key, String(value));
  }
}

/** A button with a text, what it does, and the key that does the same. */
export function button(text: string, title: string, action: () => void, key = ""): HTMLButtonElement {
  const label = key ? `${title} (${key})` : title;
  return element("button", { type: "button", title: label, "aria-label": title, onclick: action }, text);
}

/** A picture; where it cannot be had, the reason is in its place. */
export function picture(source: string, name: string): HTMLElement {
  const holder = element("span", { class: "picture" });
  show(holder, source, name);
  return holder;
}

/** Show another picture in its holder. */
export function show(holder: HTMLElement, source: string, name: string): void {
  if (holder.dataset.source === source) return;
  holder.dataset.source = source;
  const image = element("img", { alt: name, draggable: "false" });
  image.addEventListener("error", () => void explain(holder, source));
  image.src = source;
  holder.replaceChildren(image);
}

async function explain(holder: HTMLElement, source: string): Promise<void> {
  let text: string;
  try {
    const answer = await fetch(source);
    text = answer.ok ? "the picture cannot be shown" : ((await answer.json()) as { error: string }).error;
  } catch {
    text = "`hqgen view` does not answer";
  }
  if (holder.dataset.source === source) {
    holder.replaceChildren(element("span", { class: "problem", role: "img", title: text }, text));
  }
}

/** A number with so many decimals; a dash for none. */
export function decimal(value: number | null | undefined, digits = 3): string {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

export function commas(value: number): string {
  return value.toLocaleString("en-US");
}

/** `1 sample`, `2,000 samples`. */
export function count(number: number, noun: string): string {
  return `${commas(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** At most so many letters: the start and the end of a longer text, which tells paths apart. */
export function shortened(text: string, width: number): string {
  if (text.length <= width) return text;
  const head = Math.floor((width - 1) / 3);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
}
