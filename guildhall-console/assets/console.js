// Keeps a page up to date: when the Ops DB has moved, the page is fetched again, as its URL says, and
// its live parts are exchanged. Forms are left alone. Without this, a page stays as it was when it loaded.
"use strict";

document.documentElement.classList.add("js");

const QUIET_MS = 30000; // Ages grow while nothing happens.
const RETRY_MS = 5000;
const PATIENCE_MS = 15000;
const SLOW_MS = 1000;
const GRACE_MS = 3000; // A stream ends now and then, and is resumed.
const SILENT_MS = 25000; // A stream says every ten seconds that it is there.
const live = document.getElementById("live");
const worse = document.getElementById("worse");
const parts = () => [...document.querySelectorAll("[data-live]")];
const position = (page) => page.getElementById("pulse")?.dataset.position;
// What stands there is why there is no page.
const isFailure = "failure" in document.body.dataset;
// What was does not move: such a page is fetched again only where another filter is chosen.
const isLive = "events" in document.body.dataset;
const needs = (page) => Number(page.getElementById("attention")?.dataset.count ?? 0);
let isFetching = false;
let isWanted = false;
let isHeard = false; // The stream tells what happens.
let failure = ""; // Why the page could not be fetched, if it could not.
let kept = null; // A page with parts that could not be exchanged yet.

function say(word, kind) {
  live.hidden = false;
  if (live.textContent !== word) live.textContent = word;
  live.className = "live " + kind;
}

function tell() {
  if (failure) say(failure, "bad");
  else if (!isLive) live.hidden = true;
  else if (!isHeard) say("reconnecting", "warn");
  else if (kept) say("paused", "warn");
  else say("up to date", "good");
}

// What tells one thing of a part from all others: its id, or that of what it stands in, what it is
// and where it leads.
const address = (one) => [one.closest("[id]").id, one.localName, one.getAttribute("href")].join(" ");
const scrolling = ".scroll, .json";

// What is open, focused or scrolled in a part stays so where it is still there.
function keepState(part, next) {
  const opened = new Set([...part.querySelectorAll("details[open]")].map((one) => one.id));
  next.querySelectorAll("details").forEach((one) => (one.open = opened.has(one.id)));
  const scrolled = new Map(
    [...part.querySelectorAll(scrolling)].map((one) => [address(one), [one.scrollLeft, one.scrollTop]]),
  );
  const focused = part.contains(document.activeElement) && address(document.activeElement);
  return () => {
    for (const one of next.querySelectorAll(scrolling)) {
      [one.scrollLeft, one.scrollTop] = scrolled.get(address(one)) ?? [0, 0];
    }
    if (!focused) return;
    const same = [...next.querySelectorAll("a, summary, button, [tabindex]")].find((one) => address(one) === focused);
    same?.focus({ preventScroll: true });
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

// A part stays as it is while somebody presses or selects something in it.
let pressed = null;
function isInUse(part) {
  const selection = getSelection();
  return part === pressed || (!selection.isCollapsed && selection.containsNode(part, true));
}

const rendered = new Map(parts().map((part) => [part.id, part.outerHTML]));
function exchange(page) {
  kept = null;
  for (const part of parts()) {
    const next = page.getElementById(part.id);
    const html = next?.outerHTML;
    if (!next || html === rendered.get(part.id)) continue;
    if (isInUse(part)) {
      kept = page;
      continue;
    }
    rendered.set(part.id, html);
    const settle = keepState(part, next);
    markNews(part, next);
    part.replaceWith(next);
    settle();
  }
}

function exchangeKept() {
  if (!kept) return;
  exchange(kept);
  tell();
}
document.addEventListener("selectionchange", exchangeKept);
document.addEventListener("pointerdown", (event) => (pressed = event.target.closest("[data-live]")));
for (const name of ["pointerup", "pointercancel", "pointermove"]) {
  document.addEventListener(name, (event) => {
    if (!pressed || event.buttons) return;
    pressed = null;
    setTimeout(exchangeKept, 100); // The click that follows still finds what was pressed.
  });
}

async function load() {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok) {
    if (isFailure) exchange(page);
    return "error " + answer.status;
  }
  if (!position(page)) return "not reached";
  if (isFailure) location.reload();
  const [before, now] = [needs(document), needs(page)];
  exchange(page);
  document.title = page.title;
  if (now > before) worse.textContent = "Needs attention: " + now;
  else if (now < before) worse.textContent = "";
  return "";
}

async function refresh() {
  if (isFetching) return void (isWanted = true);
  isFetching = true;
  const began = performance.now();
  const slow = setTimeout(() => say("updating", "warn"), SLOW_MS);
  failure = await load().catch(() => "not reached");
  clearTimeout(slow);
  tell();
  // A page that takes long is asked for less often.
  setTimeout(
    () => {
      isFetching = false;
      if (!isWanted && !failure) return;
      isWanted = false;
      if (!document.hidden) refresh();
    },
    failure ? RETRY_MS : performance.now() - began,
  );
}

// A browser keeps six connections to a host, so a hidden page does not listen: it asks now and then, for
// its title is seen, and listens again when it is shown.
let events = null;
let heardAt = 0;
function hear() {
  isHeard = true;
  heardAt = performance.now();
}
function listen() {
  events?.close();
  events = null;
  isHeard = false;
  if (!live.hidden) tell();
  if (document.hidden) return;
  heardAt = performance.now();
  events = new EventSource(document.body.dataset.events);
  events.addEventListener("here", hear);
  events.addEventListener("moved", (event) => {
    hear();
    const isNews = String(JSON.parse(event.data).position) !== position(document);
    if (failure || isFailure || isNews) refresh();
    else tell();
  });
  events.onerror = () => {
    isHeard = false;
    setTimeout(tell, GRACE_MS);
    // A browser tries again by itself, but not after an answer such as "too many streams".
    if (events?.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  };
}
if (isLive) {
  document.addEventListener("visibilitychange", listen);
  listen();
  setInterval(refresh, QUIET_MS);
  // A connection may be dead without an end.
  setInterval(() => document.hidden || performance.now() - heardAt < SILENT_MS || listen(), RETRY_MS);
}

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

// A filter that is chosen is applied: the URL says it, and the page is fetched as the URL says.
for (const form of document.querySelectorAll("form.filters")) {
  const apply = () => {
    const chosen = [...new FormData(form)].filter(([name, value]) => value && name !== "after");
    history.pushState(null, "", form.getAttribute("action") + "?" + new URLSearchParams(chosen));
    for (const filter of form.querySelectorAll("details.filter")) {
      filter.querySelector(".taken").textContent = filter.querySelectorAll(":checked").length || "";
    }
    refresh();
  };
  let soon;
  form.addEventListener("change", apply);
  form.addEventListener("input", (event) => {
    clearTimeout(soon);
    if (event.target.type === "search") soon = setTimeout(apply, 300);
  });
}
// Forms are not exchanged, so a page that is gone back to is loaded whole.
addEventListener("popstate", () => location.reload());

// Copies what is shown short. Where the page may not, what is to be copied is shown and selected.
const copied = document.getElementById("copied");
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    copied.textContent = "Copied";
    button.classList.add("done");
    setTimeout(() => (button.classList.remove("done"), (copied.textContent = "")), 1500);
  } catch {
    const whole = button.parentElement.querySelector("details");
    whole.open = true;
    getSelection().selectAllChildren(whole.querySelector("code"));
  }
});

// Keys, where nobody types. What has the focus keeps it while parts are exchanged, since it is a link.
const search = document.getElementById("search");
const keys = document.getElementById("keys");
const moment = document.getElementById("as-of");
const places = new Map([...document.querySelectorAll(".bar nav [data-key]")].map((one) => [one.dataset.key, one]));
const rows = () => [...document.querySelectorAll("main tbody tr, main .list li, main .group li, main .timeline li")].map((row) => row.querySelector("a")).filter(Boolean);
function go(step) {
  const links = rows();
  const at = links.findIndex((link) => link.closest("tr, li").contains(document.activeElement));
  links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + step))]?.focus();
}
// The field for a moment is behind a word where the page is about now; Escape closes it.
const asking = moment.closest("details");
function ask() {
  if (asking) asking.open = true;
  moment.select();
}
asking?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  asking.open = false;
  asking.querySelector("summary").focus();
});
// Filters may have been chosen since the form came: the URL says them.
moment.form.addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = [...new URLSearchParams(location.search)].filter(([name]) => name !== "as_of" && !name.endsWith("after"));
  if (moment.value) asked.push(["as_of", moment.value]);
  location.search = new URLSearchParams(asked);
});
let isGoing = false;
document.getElementById("keys-button").addEventListener("click", () => keys.showModal());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (keys.open) return;
  const place = isGoing && places.get(event.key);
  isGoing = event.key === "g";
  if (place) {
    place.click();
  } else if (event.key === "/") search.focus();
  else if (event.key === "?") keys.showModal();
  else if (event.key === "m") ask();
  else if (event.key === "j") go(1);
  else if (event.key === "k") go(-1);
  else if (event.key === "n") document.querySelector("main [rel=next]")?.click();
  else if (event.key === "p") document.querySelector("main [rel=prev]")?.click();
  else return;
  event.preventDefault();
});

// Paper has no clicks: what is closed is opened for it, and closed again.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("main details:not([open])")];
  opened.forEach((one) => (one.open = true));
});
addEventListener("afterprint", () => opened.forEach((one) => (one.open = false)));
