"""Kind flapping: what turns on and off over and over, against a naive twin; and what the alert book makes of it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from mimamori.alerts.book import Book
from mimamori.model.content import ContentError
from mimamori.model.findings import FindingBatch, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, parse_instant
from mimamori.rules.engine import Engine
from mimamori.rules.explain import explain_of
from mimamori.rules.flapping import LOOKS, NEWEST, OLDEST
from mimamori.rules.kinds import facts_of
from mimamori.rules.spec import Flapping, Rule, read_rules
from mimamori.site import Site, load_site

START = parse_instant("2026-11-23T00:00:00+09:00")
METRICS = Metrics()
BEAT = METRICS.index("heartbeat")


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site()


def rules_of(site: Site, *names: str) -> tuple[Rule, ...]:
    return tuple(r for name in names for r in site.rules if r.name == name)


def beats(rng: np.random.Generator, devices: int, days: int, loose: float) -> ReadingBatch:
    """A beat every ten minutes; each device is away for up to two hours now and then, the looser the oftener."""
    rows = []
    for device in range(devices):
        at, until = START + int(rng.integers(0, 600)) * SECOND, START + days * DAY
        while at < until:
            rows.append((device // 2, device, BEAT, 1.0, at, at, 0))
            at += 10 * MINUTE
            if rng.random() < loose * device / devices:
                at += int(rng.integers(1, 120)) * MINUTE
    return reading_batch(sorted(rows, key=lambda row: row[5]))


def homes_of(devices: int) -> Homes:
    homes = Homes()
    for device in range(devices):
        homes.add_device(f"h{device // 2}", f"d{device % 2}")
    return homes


def twin(spec: Flapping, told: list[tuple[int, Verdict]], heard: list[int], end: int) -> list[tuple[int, Verdict, int]]:
    """(at, verdict, looks with a turn) at each change, from what the watched rule told, and when it spoke."""
    told, lines = sorted(told), []
    on, known, firing, before = False, False, False, Verdict.UNKNOWN
    looks: list[bool] = []
    at = START // spec.look * spec.look
    while at + spec.look < end:
        at += spec.look
        turned = False
        for _, verdict in [t for t in told if at - spec.look < t[0] <= at]:
            if verdict is not Verdict.UNKNOWN:
                known = True
                turned |= on != (verdict is Verdict.FIRING)
                on = verdict is Verdict.FIRING
        if turned or any(at - spec.look < t <= at for t in heard):
            looks = [*looks, turned][-LOOKS:]
        weights = [NEWEST - (NEWEST - OLDEST) * k / (LOOKS - 1) for k in range(LOOKS)]
        share = sum(w for w, look in zip(weights, reversed(looks), strict=False) if look) / LOOKS
        firing = share >= (spec.ends_below if firing else spec.begins_at)
        now = Verdict.FIRING if firing else Verdict.PENDING if share >= spec.ends_below else Verdict.CLEAR
        now = now if known else Verdict.UNKNOWN
        if now is not before:
            lines.append((at, now, sum(looks)))
        before = now
    return lines


def by_device(f: FindingBatch, rule: int) -> dict[int, list[tuple[int, Verdict, int]]]:
    found = defaultdict(list)
    for i in np.flatnonzero(f.rule == rule):
        turns = int(f.facts[i, 0])
        found[int(f.device[i])].append((int(f.at[i]), Verdict(f.verdict[i]), turns))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_it_is_its_naive_twin(site: Site, seed: int) -> None:
    rules = rules_of(site, "sensor-flapping", "device-silent")
    spec = rules[0].condition
    assert isinstance(spec, Flapping)
    batch = beats(np.random.default_rng(seed), devices=8, days=4, loose=0.4)
    end = START + 4 * DAY
    engine = Engine(homes_of(8), rules, METRICS, site.zone, capacity=1)
    f = engine.step(batch, end)
    mine, silent = by_device(f, 0), by_device(f, 1)
    for device in range(8):
        heard = [-(-int(t) // (10 * SECOND)) * 10 * SECOND for t in batch.got[batch.device == device]]
        told = [(at, verdict) for at, verdict, _ in silent[device]]
        assert mine[device] == twin(spec, told, heard, end), device
    verdicts = {verdict for lines in mine.values() for _, verdict, _ in lines}
    assert verdicts == {Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING}


def unsteady(devices: int = 2) -> ReadingBatch:
    """The first device talks for twenty minutes and is gone for fifty, for a day; the others are steady."""
    rows = [(0, 0, BEAT, 1.0, t, t, 0) for t in range(START, START + 3 * HOUR, 10 * MINUTE)]
    for begin in range(START + 4 * HOUR, START + 24 * HOUR, 70 * MINUTE):
        rows += [(0, 0, BEAT, 1.0, t, t, 0) for t in range(begin, begin + 20 * MINUTE, 10 * MINUTE)]
    for device in range(1, devices):
        rows += [(0, device, BEAT, 1.0, t, t, 0) for t in range(START, START + DAY, 10 * MINUTE)]
    return reading_batch(sorted(rows, key=lambda row: row[5]))


def told(site: Site) -> tuple[Book, list[tuple[str, str]]]:
    """The book after such a day, and (rule, kind) of its events about the first device."""
    rules = rules_of(site, "sensor-flapping", "device-silent")
    infos = [i for rule in rules for i in site.rule_infos if i.name == rule.name]
    homes, batch, book, events = homes_of(2), unsteady(), Book(infos, site.alerts), []
    engine = Engine(homes, rules, METRICS, site.zone)
    begin = 0
    for now in range(START + MINUTE, START + DAY, MINUTE):
        end = int(np.searchsorted(batch.got, now, side="right"))
        events += book.apply(engine.step(batch.take(slice(begin, end)), now), homes, now)
        begin = end
    return book, [(e.alert.split("/")[1], e.kind) for e in events]


def test_the_sensor_is_told_of_once_and_its_silence_is_the_same_alert(site: Site) -> None:
    book, events = told(site)
    flapping = events.index(("sensor-flapping", "opened"))
    assert events.count(("sensor-flapping", "opened")) == 1
    before, after = events[:flapping], events[flapping:]
    assert before.count(("device-silent", "opened")) >= 3  # until it is known
    assert ("device-silent", "opened") not in after
    assert after.count(("device-silent", "reopened")) >= 5
    alert = next(a for a in book.alerts() if a.rule == "sensor-flapping")
    assert (alert.device, alert.priority, alert.category) == ("d0", "low", "technical")
    assert "センサーからの通信なし" in alert.why_ja
    assert "Sensor silent" in alert.why_en


def test_an_alert_about_the_resident_is_new_each_time_whatever_flaps(site: Site) -> None:
    """High or not: the state is told beside them."""
    rules = rules_of(site, "alert-flapping", "heart-rate")
    infos = [i for rule in rules for i in site.rule_infos if i.name == rule.name]
    book, homes = Book(infos, site.alerts), homes_of(2)
    one = Engine(homes, rules, METRICS, site.zone).current().take(slice(0, 1))

    def find(rule: int, verdict: Verdict, level: int, at: int) -> list[str]:
        batch = FindingBatch(
            home=one.home, device=np.array([-1], np.int32), rule=np.array([rule], np.int16),
            verdict=np.array([verdict], np.int8), level=np.array([level], np.int8), since=np.array([at]),
            at=np.array([at]), score=one.score, facts=np.ones_like(one.facts),
        )  # fmt: skip
        return [e.kind for e in book.apply(batch, homes, at) if e.kind in {"opened", "reopened"}]

    assert find(0, Verdict.FIRING, 1, START) == ["opened"]
    for hour in range(1, 9):
        assert find(1, Verdict.FIRING, 3, START + hour * HOUR) == ["opened"]
        assert find(1, Verdict.CLEAR, 0, START + hour * HOUR + 20 * MINUTE) == []


def test_it_says_how_often_in_both_languages(site: Site) -> None:
    rule = rules_of(site, "alert-flapping")[0]
    facts = dict(zip(facts_of(rule), (7.0, 21.0, 0.33, 10.5, 4.0), strict=True))
    ja, en = explain_of(rule, site.zone, METRICS, site.rules)(facts, START, START + 9 * HOUR)
    assert "「室内が暑い」" in ja
    assert "21回のうち7回" in ja
    assert "7 of the last 21 looks of 30 min (10 h 30 min)" in en


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"of": ["no-such"]}, 'no rule is called "no-such"'),
        ({"each": "home"}, '"device-silent" is not told of each home'),
        ({"look": "7m"}, "a day must be whole looks"),
        ({"ends_below": 0.5}, "ends_below must be at most begins_at"),
    ],
)
def test_mistakes_are_named(site: Site, change: dict[str, object], said: str) -> None:
    text = {"ja": "a", "en": "a"}
    example = [{"name": "a", "readings": [], "expect": ["01:00 firing", "02:00 clear"]}]
    plain = {"priority": "low", "category": "technical", "title": text, "why": text, "example": example}
    condition = {"kind": "flapping", "of": ["device-silent"], "each": "device"} | change
    tables = {
        "sensor-flapping": {**plain, "condition": condition},
        "device-silent": {**plain, "condition": {"kind": "silent", "at_least": "30m", "at_most": "26h"}},
    }
    errors: list[ContentError] = read_rules(tables, METRICS)[1]
    assert [said in e.reason for e in errors] == [True]
    assert errors[0].file == "rules/sensor-flapping.toml"
