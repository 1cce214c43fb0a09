// What the page shows, kept in its address: a reload, a bookmark and the back button keep it.

export interface Query {
  text: string;
  source: string[];
  winner: string[];
  verdict: string[];
  score_min: string;
  score_max: string;
  margin_min: string;
  margin_max: string;
  ambiguous: "" | "yes" | "no";
  quarantined: "" | "yes" | "no";
  reason: string;
  order: string;
  descending: boolean;
}

export const ALL: Query = {
  text: "",
  source: [],
  winner: [],
  verdict: [],
  score_min: "",
  score_max: "",
  margin_min: "",
  margin_max: "",
  ambiguous: "",
  quarantined: "",
  reason: "",
  order: "store",
  descending: false,
};

export interface State {
  query: Query;
  sample: number | null;
}

/** A query as that of an address; what is as in `ALL` is left out. */
export function parameters(query: Query): URLSearchParams {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const item of value) found.append(name, item as string);
    else if (value !== ALL[name as keyof Query]) found.set(name, String(value));
  }
  return found;
}

function parsed(text: string): State {
  const found = new URLSearchParams(text);
  const query: Record<string, unknown> = {};
  for (const [name, usual] of Object.entries(ALL)) {
    if (Array.isArray(usual)) query[name] = found.getAll(name);
    else if (typeof usual === "boolean") query[name] = found.get(name) === "true";
    else query[name] = found.get(name) ?? usual;
  }
  const sample = found.get("sample");
  const row = sample !== null && /^\d+$/.test(sample) ? Number(sample) : null;
  return { query: query as unknown as Query, sample: row };
}

/** The state, and who wants to know when it changes. */
export class Address {
  private now: State = parsed(location.hash.slice(1));
  private readonly listeners: ((state: State, before: State) => void)[] = [];

  constructor() {
    window.addEventListener("hashchange", () => this.take(parsed(location.hash.slice(1))));
  }

  get state(): State {
    return this.now;
  }

  watch(listener: (state: State, before: State) => void): void {
    this.listeners.push(listener);
  }

  /** Change the query; the back button does not stop at every letter. */
  filter(change: Partial<Query>): void {
    this.go({ ...this.now, query: { ...this.now.query, ...change } }, "replace");
  }

  /** Show a sample, or the gallery. From one sample to the next, the back button leads to the gallery. */
  open(sample: number | null): void {
    const steps = (sample === null) === (this.now.sample === null);
    this.go({ ...this.now, sample }, steps ? "replace" : "push");
  }

  private go(state: State, how: "replace" | "push"): void {
    const found = parameters(state.query);
    if (state.sample !== null) found.set("sample", String(state.sample));
    const place = `#${found}`;
    if (how === "push") history.pushState(null, "", place);
    else history.replaceState(null, "", place);
    this.take(state);
  }

  private take(state: State): void {
    const before = this.now;
    this.now = state;
    for (const listener of this.listeners) listener(state, before);
  }
}
