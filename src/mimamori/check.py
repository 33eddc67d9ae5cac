"""Runs every rule's [[example]] through the real engine, so that ward staff can test a rule in its own words.

May import everything from site down. Pure but for nothing: an example is readings on an invented day.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from mimamori.model.content import ContentError
from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat, no_readings, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, parse_duration, parse_instant
from mimamori.rules.engine import Engine
from mimamori.rules.kinds import ALL_JUDGED
from mimamori.rules.spec import Example, Rule, watched
from mimamori.site import Site

MIDNIGHT = parse_instant("2026-01-15T00:00:00+09:00")
_LINE = re.compile(r"^(\d\d:\d\d)(?:-(\d\d:\d\d) every (\w+))? (\S+) (\S+) (\S+)$")
_ABSENCE = re.compile(r"^(\d\d:\d\d)-(\d\d:\d\d)$")
_EXPECT = re.compile(r"^(\d\d:\d\d) (clear|pending|firing|unknown)$")
HOUSEHOLD = "example"


def check_examples(site: Site) -> tuple[int, list[ContentError]]:
    """(examples run, one error for each that is malformed or did not come out as expected)."""
    count, errors = 0, []
    for rule in site.rules:
        for i, example in enumerate(rule.example):
            count += 1
            try:
                wrong = list(_run(site, rule, example))
            except ValueError as error:
                wrong = [str(error)]
            errors += [
                ContentError(
                    f"rules/{rule.name}.toml",
                    f"example.{i}",
                    f'"{example.name}": {text}',
                    "mend the rule or the example",
                )
                for text in wrong
            ]
    return count, errors


def _run(site: Site, rule: Rule, example: Example) -> Iterator[str]:
    homes = Homes()
    parts = []
    for day in range(-example.days_before, 0):
        parts += [
            _readings(text, day, homes, site)
            for text in (example.usual if day < -example.days_lately else example.lately)
        ]
    parts += [_readings(text, 0, homes, site) for text in example.readings]
    batch = concat(parts)
    batch = batch.take(np.argsort(batch.got, kind="stable"))
    engine = Engine(homes, [rule, *watched(rule, site.rules)], site.metrics, site.zone)
    engine.declare({row: [_absence(text) for text in example.absences] for row in range(len(homes))})
    done = 0
    for line in example.expect:
        found = _EXPECT.match(line)
        if found is None:
            msg = f'expect "{line}" is not understood; write a time and a verdict, such as "02:40 firing"'
            raise ValueError(msg)
        now = MIDNIGHT + _clock(found[1])
        end = int(np.searchsorted(batch.got, now, side="right"))
        engine.step(batch.take(slice(done, end)), now)
        engine.step(no_readings(), now + ALL_JUDGED)
        done = end
        told = engine.current()
        verdicts = set(told.verdict[told.rule == 0].tolist())
        word = _worst(verdicts)
        if word != found[2]:
            yield f"at {found[1]} expected {found[2]}, got {word}"


def _worst(verdicts: set[int]) -> str:
    for verdict in (Verdict.FIRING, Verdict.PENDING, Verdict.CLEAR):
        if verdict in verdicts:
            return verdict.name.lower()
    return "unknown"


def _clock(text: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if hours > 47 or minutes > 59:
        msg = f'"{text}" is no time of day; write 00:00 to 47:59 (past 24:00 is the day after)'
        raise ValueError(msg)
    return hours * HOUR + minutes * MINUTE


def _absence(text: str) -> tuple[int, int]:
    found = _ABSENCE.match(text)
    if found is None:
        msg = f'absence "{text}" is not understood; write "08:00-30:00"'
        raise ValueError(msg)
    begin, end = (MIDNIGHT + _clock(part) for part in found.groups())
    return begin, end


def _readings(text: str, day: int, homes: Homes, site: Site) -> ReadingBatch:
    found = _LINE.match(text)
    if found is None:
        msg = f'reading "{text}" is not understood; write "02:00 bed in_bed 1" or "02:00-03:00 every 1m bed in_bed 1"'
        raise ValueError(msg)
    begin, end, every, device, metric, value = found.groups()
    index = site.metrics.find(metric)
    if index < 0:
        msg = f'reading "{text}": no metric is called {metric}; see sensors/README.md'
        raise ValueError(msg)
    first = MIDNIGHT + day * DAY + _clock(begin)
    last = first + 1 if end is None else MIDNIGHT + day * DAY + _clock(end)
    household, _, name = device.rpartition("/")
    row, number = homes.add_device(household or HOUSEHOLD, name), _number(value, text)
    cadence = parse_duration(every) if every else DAY
    if cadence < SECOND:
        msg = f'reading "{text}": "every {every}" is too often; write 1s or more'
        raise ValueError(msg)
    home = homes.device_home[row]
    return reading_batch((home, row, index, number, at, at, 0) for at in range(first, last, cadence))


def _number(value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f'reading "{text}": {value} is not a number'
        raise ValueError(msg)
    return number
