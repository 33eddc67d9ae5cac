// The queue by keyboard: J K move, A N R S act, O opens the reason, M mutes. Never while somebody is typing.
import { start } from "./act.js";
import { mute } from "./sound.js";

const ACTIONS = { a: "acknowledge", n: "note", r: "resolve", s: "shelve" };

export function takeKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    const key = event.key.toLowerCase();
    if (key === "m") mute();
    const cards = [...document.querySelectorAll(".card")];
    if (!cards.length) return;
    const here = event.target.closest(".card") ?? null;
    if (key === "j" || key === "arrowdown") move(event, cards, here, 1);
    else if (key === "k" || key === "arrowup") move(event, cards, here, -1);
    else if (ACTIONS[key]) {
      event.preventDefault();
      start(ACTIONS[key], here ?? cards[0]);
    } else if (key === "o") (here ?? cards[0]).querySelector("a[data-key=why]").click();
  });
}

function move(event, cards, here, step) {
  event.preventDefault();
  const next = cards[Math.min(cards.length - 1, Math.max(0, cards.indexOf(here) + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}
