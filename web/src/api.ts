// What the server answers: see `hqgen/view/app.py`.

export interface Source {
  name: string;
  height: number;
  width: number;
  samples: number;
}

export interface Store {
  version: string;
  plan_id: string;
  store: string;
  finished: string;
  samples: number;
  methods: string[];
  sources: Source[];
  reasons: { text: string; samples: number }[];
  scorer: string;
  rule: string;
  judges: string[];
  ambiguous_below: number | null;
  ambiguous: number;
  quarantined: number;
  keep_candidates: boolean;
}

export interface Histogram {
  low: number;
  high: number;
  counts: number[];
}

export interface Page {
  total: number;
  start: number;
  position: number | null;
  row: number[];
  key: string[];
  source: number[];
  winner: number[];
  score: (number | null)[];
  margin: (number | null)[];
  ambiguous: boolean[];
  counts: { sources: Record<string, number>; winners: Record<string, number> };
  histograms: { score: Histogram; margin: Histogram };
}

export interface Candidate {
  method: number;
  name: string;
  score: number | null;
  judges: Record<string, number | null>;
  reason: string | null;
  mirrored: number;
  leg: string;
}

export interface Sample {
  row: number;
  key: string;
  source: string;
  height: number;
  width: number;
  winner: number | null;
  score: number | null;
  margin: number | null;
  ambiguous: boolean;
  refused: string | null;
  frame: number;
  frames: number;
  candidates: Candidate[];
  provenance: Record<string, string>;
}

export interface Rates {
  start: number;
  values: number[];
}

export interface BesideTruth {
  name: string;
  psnr: Record<string, number | null>;
  ssim: Record<string, number | null>;
}

/** What the server says it cannot do. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

export async function get<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  return answered<Answer>(await fetch(path, signal ? { signal } : {}));
}

export async function post<Answer>(path: string, value: unknown): Promise<Answer> {
  const headers = { "Content-Type": "application/json" };
  return answered<Answer>(await fetch(path, { method: "POST", headers, body: JSON.stringify(value) }));
}

async function answered<Answer>(answer: Response): Promise<Answer> {
  const value: unknown = await answer.json().catch(() => ({ error: answer.statusText, hint: "" }));
  if (answer.ok) return value as Answer;
  const { error, hint } = value as { error: string; hint: string };
  throw new Refused(error, hint);
}

/** Addresses of pictures. */
export class Pictures {
  constructor(private readonly store: Store) {}

  small(row: number, factor: number): string {
    return `${this.folder(row)}/small/${factor}.png`;
  }

  candidate(row: number, method: number): string {
    return `${this.folder(row)}/candidate/${method}.png`;
  }

  difference(row: number, method: number): string {
    return `${this.folder(row)}/difference/${method}.png`;
  }

  truth(row: number): string {
    return `${this.folder(row)}/truth.png`;
  }

  frame(row: number, frame: number, how: string): string {
    return `${this.folder(row)}/frame/${frame}/${how}.png`;
  }

  private folder(row: number): string {
    return `/pictures/${this.store.version}/${row}`;
  }
}
