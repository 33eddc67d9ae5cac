// The event stream: puts changed tiles and cards in place, and says so within 5 seconds when it is lost.
import { setNow, showAges } from "./ages.js";
import { say } from "./words.js";

const LOST_MS = 4700;
const LOOK_MS = 250;
const { live, lang, mark } = document.body.dataset;
let since = mark;
let source = null;
let heard = performance.now();
let ticks = null;
let moved = performance.now();

export function onChange(listener) {
  document.addEventListener("mimamori:change", (event) => listener(event.detail));
}

export function follow() {
  open();
  setInterval(watch, LOOK_MS);
}

function open() {
  source?.close();
  source = new EventSource(`/live/${live}?lang=${lang}&since=${encodeURIComponent(since)}`);
  source.addEventListener("change", (event) => {
    since = event.lastEventId;
    heard = performance.now();
    apply(JSON.parse(event.data));
  });
  source.addEventListener("beat", (event) => {
    const beat = JSON.parse(event.data);
    heard = performance.now();
    if (beat.ticks !== ticks) moved = heard;
    ticks = beat.ticks;
    setNow(beat.now, beat.speed);
    watch();
  });
  source.addEventListener("out", () => location.reload());
}

function watch() {
  const lost = performance.now() - heard > LOST_MS;
  const stalled = !lost && ticks !== null && performance.now() - moved > 60000;
  banner(lost ? say("site.lost") : stalled ? say("site.stalled") : "");
  if (lost && (source.readyState === EventSource.CLOSED || performance.now() - heard > 3 * LOST_MS)) {
    heard = performance.now() - LOST_MS - 1; // one new try each ten seconds; the banner stays
    open();
  }
}

function banner(text) {
  const shown = document.getElementById("lost");
  document.documentElement.classList.toggle("is-lost", text !== "");
  if (shown.textContent !== text) shown.textContent = text;
  shown.hidden = text === "";
}

function apply(change) {
  setNow(change.now, change.speed);
  const bar = document.getElementById("bar");
  if (bar.dataset.html !== change.bar) {
    bar.innerHTML = change.bar; // made by the server's own templates, which escape what comes from outside
    bar.dataset.html = change.bar;
  }
  const items = document.getElementById("items");
  if (items) place(items, change);
  showAges();
  document.dispatchEvent(new CustomEvent("mimamori:change", { detail: change }));
  watch();
}

function place(items, change) {
  const { prefix, only, household } = items.dataset;
  const order = change.order ?? [...items.children].map((child) => child.id.slice(prefix.length)); // null: as it is
  const wanted = order.filter((id) => (!only || id === only) && (!household || id.startsWith(household + "/")));
  const focused = items.contains(document.activeElement) ? document.activeElement : null;
  const card = focused?.closest("[id]")?.id;
  const key = focused?.dataset.key;
  for (const id of wanted) {
    if (change.items[id] === undefined) continue;
    const made = document.createElement("template");
    made.innerHTML = change.items[id].trim();
    const old = document.getElementById(prefix + id);
    if (old) old.replaceWith(made.content);
    else items.append(made.content);
  }
  const keep = new Set(wanted.map((id) => prefix + id));
  for (const child of [...items.children]) if (!only && !keep.has(child.id)) child.remove();
  wanted.forEach((id, index) => {
    const child = document.getElementById(prefix + id);
    if (child && items.children[index] !== child) items.insertBefore(child, items.children[index] ?? null);
  });
  if (card && !document.activeElement?.closest("dialog")) {
    const again = document.getElementById(card);
    (again?.querySelector(key ? `[data-key="${key}"]` : null) ?? again)?.focus({ preventScroll: true });
  }
}
