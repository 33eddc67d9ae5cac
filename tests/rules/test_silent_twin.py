"""Silent devices against a naive twin: one household, plain Python, a loop over all it ever told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import HOUR, SECOND
from mimamori.rules import fold as fold_module
from mimamori.rules.spec import Silent

from .conftest import METRICS, MIDNIGHT, Heard, changes, heard, rule_of, run, told


@dataclass(slots=True)
class SilentTwin:
    """The docstrings of silent.py for one device: when it was heard, and its longest recent pause."""

    spec: Silent
    readings: list[Heard]
    seen: int = 0
    heard: int | None = None
    period: int = 0
    offline: bool = False
    beats: bool = False
    silent: bool = False

    def __call__(self, at: int) -> tuple[int, int, int]:
        while self.seen < len(self.readings) and self.readings[self.seen].at <= at:
            cell = [r for r in self.readings[self.seen :] if r.at == self.readings[self.seen].at]
            self.seen += len(cell)
            self.hear(cell)
        if self.heard is None:
            return Verdict.UNKNOWN, 0, -(2**63)
        limit = min(max(self.period * self.spec.periods, self.spec.at_least), self.spec.at_most)
        self.silent = self.offline or at - self.heard > limit
        verdict = Verdict.FIRING if self.silent else Verdict.CLEAR
        return verdict, Level.LOW if self.silent else 0, self.heard

    def hear(self, cell: list[Heard]) -> None:
        wills = [r for r in cell if r.metric == "heartbeat" and r.value == 0]
        self.offline = bool(wills)
        living = [r for r in cell if r not in wills]
        if not living:
            return
        self.beats |= any(r.metric == "heartbeat" for r in living)
        if self.heard is not None and not (self.silent and self.beats):
            pause = living[0].at - self.heard
            self.period = max(pause, self.period - int(pause * fold_module.PERIOD_FADES))
        self.heard = living[0].at


def beats(seed: int) -> tuple[Homes, ReadingBatch]:
    """Devices of many cadences, with and without a heartbeat; pauses, deaths, wills, and a device that never speaks."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    beat, motion = METRICS.index("heartbeat"), METRICS.index("motion")
    for number in range(8):
        device = homes.add_device(f"A-0{number % 3}", f"d{number}")
        every = float(rng.choice([30, 300, 600, 3600]))
        at = MIDNIGHT
        while at < MIDNIGHT + 30 * HOUR and number < 7:
            at += int(every * SECOND * rng.uniform(0.7, 1.3))
            if rng.random() < 40 * every / 86400 / 20:
                if rng.random() < 0.5:
                    rows.append((number % 3, device, beat, 0.0, at, at, 0))
                at += int(rng.exponential(4 * HOUR))
            metric = beat if number % 2 and rng.random() < 0.8 else motion
            rows.append((number % 3, device, metric, 1.0, at, at + int(rng.integers(0, SECOND)), 0))
    return homes, reading_batch(rows)


@pytest.mark.parametrize("seed", range(3))
def test_silent_equals_its_twin(seed: int) -> None:
    rule = rule_of("device-silent", {"kind": "silent", "at_least": "30m", "at_most": "5h"}, "low")
    assert isinstance(rule.condition, Silent)
    homes, batch = beats(seed)
    findings, minutes = run(rule, batch, homes)
    assert set(findings.verdict.tolist()) == {Verdict.CLEAR, Verdict.FIRING}
    for device, home in enumerate(homes.device_home):
        mine = [r for r in heard(batch, home) if r.device == device]
        assert told(findings, device, "device") == changes(SilentTwin(rule.condition, mine), minutes)
