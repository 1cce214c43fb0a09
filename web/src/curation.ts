// Verdicts of people: what holds now, what others say meanwhile, and how one says more.

import { get, post } from "./api";

export type Action = "pick" | "reject" | "mark";

export interface Verdict {
  row: number;
  action: Action;
  method: number | null;
  note: string;
  author: string;
  time: string;
}

interface State {
  number: number;
  verdicts: Verdict[] | null; // null: as before
  said?: number[];
}

const AGAIN = 2000; // milliseconds from one question for news to the next

export class Curation {
  private number = -1;
  private verdicts = new Map<number, Verdict>();
  private readonly own: OwnEntries;
  private last: Promise<void> = Promise.resolve();

  /** `failed` is told what went wrong, and null when all is well again. */
  constructor(
    version: string,
    private readonly methods: string[],
    private readonly changed: () => void,
    private readonly failed: (error: unknown) => void,
  ) {
    this.own = new OwnEntries(`hqgen-said-${version}`);
    void this.look();
    window.setInterval(() => {
      if (!document.hidden) void this.look();
    }, AGAIN);
  }

  of(row: number): Verdict | null {
    return this.verdicts.get(row) ?? null;
  }

  /** A verdict in a word or two; empty without one. */
  text(row: number): string {
    const found = this.verdicts.get(row);
    if (!found) return "";
    if (found.action === "pick") return `picked ${this.methods[found.method ?? 0] ?? ""}`;
    return found.action === "reject" ? "rejected" : "marked";
  }

  get counts(): Record<string, number> {
    const counts: Record<string, number> = { pick: 0, reject: 0, mark: 0 };
    for (const { action } of this.verdicts.values()) counts[action]! += 1;
    return counts;
  }

  /** Say something of a sample, with the note that it has; the same once more takes it back. */
  toggle(row: number, action: Action, method: number | null = null): Promise<void> {
    return this.take(() => {
      const now = this.of(row);
      if (now?.action === action && now.method === method) return this.say(row, "clear", null, "");
      return this.say(row, action, method, now?.note ?? "");
    });
  }

  /** Keep a note with what holds of a sample; without anything, the sample is marked. */
  note(row: number, note: string): Promise<void> {
    return this.take(() => {
      const now = this.of(row);
      return this.say(row, now?.action ?? "mark", now?.method ?? null, note);
    });
  }

  /** Take back what this page said last; what others said stays. */
  undo(): Promise<void> {
    return this.take(async () => {
      const number = this.own.last;
      if (number === undefined) throw new Error("this page has said nothing that it could take back");
      this.own.drop();
      return post<State>("/api/undo", { number });
    });
  }

  private async say(row: number, action: Action | "clear", method: number | null, note: string): Promise<State> {
    const said = { rows: [row], action, note, ...(method === null ? {} : { method }) };
    return post<State>("/api/verdicts", said);
  }

  private look(): Promise<void> {
    return this.take(() => get<State>(`/api/verdicts?since=${this.number}`));
  }

  /** One after the other: each begins with what holds after the one before. */
  private take(ask: () => Promise<State>): Promise<void> {
    this.last = this.last.then(() => this.answered(ask));
    return this.last;
  }

  private async answered(ask: () => Promise<State>): Promise<void> {
    try {
      const { number, verdicts, said } = await ask();
      this.failed(null);
      this.own.known(number, said ?? []);
      if (verdicts === null) return;
      this.number = number;
      this.verdicts = new Map(verdicts.map((verdict) => [verdict.row, verdict]));
      this.changed();
    } catch (error) {
      this.failed(error);
    }
  }
}

/** Numbers of the entries that this page wrote and did not take back; a reload keeps them. */
class OwnEntries {
  private numbers: number[];

  constructor(private readonly name: string) {
    this.numbers = JSON.parse(sessionStorage.getItem(name) ?? "[]") as number[];
  }

  get last(): number | undefined {
    return this.numbers.at(-1);
  }

  drop(): void {
    this.keep(this.numbers.slice(0, -1));
  }

  /** Of a journal with `count` entries; a shorter one than before is another journal. */
  known(count: number, more: number[]): void {
    if (more.length > 0 || (this.last ?? 0) > count) this.keep([...this.numbers.filter((number) => number <= count), ...more]);
  }

  private keep(numbers: number[]): void {
    this.numbers = numbers;
    sessionStorage.setItem(this.name, JSON.stringify(numbers));
  }
}
