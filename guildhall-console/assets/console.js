// Keeps a page up to date: when the Ops DB has moved, the page is fetched again, as its URL says, and
// its live parts are exchanged. Forms are left alone. Without this, a page is as of its loading.
"use strict";

const QUIET_MS = 30000; // Ages grow while nothing happens.
const RETRY_MS = 5000;
const live = document.getElementById("live");
const position = (page) => page.getElementById("pulse")?.dataset.position;
let isFetching = false;
let isWanted = false;

function say(word, kind) {
  live.hidden = false;
  if (live.textContent !== word) live.textContent = word;
  live.className = "live " + kind;
}

// What is open or focused in a part stays so: found again by id, or by where it stands.
function keepState(part, next) {
  const opened = [...part.querySelectorAll("details")];
  next.querySelectorAll("details").forEach((details, at) => {
    const same = opened[at]?.closest("[id]")?.id === details.closest("[id]")?.id;
    if (same && opened[at].open) details.open = true;
  });
  const scrolls = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  const selector = "a, button, input, summary, [tabindex]";
  const focused = [...part.querySelectorAll(selector)].indexOf(document.activeElement);
  return () => {
    next.querySelectorAll(".scroll").forEach((one, at) => (one.scrollLeft = scrolls[at] ?? 0));
    if (focused >= 0) next.querySelectorAll(selector)[focused]?.focus({ preventScroll: true });
  };
}

// Rows that were not there, or say something else, are marked for a moment.
const text = (row) => [...row.querySelectorAll("bdi, .badge, b")].map((one) => one.textContent).join();
function markNews(part, next) {
  const before = new Map([...part.querySelectorAll("[id]")].map((row) => [row.id, text(row)]));
  for (const row of next.querySelectorAll("tr[id], li[id]")) {
    if (before.get(row.id) !== text(row)) row.classList.add("news");
  }
}

async function refresh() {
  if (isFetching) return void (isWanted = true);
  isFetching = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = page.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML) continue;
      const settle = keepState(part, next);
      markNews(part, next);
      part.replaceWith(next);
      settle();
    }
    say("up to date", "good");
  } catch {
    say("not reached", "bad");
  }
  // A page that takes long is asked for less often.
  setTimeout(() => {
    isFetching = false;
    if (isWanted) {
      isWanted = false;
      refresh();
    }
  }, performance.now() - began);
}

// Nobody looks at a hidden page, and a browser keeps six connections to a host: it listens again, and
// hears where things stand, when it is shown.
let events = null;
function listen() {
  events?.close();
  events = null;
  if (document.hidden) return;
  events = new EventSource(document.body.dataset.events);
  events.addEventListener("moved", (event) => {
    if (String(JSON.parse(event.data).position) !== position(document)) refresh();
    else say("up to date", "good");
  });
  events.onerror = () => {
    say("reconnecting", "warn");
    // A browser tries again by itself, but not after an answer such as "too many streams".
    if (events?.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  };
}
document.addEventListener("visibilitychange", listen);
listen();
setInterval(() => document.hidden || refresh(), QUIET_MS);

// Whether times are exact is kept from page to page.
const exact = document.getElementById("exact");
exact.checked = localStorage.getItem("exact") === "yes";
exact.addEventListener("change", () => localStorage.setItem("exact", exact.checked ? "yes" : "no"));

// One filter is open at a time, and Escape closes it.
const filters = [...document.querySelectorAll("details.filter")];
filters.forEach((one) =>
  one.addEventListener("toggle", () => one.open && filters.forEach((it) => it !== one && (it.open = false))),
);
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && filters.find((one) => one.open);
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
