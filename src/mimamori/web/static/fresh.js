// Regions that the stream does not carry are fetched again: when their alert or household changes, or every few seconds.
import { onChange } from "./live.js";
import { showAges } from "./ages.js";

const LEAST_MS = 2000;
let last = 0;
let waiting = false;

export function keepFresh() {
  const every = document.querySelector("[data-every]");
  if (every) setInterval(() => !document.hidden && fetchAgain(), Number(every.dataset.every) * 1000);
  const region = document.querySelector("[data-refresh]");
  if (region) onChange((change) => {
    const name = region.dataset.refresh;
    if (change.changed.includes(name) || change.homes.includes(name)) soon();
  });
}

function soon() {
  if (waiting) return;
  waiting = true;
  setTimeout(fetchAgain, Math.max(0, last + LEAST_MS - performance.now()));
}

async function fetchAgain() {
  waiting = false;
  last = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of document.querySelectorAll("[data-every], [data-refresh]")) {
      const made = page.getElementById(region.id);
      if (made && region.dataset.every && !made.dataset.every) return location.reload(); // it is done: show the whole
      if (made && !region.contains(document.activeElement)) region.innerHTML = made.innerHTML;
    }
    showAges();
  } catch {
    // the stream's own banner tells that the connection is lost
  }
}
