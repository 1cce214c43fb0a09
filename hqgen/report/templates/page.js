"use strict";
// Filters and sorts the cards. It only hides and moves elements, so no text of a store becomes markup.
const form = document.querySelector("#samples form");
const list = document.querySelector("#samples ul");
const cards = [...list.children];
const number = (card, name) => (card.dataset[name] === "" ? Infinity : Number(card.dataset[name]));

function show() {
  const wanted = Object.fromEntries(new FormData(form));
  const text = wanted.key.toLowerCase();
  let shown = 0;
  for (const card of cards) {
    const { key, source, method, state } = card.dataset;
    card.hidden = !(
      key.toLowerCase().includes(text) &&
      (wanted.source === "" || wanted.source === source) &&
      (wanted.method === "" || wanted.method === method) &&
      (wanted.state === "" || state.split(",").includes(wanted.state))
    );
    shown += !card.hidden;
  }
  const name = wanted.order.replace("-", "");
  const sign = wanted.order.startsWith("-") ? -1 : 1;
  const last = (card) => !Number.isFinite(number(card, name));
  const sorted = [...cards];
  if (name) sorted.sort((a, b) => last(a) - last(b) || (last(a) ? 0 : sign * (number(a, name) - number(b, name))));
  list.append(...sorted);
  form.querySelector("output").textContent = `${shown} of ${cards.length}`;
}

form.hidden = false;
form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
show();
