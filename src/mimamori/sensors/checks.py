"""The checks of a device against the contract of sensors/README.md, one function each: pass, warn, fail or unseen.

May import model and the pure files of sensors. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND, Nanos, format_duration
from mimamori.sensors.decode import AHEAD, BACK_FILL
from mimamori.sensors.heard import Device, Finding, Standing, Verdict
from mimamori.sensors.profile import TOPIC_ROOT
from mimamori.sensors.sample import MAX_PAYLOAD

_LARGE = 64 * 1024  # bytes; above this a phone line takes long, and one torn message loses much
_DRIFT_SEEN = 5 * MINUTE  # a shorter watch tells nothing about drift


def _finding(check: str) -> Callable[..., Finding]:
    def make(verdict: Verdict, seen: str, mend: str = "") -> Finding:
        return Finding(check=check, verdict=verdict, seen=seen, mend="" if verdict == "pass" else mend)

    return make


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _payload(device: Device, _standing: Standing) -> Finding:
    tell = _finding("payload")
    wrong = [r for r in device.rejected if r.reason in {"not-json", "bad-shape", "too-large"}]
    if wrong:
        first = wrong[0]
        seen = f"{_times(len(wrong), 'message')} of {len(device.heard)} cannot be read ({first.reason}): "
        return tell("fail", seen + first.payload[:60].decode("utf-8", "replace"), first.mend)
    if not device.told:
        return tell("fail", "no reading came", f"publish to {TOPIC_ROOT}/HOUSEHOLD/DEVICE/readings")
    return tell("pass", f"all {len(device.told)} messages of readings can be read")


def _values(device: Device, _standing: Standing) -> Finding:
    tell = _finding("units and ranges")
    kinds = {"wrong-unit", "unknown-metric", "not-a-number", "out-of-range"}
    wrong = [r for r in device.rejected if r.reason in kinds]
    if wrong:
        counts = Counter(r.reason for r in wrong)
        seen = ", ".join(f"{reason} in {_times(n, 'message')}" for reason, n in sorted(counts.items()))
        return tell("fail", seen, "; ".join(sorted({r.mend for r in wrong})[:3]))
    names = {n for _, said in device.told for n in said.names}
    more = sorted(names - set(device.profile.metrics) - {"heartbeat"})
    if more and not names & set(device.profile.metrics):
        mend = "another kind of device: judge it by its own profile, with --device"
        return tell("warn", f"sends nothing of this profile, but {', '.join(more)}", mend)
    if more:
        mend = "add them to the profile with their units, or leave them out"
        return tell("warn", f"sends what the profile does not name: {', '.join(more)}", mend)
    less = sorted(set(device.profile.metrics) - names - {"heartbeat"})
    note = f"; {_times(device.missing, 'value')} said no data" if device.missing else ""
    if less and device.told:
        mend = "make each sensor see something during the watch, or remove what the device lacks from the profile"
        return tell("warn", f"never sent: {', '.join(less)}{note}", mend)
    return tell("pass" if device.told else "unseen", f"{', '.join(sorted(names)) or 'nothing'}{note}")


def _phantoms(device: Device, _standing: Standing) -> Finding:
    tell = _finding("empty bed")
    told, empty = 0, 0
    occupied: float | None = None
    for _, said in device.told:
        values = dict(zip(said.names, said.values, strict=True))
        occupied = values.get("in_bed", values.get("presence", occupied))
        if occupied == 0:
            empty += 1
            told += int(any(values.get(name, 0) > 0 for name in ("heart_rate", "respiration_rate")))
    if not empty:
        return tell("unseen", "nobody left the bed or the room", "leave it empty for some minutes of the watch")
    seen = f"a pulse or breath in {told} of {empty} messages from an empty bed or room"
    return tell("warn" if told else "pass", seen, "send no rate while nobody is there, or add [backing] to the profile")


def _birth(device: Device, standing: Standing) -> Finding:
    tell = _finding("birth")
    mend = "after each connect, before anything else, publish the word online to .../status with QoS 1 and retain"
    topic = f"{TOPIC_ROOT}/{device.household}/{device.name}/status"
    online = [h for h, alive in device.status if alive]
    kept = [h for h in device.heard if h.kept and h.topic == topic]
    if not online and not kept and topic not in (standing or {}):
        return tell("fail" if not _vendor(device) else "unseen", "no status was ever told", mend)
    if any(h.retained is False for h in online):
        return tell("fail", "online was told without retain: who connects later does not learn it", mend)
    if online and device.told and online[0].got > device.told[0][0].got and not kept:
        return tell("warn", "readings came before the first online", mend)
    if standing is not None and device.status and device.status[-1][1] and standing.get(topic, b"") != b"online":
        return tell("fail", "the broker does not keep the device's last online", mend)
    told = f"online told {_times(len(online), 'time')}" if online else "online since before the watch"
    return tell("pass", told + (", and kept by the broker" if topic in (standing or {}) or kept else ""))


def _vendor(device: Device) -> bool:
    """Whether it speaks on a vendor's own topics only, where the contract's status does not belong."""
    return all(not h.topic.startswith(TOPIC_ROOT) for h in device.heard)


def _death(device: Device, standing: Standing) -> Finding:
    tell = _finding("death")
    mend = "set a will: the word offline to .../status with QoS 1 and retain, and a keep-alive of at most 60 s"
    topic = f"{TOPIC_ROOT}/{device.household}/{device.name}/status"
    gone = [h for h, alive in device.status if not alive]
    if not gone:
        try_it = "break the line during the watch (pull the plug, not a clean stop): the broker must say offline. "
        return tell("unseen", "no offline came during the watch", try_it + "To pass, " + mend)
    if any(h.retained is False for h in gone):
        return tell("fail", "offline was told without retain", mend)
    after = [h for h, _ in device.told if h.got > gone[-1].got + SECOND]
    back = [h for h, alive in device.status if alive and h.got > gone[-1].got]
    if after and not back:
        return tell("fail", f"{_times(len(after), 'message')} came after offline without an online before", mend)
    if standing is not None and not back and standing.get(topic) != b"offline":
        return tell("fail", "the broker still holds online after the device went", mend)
    return tell("pass", f"offline told {_times(len(gone), 'time')}{', and online again' if back else ''}")


def _cadence(device: Device, _standing: Standing) -> Finding:
    tell = _finding("cadence")
    period, silent = device.profile.period, device.profile.silent_after
    at = np.array([h.got for h in device.heard if not h.kept and not h.topic.endswith("/status")], np.int64)
    if len(at) < 3:
        return tell(
            "unseen", f"{_times(len(at), 'message')}: too few", f"watch for at least {format_duration(4 * period)}"
        )
    gaps = np.diff(at)
    usual, longest = int(np.median(gaps)), int(gaps.max())
    seen = f"a message every {_span(usual)} (profile: {format_duration(period)}), longest gap {_span(longest)}"
    if longest > silent:
        limit = format_duration(silent)
        mend = f"send at least a heartbeat every {format_duration(period)}; longer than {limit} is silence"
        return tell("fail", seen, mend)
    if usual > 1.5 * period:
        return tell("warn", seen, "speak as often as the profile says, or write the true period into it")
    if longest < period / 2 and at[-1] - at[0] > 2 * period:  # what it tells of events, between beats, may come often
        return tell("warn", seen, "write the true period into the profile: silence is noticed sooner then")
    return tell("pass", seen)


def _span(span: int) -> str:
    return f"{span / SECOND:.1f} s" if span < 2 * MINUTE else format_duration(span)


def _clock(device: Device, _standing: Standing) -> Finding:
    tell = _finding("clock")
    mend = "set the clock by NTP (or from the gateway) at start and at least daily; or leave t out, arrival holds then"
    far = [r for r in device.rejected if r.reason in {"time-too-old", "time-in-future"}]
    if far:
        return tell("fail", f"{_times(len(far), 'message')} set aside: {far[0].reason}", mend)
    told, got = device.times()
    if not len(told):
        seen = "no t: the time of arrival holds" if device.told else "no reading"
        return tell("pass" if device.told else "unseen", seen)
    live = got - told < BACK_FILL
    if not live.any():
        return tell("warn", "everything came more than 10 minutes after its time", mend)
    off = (got - told)[live] / SECOND
    late, spread = float(np.median(off)), float(np.percentile(off, 95) - np.percentile(off, 5))
    drift, known = _drift(got[live], off)
    seen = f"arrives {late:+.1f} s after its time (90 % within {spread:.1f} s)"
    seen += f", drift {round(drift, 1) + 0.0:+.1f} s a day" if known else ", watched too short to tell drift"
    if late < -AHEAD / SECOND or abs(late) > 60:
        return tell("fail", seen, mend)
    if abs(late) > 5 or (known and abs(drift) > 20):
        return tell("warn", seen, mend)
    return tell("pass", seen)


def _drift(got: Nanos, off: np.ndarray) -> tuple[float, bool]:
    """(s a day, whether it can be told): the slope between the medians of the first and last third."""
    if len(off) < 9 or got[-1] - got[0] < _DRIFT_SEEN:
        return 0.0, False
    third = len(off) // 3
    span = float(np.median(got[-third:]) - np.median(got[:third])) / (24 * HOUR)
    slope = -(float(np.median(off[-third:])) - float(np.median(off[:third]))) / span
    noise = 3 * float(np.std(off)) / np.sqrt(third) / span
    return (slope, True) if noise < 20 or abs(slope) > noise else (0.0, noise < 200)


def _back_fill(device: Device, _standing: Standing) -> Finding:
    tell = _finding("back-fill")
    mend = "keep what cannot be sent, with its own t, and send it oldest first in arrays once the line is back"
    late = [(h, s) for h, s in device.told if s.taken and min(s.taken) != NEVER and h.got - min(s.taken) > BACK_FILL]
    if not late:
        return tell("unseen", "nothing came late", "cut the network for 15 minutes, then watch: " + mend)
    times = [s.taken for _, s in late]
    if any(b < a for t in times for a, b in pairwise(t)):
        return tell("fail", "an array is not oldest first", mend)
    heads = [t[0] for t in times]
    if any(b < a for a, b in pairwise(heads)):
        return tell("warn", "back-fill messages are not oldest first", mend)
    count = sum(len(t) for t in times)
    oldest = max(h.got - min(s.taken) for h, s in late)
    return tell(
        "pass", f"{_times(count, 'value')} in {_times(len(late), 'message')}, up to {_span(oldest)} old, in order"
    )


def _duplicates(device: Device, _standing: Standing) -> Finding:
    tell = _finding("duplicates")
    rows: Counter[tuple[int, str]] = Counter()
    for _, said in device.told:
        rows.update((t, n) for t, n in zip(said.taken, said.names, strict=True) if t != NEVER)
    if not rows:
        return tell("unseen", "no reading with a time")
    twice = sum(n - 1 for n in rows.values())
    share = twice / rows.total()
    seen = f"{twice} of {rows.total()} values told again ({share:.2%})"
    mend = "one t for each measurement; send again only what was not acknowledged"
    return tell("pass" if share <= 0.001 else "fail" if share > 0.05 else "warn", seen, mend)


def _sequence(device: Device, _standing: Standing) -> Finding:
    tell = _finding("sequence")
    if len(device.seqs) < 2:
        return tell("unseen", "no seq", "optional: count messages in seq, so that losses can be seen")
    told = np.array(device.seqs, np.int64)
    starts = np.flatnonzero((np.diff(told) < 0) & (told[1:] <= 1)) + 1  # a device that starts again counts from 0 or 1
    runs = [run for run in np.split(told, starts) if len(run)]
    lost = sum(int(run.max() - run.min()) + 1 - len(np.unique(run)) for run in runs)
    twice = len(told) - sum(len(np.unique(run)) for run in runs)
    back = sum(int((np.diff(run) < 0).sum()) for run in runs)
    seen = (
        f"{len(told)} numbers, {lost} missing, {twice} repeated, {back} out of order, {_times(len(starts), 'restart')}"
    )
    mend = "a missing number is a message lost on its way: publish with QoS 1 and keep it until acknowledged"
    if lost > 0.01 * (lost + len(told)):
        return tell("fail", seen, mend)
    return tell("warn" if lost or twice or back else "pass", seen, mend)


def _size(device: Device, _standing: Standing) -> Finding:
    tell = _finding("size")
    largest = max((len(h.payload) for h in device.heard), default=0)
    verdict: Verdict = "fail" if largest > MAX_PAYLOAD else "warn" if largest > _LARGE else "pass"
    return tell(
        verdict, f"largest message {largest:,} bytes", "send at most 256 kB a message; cut back-fill into parts"
    )


def _quality(device: Device, _standing: Standing) -> Finding:
    tell = _finding("quality of service")
    live = [h for h in device.heard if not h.kept and h.qos is not None]
    if not live:
        return tell("unseen", "the recording does not say")
    counts = Counter(h.qos for h in live)
    seen = ", ".join(f"QoS {q}: {_times(n, 'message')}" for q, n in sorted(counts.items(), key=lambda c: c[0] or 0))
    mend = "publish with QoS 1: at 0 a message is lost whenever the line or the service is away"
    return tell("fail" if counts.get(0) else "pass", seen, mend)


def _retain(device: Device, _standing: Standing) -> Finding:
    tell = _finding("retained readings")
    wrong = [h for h in device.heard if (h.retained or h.kept) and not h.topic.endswith("/status")]
    mend = "publish readings without retain: what the broker keeps proves nothing about now, and is dropped"
    return tell("fail" if wrong else "pass", f"{_times(len(wrong), 'reading')} with retain", mend)


CHECKS: Mapping[str, Callable[[Device, Standing], Finding]] = {
    "payload": _payload, "units and ranges": _values, "empty bed": _phantoms, "birth": _birth, "death": _death,
    "cadence": _cadence, "clock": _clock, "back-fill": _back_fill, "duplicates": _duplicates, "sequence": _sequence,
    "size": _size, "quality of service": _quality, "retained readings": _retain,
}  # fmt: skip
"""Each check by its name, in the order of the report; sensors/README.md describes each."""
