// A chart comes as a picture; whoever asks sees its values with the pointer: the same specification, drawn here.
export function keepCharts() {
  for (const figure of document.querySelectorAll("figure.chart[data-spec]")) {
    const button = figure.querySelector("button");
    button.hidden = false;
    button.addEventListener("click", () => show(figure, button));
  }
}

async function show(figure, button) {
  button.disabled = true;
  try {
    await import("/static/vega.js");
    const narrow = matchMedia("(max-width: 44rem)").matches ? "?narrow=1" : "";
    const answer = await fetch(figure.dataset.spec + narrow);
    if (!answer.ok) throw new Error(answer.status);
    const box = document.createElement("div");
    box.className = "chart-live";
    figure.append(box);
    await globalThis.drawChart(box, await answer.json());
    figure.classList.add("is-live");
    button.remove();
  } catch {
    button.disabled = false; // the picture stays
  }
}
