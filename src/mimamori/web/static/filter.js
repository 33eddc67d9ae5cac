// The wall's search and state filter, and the number of households in each state.
import { onChange } from "./live.js";

export function keepFilter() {
  const form = document.getElementById("filter");
  if (!form) return;
  const apply = () => {
    const { find, state } = Object.fromEntries(new FormData(form));
    const words = find.trim().toLowerCase();
    const counts = {};
    for (const tile of document.querySelectorAll(".tile")) {
      counts[tile.dataset.state] = (counts[tile.dataset.state] ?? 0) + 1;
      const shown = (!state || tile.dataset.state === state) && tile.dataset.find.toLowerCase().includes(words);
      tile.hidden = !shown;
    }
    for (const count of form.querySelectorAll("[data-count]")) count.textContent = counts[count.dataset.count] ?? 0;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  onChange(apply);
}
