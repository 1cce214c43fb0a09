// Numbers of a sample: what every judge says of every candidate, and where the pixels come from.

import type { BesideTruth, Sample, Store } from "./api";
import { decimal, element } from "./dom";

/** A table of candidates and judges; the best value of a column is bold. */
export function scoresTable(
  sample: Sample,
  store: Store,
  truth: BesideTruth | null,
  choose: (place: number) => void,
): HTMLElement {
  const columns: { name: string; better: "less" | "more"; digits: number; values: (number | null | undefined)[] }[] = [
    { name: store.scorer, better: "less", digits: 3, values: sample.candidates.map((item) => item.score) },
    ...store.judges.map((judge) => ({
      name: judge,
      better: "less" as const,
      digits: judge === "brisque" || judge === "piqe" ? 1 : 3,
      values: sample.candidates.map((item) => item.judges[judge]),
    })),
  ];
  if (truth) {
    columns.push(
      { name: "PSNR", better: "more", digits: 2, values: sample.candidates.map((item) => truth.psnr[item.name]) },
      { name: "SSIM", better: "more", digits: 3, values: sample.candidates.map((item) => truth.ssim[item.name]) },
    );
  }
  const best = columns.map(({ values, better }) => {
    const there = values.filter((value) => value !== null && value !== undefined);
    return better === "less" ? Math.min(...there) : Math.max(...there);
  });
  const heads = columns.map(({ name, better }) =>
    element("th", { scope: "col", title: `${better} is better` }, `${name} ${better === "less" ? "↓" : "↑"}`),
  );
  const rows = sample.candidates.map((candidate, place) => {
    const cells = columns.map(({ values, digits }, column) =>
      element("td", values[place] === best[column] ? { class: "best" } : {}, decimal(values[place], digits)),
    );
    const note = candidate.reason ?? (candidate.mirrored > 0 ? `${Math.round(100 * candidate.mirrored)} % of its frames are mirrored` : "");
    const name = element("th", { scope: "row", title: note }, candidate.name, note ? element("sup", {}, "*") : null);
    const kind = candidate.method === sample.winner ? "winner" : "";
    return element("tr", { class: kind, onclick: () => choose(place) }, name, ...cells);
  });
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, element("th", {}, "method"), ...heads)),
    element("tbody", {}, ...rows),
  );
  const notes = sample.candidates
    .filter((candidate) => candidate.reason)
    .map((candidate) => element("li", {}, `${candidate.name}: ${candidate.reason}`));
  if (sample.refused) notes.unshift(element("li", {}, sample.refused));
  return element(
    "section",
    { class: "scores", "aria-label": "Scores" },
    element("h3", {}, "scores"),
    element("div", { class: "wide" }, table),
    notes.length ? element("ul", { class: "notes" }, ...notes) : null,
  );
}

export function provenance(sample: Sample): HTMLElement {
  const facts = Object.entries(sample.provenance).flatMap(([name, value]) => [
    element("dt", {}, name),
    element("dd", {}, value),
  ]);
  return element(
    "details",
    { class: "provenance" },
    element("summary", {}, "provenance"),
    element("dl", {}, ...facts),
  );
}
