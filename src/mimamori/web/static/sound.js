// Alarm sounds by priority, shaped after IEC 60601-1-8: high 5+5 pulses, medium 3, low 1; harmonics of one low tone.
// A browser that blocks sound is itself shown as a fault. Muting lasts 2 minutes at most; a new alert, or one that worsens, ends it.
import { onChange } from "./live.js";
import { say } from "./words.js";

const MUTE_MS = 120000;
const PATTERNS = { // seconds from the burst's begin; width of a pulse; seconds to the next burst; tone in Hz
  high: { starts: [0, 0.25, 0.5, 0.95, 1.2, 2.2, 2.45, 2.7, 3.15, 3.4], width: 0.15, again: 9, tone: 440 },
  medium: { starts: [0, 0.45, 0.9], width: 0.2, again: 15, tone: 392 },
  low: { starts: [0], width: 0.2, again: 30, tone: 330 },
};
const ORDER = ["high", "medium", "low"];

let context = null;
let sounding = [];
let known = new Map(); // priority by alert
let mutedUntil = 0;
let next = 0;
let button = null;

export function keepSound() {
  button = document.getElementById("sound");
  const fault = document.getElementById("blocked");
  const Context = window.AudioContext;
  if (Context) context = new Context();
  button.hidden = false;
  button.addEventListener("click", () => { wake(); mute(); });
  fault.addEventListener("click", wake);
  document.addEventListener("pointerdown", wake, { capture: true });
  document.addEventListener("keydown", wake, { capture: true });
  onChange((change) => {
    if (change.sound.some(isLouder)) { mutedUntil = 0; next = 0; }
    sounding = change.sound;
    known = new Map(change.sound);
    show();
  });
  setInterval(step, 250);
}

function isLouder([id, priority]) {
  return !known.has(id) || ORDER.indexOf(priority) < ORDER.indexOf(known.get(id));
}

export function mute() {
  if (!sounding.length) return;
  mutedUntil = performance.now() + MUTE_MS;
  show();
}

function wake() {
  if (context?.state === "suspended") context.resume().then(show, show);
}

function step() {
  show();
  const priority = ORDER.find((level) => sounding.some(([, each]) => each === level));
  if (!priority || performance.now() < Math.max(next, mutedUntil) || context?.state !== "running") return;
  const pattern = PATTERNS[priority];
  next = performance.now() + pattern.again * 1000;
  const begin = context.currentTime + 0.05; // once: the clock of the sound runs on while pulses are made
  for (const start of pattern.starts) pulse(begin + start, pattern);
  document.documentElement.dataset.sounded = priority;
}

function pulse(at, { width, tone }) {
  const gain = context.createGain();
  gain.connect(context.destination);
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(0.22, at + 0.02);
  gain.gain.setValueAtTime(0.22, at + width - 0.03);
  gain.gain.linearRampToValueAtTime(0, at + width);
  const wave = context.createOscillator();
  // fundamental and four harmonics between 300 Hz and 4 kHz, none more than 6 dB below it
  wave.setPeriodicWave(context.createPeriodicWave(new Float32Array(6), new Float32Array([0, 1, 0.8, 0.7, 0.6, 0.5])));
  wave.frequency.value = tone;
  wave.connect(gain);
  wave.start(at);
  wave.stop(at + width + 0.02);
}

function show() {
  const blocked = document.getElementById("blocked");
  const text = context === null ? say("sound.missing") : context.state !== "running" ? say("sound.blocked") : "";
  if (blocked.textContent !== text) blocked.textContent = text;
  blocked.hidden = text === "";
  const left = Math.ceil((mutedUntil - performance.now()) / 1000);
  const muted = left > 0 && sounding.length > 0;
  const label = muted ? say("sound.muted", { left: `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` }) : text ? say("sound.off") : say("sound.on");
  if (button.dataset.label === label) return;
  button.dataset.label = label;
  button.innerHTML = `<svg class="shape" aria-hidden="true"><use href="#shape-sound-${muted || text ? "off" : "on"}"/></svg>`;
  button.append(Object.assign(document.createElement("span"), { textContent: label }));
  button.classList.toggle("is-muted", muted);
}
