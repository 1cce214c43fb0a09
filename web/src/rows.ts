// The rows that a query finds, fetched in pages while they are looked at.

import { get, type Page } from "./api";
import { parameters, type Query } from "./state";

export interface Row {
  row: number;
  key: string;
  source: number;
  winner: number;
  score: number | null;
  margin: number | null;
  ambiguous: boolean;
}

const PAGE = 200;

export class Rows {
  total = 0;
  private readonly pages = new Map<number, Page | "asked">();
  private readonly abort = new AbortController();

  /** `arrived` is called with every page that comes. */
  constructor(
    private readonly query: Query,
    private readonly arrived: (page: Page) => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Fetch the first page; and, of a row, where it is among the found ones. */
  async begin(find: number | null): Promise<number | null> {
    const page = await this.fetch(0, find);
    return page?.position ?? null;
  }

  /** A row by its place; null where it has not come yet. */
  at(place: number): Row | null {
    const page = this.pages.get(Math.floor(place / PAGE));
    if (!page || page === "asked") return null;
    const i = place - page.start;
    const row = page.row[i];
    if (row === undefined) return null;
    return {
      row,
      key: page.key[i]!,
      source: page.source[i]!,
      winner: page.winner[i]!,
      score: page.score[i]!,
      margin: page.margin[i]!,
      ambiguous: page.ambiguous[i]!,
    };
  }

  /** See that the places from `first` to before `last` come. */
  want(first: number, last: number): void {
    for (let page = Math.floor(first / PAGE); page * PAGE < Math.min(last, this.total); page++) {
      if (page >= 0 && !this.pages.has(page)) void this.fetch(page, null);
    }
  }

  /** A row by its place, when it has come; null where there is none. */
  async wait(place: number): Promise<Row | null> {
    if (place < 0 || place >= this.total) return null;
    if (!this.at(place)) await this.fetch(Math.floor(place / PAGE), null);
    return this.at(place);
  }

  /** Nobody looks at these rows any more. */
  drop(): void {
    this.abort.abort();
  }

  private async fetch(number: number, find: number | null): Promise<Page | null> {
    this.pages.set(number, "asked");
    const asked = parameters(this.query);
    asked.set("start", String(number * PAGE));
    asked.set("count", String(PAGE));
    if (find !== null) asked.set("find", String(find));
    try {
      const page = await get<Page>(`/api/samples?${asked}`, this.abort.signal);
      this.pages.set(number, page);
      this.total = page.total;
      this.arrived(page);
      return page;
    } catch (error) {
      this.pages.delete(number);
      if (!this.abort.signal.aborted) this.failed(error);
      return null;
    }
  }
}
