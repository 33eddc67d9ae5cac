// What people do about an alert: one POST to the API each; asks first where words are needed.
import { nowMs } from "./ages.js";
import { say } from "./words.js";

const csrf = document.querySelector("meta[name=csrf]").content;

export function takeActions() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) start(button.dataset.act, button.closest("[data-alert]"));
    if (event.target.closest("[data-cancel]")) event.target.closest("dialog").close("");
  });
}

export function start(action, card) {
  if (!card || document.body.dataset.may !== "act") return;
  const dialog = document.getElementById(`ask-${action}`);
  if (!dialog) {
    send(action, card.dataset.alert, {});
    return;
  }
  const form = dialog.querySelector("form");
  form.reset();
  dialog.returnValue = "";
  dialog.querySelector(".ask-about").textContent =
    `${card.querySelector(".card-place").textContent} ${card.querySelector("h3").textContent}`;
  dialog.onclose = () => {
    document.getElementById(card.id)?.focus();
    if (dialog.returnValue !== "go") return;
    const { minutes, ...said } = Object.fromEntries(new FormData(form));
    if (minutes) said.until = new Date(nowMs() + Number(minutes) * 60000).toISOString();
    send(action, card.dataset.alert, said);
  };
  dialog.showModal();
}

async function send(action, alert, said) {
  try {
    const path = alert.split("/").map(encodeURIComponent).join("/");
    const answer = await fetch(`/api/v1/alerts/${path}/${action}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf-token": csrf },
      body: JSON.stringify(said),
    });
    const told = await answer.json();
    const reason = document.body.dataset.lang === "ja" ? (told.detail_ja ?? told.detail) : told.detail;
    if (answer.status === 401) location.reload();
    toast(answer.ok ? say("act.done") : say("refused.failed", { reason }), !answer.ok);
  } catch {
    toast(say("refused.network"), true);
  }
}

let fading = 0;
function toast(text, bad) {
  const shown = document.getElementById("toast");
  shown.textContent = text;
  shown.classList.toggle("is-bad", bad);
  clearTimeout(fading);
  fading = setTimeout(() => { shown.textContent = ""; }, bad ? 12000 : 3000);
}
