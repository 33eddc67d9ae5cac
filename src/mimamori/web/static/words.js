// The texts that scripts need, from the one catalogue of the server.
const texts = JSON.parse(document.getElementById("words").textContent);

export function say(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return say("time.seconds", { n: seconds });
  if (minutes < 60) return say("time.minutes", { n: minutes });
  if (minutes < 1440) return say("time.hours", { n: Math.floor(minutes / 60), m: minutes % 60 });
  return say("time.days", { n: Math.floor(minutes / 1440) });
}
