// Starts what a page needs. Each module does one thing; the page works without any of them, only not live.
import { follow } from "./live.js";
import { keepAges } from "./ages.js";
import { keepSound } from "./sound.js";
import { takeActions } from "./act.js";
import { takeKeys } from "./keys.js";
import { keepFilter } from "./filter.js";
import { keepFresh } from "./fresh.js";
import { keepCharts } from "./charts.js";

if (document.body.dataset.may !== "act") document.documentElement.classList.add("may-not-act");
keepAges();
keepSound();
takeActions();
takeKeys();
keepFilter();
keepFresh();
keepCharts();
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
follow();
navigator.serviceWorker?.register("/worker.js"); // only over HTTPS and on this machine, as browsers have it
