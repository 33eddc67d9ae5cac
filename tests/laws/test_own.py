"""Parameters of one household: it is judged as if the rule were written so, and the others as if it were not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import reading_batch
from mimamori.model.times import MINUTE, SECOND, parse_instant, zone_table
from mimamori.rules.engine import Engine
from mimamori.rules.tune import own_keys, with_settings

KINDS = ("band", "away", "rise", "climate", "count")
METRICS = Metrics()
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
Make = Callable[..., Any]


@pytest.mark.parametrize("kind", KINDS)
def test_own_parameters_equal_a_rule_written_so(
    kind: str, invent: Make, start: Make, rule_sets: dict[str, tuple[Any, ...]]
) -> None:
    rules = rule_sets[kind]
    written = tuple(with_settings(r, {k: r.bounds[k][0] for k in own_keys(r)}) for r in rules)
    assert written != rules
    told = 0
    for seed in (3, 4):
        stream = invent(seed, hours=20)
        apart, plain, changed = (start(stream, r) for r in (rules, rules, written))
        plain.engine.set_own({})
        changed.engine.set_own({})
        mine, others, all_changed = (
            [_told(run, line) for line in run.upto(stream.end).lines()] for run in (apart, plain, changed)
        )
        assert _of(mine, first=True) == _of(all_changed, first=True)
        assert _of(mine, first=False) == _of(others, first=False)
        told += _of(mine, first=True) != _of(others, first=True)
    assert told  # they made a difference


def _of(lines: list[tuple[Any, ...]], *, first: bool) -> list[tuple[Any, ...]]:
    return [line for line in lines if (line[2] == "A-00") is first]


def _told(run: Any, line: tuple[Any, ...]) -> tuple[Any, ...]:
    """A line without its fact `own`, which alone says by whose parameters it was judged."""
    facts = np.frombuffer(line[-1]).copy()
    facts[run.engine.detectors[line[1]].facts.index("own")] = 0
    return (*line[:-1], facts.tobytes())


LIVES: dict[str, tuple[str, ...]] = {
    "evidence": ("0-540/5 hall motion 1", "0-1700/10 hall heartbeat 1"),
    "evidence, out": (
        "0-540/5 hall motion 1",
        "0-2700/10 hall heartbeat 1",
        "541-541/1 door door_open 1",
        "0-2700/10 door heartbeat 1",
    ),
    "usual": (
        "0-500/1 bed in_bed 1",
        "0-380/1 bed heart_rate 62",
        "380-430/1 bed heart_rate 74",
        "430-500/1 bed heart_rate 62",
    ),
    "absent": ("0-40/.1 bed in_bed 1", "0-19.9/.1 bed heart_rate 62", "0-19.9/.1 bed respiration_rate 15"),
    "stay": ("0-1200/5 bed in_bed 1",),
}
"""From, to and every so many minutes after midnight; device, metric and value: what the kind's own limits decide of."""


@pytest.mark.parametrize("life", LIVES)
def test_limits_that_only_some_lives_reach_equal_a_rule_written_so(
    life: str, rule_sets: dict[str, tuple[Any, ...]]
) -> None:
    rules = rule_sets[life.partition(",")[0]]
    written = tuple(with_settings(r, {k: r.bounds[k][0] for k in own_keys(r)}) for r in rules)
    apart, plain, changed = _lived(life, rules, own=True), _lived(life, rules), _lived(life, written)
    assert apart["B"] == plain["B"] == plain["A"]
    assert apart["A"] == changed["A"] != plain["A"]


def _lived(life: str, rules: tuple[Any, ...], *, own: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """Findings of two homes that live alike; with `own`, the first has own limits."""
    homes, rows, last = Homes(), [], 0
    for row, household in enumerate("AB"):
        for told in LIVES[life]:
            when, device, metric, value = told.split()
            begin, end, every = map(float, when.replace("/", "-").split("-"))
            for minute in np.arange(begin, end + every / 2, every):
                at = MIDNIGHT + round(minute * MINUTE) + SECOND
                rows.append((row, homes.add_device(household, device), METRICS.index(metric), float(value), at, at, 0))
                last = max(last, at)
    engine = Engine(homes, rules, METRICS, zone_table("Asia/Tokyo"))
    if own:
        engine.set_own({0: {r.name: {k: r.bounds[k][0] for k in own_keys(r)} for r in rules}})
    found = engine.step(reading_batch(sorted(rows, key=lambda r: r[4])), last + MINUTE)
    return {h: [(int(found.at[i]), int(found.rule[i]), int(found.verdict[i]), int(found.level[i]))
                for i in range(len(found)) if homes.ids[found.home[i]] == h] for h in "AB"}  # fmt: skip


def test_what_does_not_fit_is_refused_and_changes_nothing(
    invent: Make, start: Make, rule_sets: dict[str, tuple[Any, ...]]
) -> None:
    run = start(invent(3, hours=9), rule_sets["all"])
    before = run.engine.view("own").tolist()
    assert before[0] == 1
    for bad in (
        {"heart-rate": {"low.high": 20}}, {"heart-rate": {"hold": "5m"}}, {"inactivity": {"quiet_at_least": "24h"}},
        {"bed-exit": {"longest_limit": 45}}, {"no-such-rule": {"low.high": 40}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(bad))):
            run.engine.set_own({0: {"heart-rate": {"low.high": 45}}, 1: bad})
        assert run.engine.view("own").tolist() == before
