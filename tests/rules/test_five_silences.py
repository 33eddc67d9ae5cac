"""What a silence is: resident, sensor, gateway, district, broker, or ourselves, on simulated faults of simulated homes.

The confusion matrix must be diagonal; a failure prints it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from mimamori.alerts.book import Book
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat, no_readings
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.replay import by_time
from mimamori.rules.engine import Engine
from mimamori.service.stall import PIPELINE_STALLED, Stall
from mimamori.simulator.days import simulate
from mimamori.simulator.households import households, registry
from mimamori.simulator.truth import TruthEvent
from mimamori.site import load_site

START = parse_instant("2026-11-16T00:00:00+09:00")
BEGINS, ENDS = START + DAY + 9 * HOUR, START + DAY + 14 * HOUR + 30 * MINUTE  # less than the watch gap
LAST, STEP = START + 2 * DAY, 30 * MINUTE
CAUSES = ("resident", "sensor", "gateway", "district", "broker", "ourselves")
CAUSE_OF = {"inactivity": "resident", "device-silent": "sensor", "gateway-silent": "gateway",
            "power-outage": "district", "broker-silent": "broker", PIPELINE_STALLED: "ourselves"}  # fmt: skip
COUNT, DARK = 12, 6
TRIALS = [(cause, trial) for cause in CAUSES for trial in range(2 if cause in CAUSES[:3] else 1)]


@cache
def site():  # type: ignore[no-untyped-def] # noqa: ANN201
    return load_site()


@cache
def street() -> tuple[Homes, tuple[str, ...], ReadingBatch, int]:
    """Homes with a bed and motion, their ordinary readings of two days, and a homes' district."""
    made = [h for h in households(site().scene, count=40, seed=11) if h.kit_name == "full"][:COUNT]
    batch = concat(simulate(made, start=START, end=LAST, seed=11))
    return registry(made), tuple(h.id for h in made), batch, len(made)


def with_fault(cause: str, trial: int) -> ReadingBatch:
    """The street's readings with one thing wrong, each trial at another time in another home."""
    _, ids, ordinary, count = street()
    begins, ends = BEGINS + trial * 37 * MINUTE, LAST if cause == "resident" else ENDS
    if cause in {"broker", "ourselves"}:
        lost = (ordinary.got >= begins) & (ordinary.got < ends) & (cause == "broker")
        return ordinary.take(~lost)
    kind = {"resident": "collapse", "sensor": "sensor-unplugged", "gateway": "wifi-out", "district": "power-cut"}[cause]
    hit = range(DARK) if cause == "district" else [(5 * trial + 2) % count]
    made = [h for h in households(site().scene, count=40, seed=11) if h.kit_name == "full"][:COUNT]
    events = [TruthEvent(household=ids[i], kind=kind, start=begins, end=ends) for i in hit]
    firsts = np.concatenate([[0], np.cumsum([len(h.devices) for h in made])])
    parts = [ordinary.take(~np.isin(ordinary.home, list(hit)))]
    for i, event in zip(hit, events, strict=True):
        alone = concat(simulate([made[i]], start=START, end=LAST, seed=11, events=[event]))
        parts.append(moved(alone, i, int(firsts[i])))
    batch = concat(parts)
    return batch.take(np.argsort(batch.got, kind="stable"))


def moved(batch: ReadingBatch, home: int, device: int) -> ReadingBatch:
    return ReadingBatch(home=np.full(len(batch), home, np.int32), device=batch.device + np.int32(device),
                        metric=batch.metric, value=batch.value, taken=batch.taken, got=batch.got,
                        flags=batch.flags)  # fmt: skip


def steps(*, stalled: bool) -> Iterator[int]:
    for now in range(START + STEP, LAST, STEP):
        if not (stalled and BEGINS + STEP < now < ENDS):
            yield now


def told(cause: str, trial: int) -> Counter[str]:
    """Causes by how many alerts named them, of the rules about silence and activity, from `BEGINS` on."""
    _, ids, _, _ = street()
    batch, homes = with_fault(cause, trial), street()[0]
    for i in range(DARK):
        homes.place(ids[i], "浪岡")
    rules = [r for r in site().rules if r.name in CAUSE_OF]
    infos = [i for i in site().rule_infos if i.name in CAUSE_OF]
    engine, book, stall = (
        Engine(homes, rules, site().metrics, site().zone),
        Book(infos, site().alerts),
        Stall(site().zone),
    )
    found, done, ticked = [], 0, START
    for now in steps(stalled=cause == "ourselves"):
        if now - ticked > STEP:  # the loop looks again after it stood still
            found += stall.look(book, ticked, now)
            engine.resume(now)
        end = int(np.searchsorted(batch.got, now, side="right"))
        for part, at in by_time(engine.step(batch.take(slice(done, end)) if end > done else no_readings(), now), now):
            found += book.apply(part, homes, at)
        done, ticked = end, now
    until = LAST if cause == "resident" else ENDS + STEP  # a fall by day may be found by night
    opened = [e for e in found if e.kind == "opened" and BEGINS <= e.at < until]
    faller = ids[(5 * trial + 2) % COUNT]
    ours = [e for e in opened if cause != "resident" or e.rule != "inactivity" or e.household == faller]
    return Counter(CAUSE_OF[e.rule] for e in ours)


def test_the_confusion_matrix_is_diagonal() -> None:
    matrix = {cause: Counter[str]() for cause in CAUSES}
    for cause, trial in TRIALS:
        matrix[cause] += told(cause, trial)
    trials = Counter(cause for cause, _ in TRIALS)
    lines = [f"{'true cause':>12}  " + " ".join(f"{c:>9}" for c in CAUSES) + "   (alerts that name it)"]
    lines += [
        f"{c:>12}  " + " ".join(f"{matrix[c][other]:9d}" for other in CAUSES) + f"   of {trials[c]}" for c in CAUSES
    ]
    table = "\n".join(lines)
    for cause in CAUSES:
        assert matrix[cause] == {cause: trials[cause]}, f"\n{table}"


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_a_stall_is_told_once_and_ends_after_a_minute_in_time(speed: float) -> None:
    book, stall = Book(site().rule_infos, site().alerts), Stall(site().zone)
    a_minute = int(MINUTE * speed)
    assert stall.look(book, START, START + a_minute, speed) == []
    begun = stall.look(book, START, START + a_minute + 1, speed)
    assert [(e.kind, e.priority, e.category) for e in begun] == [("opened", "high", "technical")]
    assert "00:00" in begun[0].why_ja
    assert stall.look(book, START, START + 2 * a_minute, speed) == []
    back = START + 3 * a_minute
    assert [e.kind for e in stall.look(book, back, back, speed)] == ["returned", "resolved"]
