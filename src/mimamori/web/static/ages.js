// The age of every number, counted on from the loop's own clock, so that what stops coming fades by itself.
import { say, span } from "./words.js";

const { now, speed, lang } = document.body.dataset;
let base = { now: Number(now) || null, speed: Number(speed) || 1, at: performance.now() };

export function setNow(ms, pace) {
  if (ms !== null) base = { now: ms, speed: pace, at: performance.now() };
}

export function nowMs() {
  return base.now === null ? null : base.now + (performance.now() - base.at) * base.speed;
}

export function showAges(root = document) {
  const present = nowMs();
  if (present === null) return;
  for (const time of root.querySelectorAll("time[data-ago]")) {
    if (!time.dataset.ago) continue;
    const age = present - Number(time.dataset.ago);
    const text = say("time.ago", { span: span(age) });
    if (time.textContent !== text) time.textContent = text;
    const figure = time.closest(".figure");
    if (figure) figure.classList.toggle("is-stale", age > Number(figure.dataset.fresh));
  }
  for (const time of root.querySelectorAll("time[data-for]")) {
    const text = say("time.for", { span: span(present - Number(time.dataset.for)) });
    if (time.textContent !== text) time.textContent = text;
  }
}

export function keepAges() {
  const clock = document.getElementById("clock");
  const hours = { hour: "2-digit", minute: "2-digit", timeZone: clock.dataset.zone };
  const day = { month: "numeric", day: "numeric", weekday: "short", timeZone: clock.dataset.zone };
  const place = lang === "ja" ? "ja-JP" : "en-GB";
  const [showDay, showTime] = [day, hours].map((parts) => new Intl.DateTimeFormat(place, parts));
  const tick = () => {
    showAges();
    if (nowMs() === null) return;
    const shown = [`${showDay.format(nowMs())} `, showTime.format(nowMs())];
    if (clock.textContent !== shown.join("")) clock.replaceChildren(Object.assign(document.createElement("span"), { textContent: shown[0] }), shown[1]);
  };
  tick();
  setInterval(tick, 1000);
}
