"use strict";
// The slider through the epochs. In a live page it also fetches the page again and takes over what has changed.
// Texts of a training are only ever moved as elements or set as text, so none becomes markup.
const EVERY = 2000; // milliseconds between two looks at a live training
const PACE = 350; // and between two epochs that are played

const section = () => document.querySelector("#samples");
const rows = (kind) => [...document.querySelectorAll(`#samples .${kind} li`)].map((item) => item.dataset);
let playing = 0;

/** Show what the controls say. */
function show() {
  const form = section()?.querySelector("form");
  if (!form) return;
  const beside = rows("references").find((row) => row.name === form.beside.value);
  const frame = rows("frames")[form.frame.value];
  form.querySelector("output").textContent = frame.name;
  form.frame.setAttribute("aria-valuetext", frame.name);
  for (const [kind, row] of [["beside", beside], ["frame", frame]]) {
    document.getElementById(kind).setAttribute("href", row.picture);
    for (const text of section().querySelectorAll(`.of-${kind}`)) text.textContent = row.name;
    for (const tile of section().querySelectorAll("figure")) {
      const name = tile.querySelector("b").textContent;
      tile.querySelector(`use[href="#${kind}"]`).parentNode.setAttribute("aria-label", `${name}, ${row.name}`);
    }
  }
}

function begin() {
  const form = section()?.querySelector("form");
  if (!form) return;
  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.play.addEventListener("click", play);
  show();
}

/** Go to another epoch; beyond an end is that end. */
function go(place) {
  const slider = section()?.querySelector("form")?.frame;
  if (!slider) return;
  slider.value = place; // the browser keeps it within its limits
  show();
}

function play() {
  const { frame, play: button } = section().querySelector("form");
  clearInterval(playing);
  playing = playing ? 0 : setInterval(() => go(frame.value === frame.max ? 0 : Number(frame.value) + 1), PACE);
  button.setAttribute("aria-pressed", String(playing !== 0));
  button.textContent = playing ? "stop" : "play";
}

document.addEventListener("keydown", (event) => {
  const form = section()?.querySelector("form");
  const where = event.target.closest("select, button, summary, a, input");
  if (!form || event.ctrlKey || event.metaKey || event.altKey || where?.matches("select")) return;
  const now = Number(form.frame.value);
  const places = { ArrowLeft: now - 1, ",": now - 1, ArrowRight: now + 1, ".": now + 1, Home: 0, End: form.frame.max };
  if (event.key === " " && (!where || where === form.frame)) play();
  else if (event.key in places) go(places[event.key]);
  else return;
  event.preventDefault();
});

// Live: the page is fetched again, and each section that is not what it was replaces its older self.

const seen = new Map(); // the text of each section as the server gave it

function remember(page) {
  for (const item of page.querySelectorAll("section")) seen.set(item.id, item.outerHTML);
}

function adopt(fresh) {
  const old = document.getElementById(fresh.id);
  const form = old.querySelector("form");
  if (fresh.id === "samples" && form && fresh.querySelector("form")) {
    const { name } = rows("frames")[form.frame.value];
    const last = form.frame.value === form.frame.max;
    for (const kind of [".frames", ".references"]) old.querySelector(kind).replaceWith(fresh.querySelector(kind));
    const beside = form.beside.value;
    form.beside.replaceChildren(...fresh.querySelector("form").beside.children);
    form.beside.value = rows("references").some((row) => row.name === beside) ? beside : rows("references")[0].name;
    const place = rows("frames").findIndex((row) => row.name === name);
    form.frame.max = rows("frames").length - 1;
    form.frame.value = last || place < 0 ? form.frame.max : place; // who looks at the newest epoch sees the next one
    show();
    return;
  }
  const open = [...old.querySelectorAll("details")].map((item) => item.open);
  fresh.querySelectorAll("details").forEach((item, index) => (item.open = open[index] ?? item.open));
  old.replaceWith(fresh);
  if (fresh.id === "samples") begin();
}

async function renew() {
  const notice = document.getElementById("notice");
  try {
    const answer = await fetch(location.href, { cache: "no-cache" });
    const text = await answer.text();
    if (!answer.ok) throw new Error(JSON.parse(text).error);
    const page = new DOMParser().parseFromString(text, "text/html");
    document.title = page.title;
    const same = [...page.querySelectorAll("section")].map((item) => item.id).join();
    if (same !== [...document.querySelectorAll("section")].map((item) => item.id).join()) {
      remember(page);
      document.querySelector("main").replaceWith(page.querySelector("main"));
      begin();
    } else {
      for (const fresh of page.querySelectorAll("section")) {
        if (seen.get(fresh.id) !== fresh.outerHTML) {
          seen.set(fresh.id, fresh.outerHTML);
          adopt(fresh);
        }
      }
    }
    notice.hidden = true;
  } catch (error) {
    notice.textContent = error instanceof TypeError ? "`spikeclip view` does not answer" : error.message;
    notice.hidden = false;
  }
}

async function watch() {
  await renew();
  setTimeout(watch, EVERY);
}

remember(document);
begin();
if (document.querySelector("main[data-live]")) setTimeout(watch, EVERY);
