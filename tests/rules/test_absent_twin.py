"""In bed without a sign of breath against a naive twin: one household, plain Python, a loop over all it ever told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import MINUTE, SECOND
from mimamori.rules import absent as absent_module
from mimamori.rules import latest as latest_module
from mimamori.rules.spec import Absent

from .conftest import METRICS, MIDNIGHT, Heard, changes, heard, rule_of, run, told


@dataclass(slots=True)
class AbsentTwin:
    """The docstrings of absent.py for one household: every minute, all it has ever told is gone through again."""

    spec: Absent
    readings: list[Heard]
    firing: bool = False
    since: int | None = None
    missed: int = 0
    gone: float = 0
    longest: float = 2.0 * MINUTE

    def __call__(self, at: int) -> tuple[int, int, int]:
        heard = [r for r in self.readings if r.at <= at]
        signs = [r.taken for r in heard if r.metric in {"heart_rate", "respiration_rate"}]
        signs += [r.taken for r in heard if r.metric == "body_movement" and r.value >= latest_module.STIR_FROM]
        beds = [r for r in heard if r.metric == "in_bed"]
        talking = bool(beds) and at - max(r.taken for r in beds) <= self.spec.sensor_within
        in_bed = bool(beds) and beds[-1].value > 0
        sign = max(signs) if signs else None
        gone = at - sign if sign is not None else 0
        if talking and in_bed:
            self.longest = float(np.float32(self.longest * absent_module.FADES))
        if talking and in_bed and gone < self.gone <= self.spec.seen_within:
            self.longest = float(np.float32(max(min(self.gone, self.spec.confirm_at_most), self.longest)))
        self.gone = gone if talking and in_bed else 0
        limit = min(max(self.longest * absent_module.MARGIN, self.spec.confirm), self.spec.confirm_at_most)
        self.missed = self.missed if sign == self.since else 0
        self.missed += sum(at - MINUTE < r.at for r in beds) * min(gone, MINUTE) // MINUTE
        self.since = sign
        if (
            talking and in_bed and limit <= gone <= self.spec.seen_within and self.missed >= absent_module.MISSED
        ):  # fmt: skip
            self.firing = True
        if talking and (not in_bed or (sign is not None and gone < limit)):
            self.firing = False
        verdict = Verdict.UNKNOWN if not talking else Verdict.FIRING if self.firing else Verdict.CLEAR
        return verdict, Level.HIGH if self.firing else 0, -(2**63) if sign is None else sign


def breaths(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three beds over six hours: in and out, pulse and breath lost for seconds or minutes, still or stirring."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    metrics = [METRICS.index(m) for m in ("in_bed", "heart_rate", "respiration_rate", "body_movement")]
    for home in range(3):
        bed = homes.add_device(f"A-0{home}", "bed")
        lies, lost, dumb, change = 1.0, False, False, 0.0
        for second in range(0, 6 * 3600, 10):
            if second >= change:
                lies, lost, dumb = float(rng.random() < 0.8), rng.random() < 0.5, rng.random() < 0.05
                change = second + rng.lognormal(5.0, 1.2)
            at = MIDNIGHT + second * SECOND
            stir = float(rng.integers(0, 2) if lost else rng.integers(0, 6))
            values = [lies, 60.0, 15.0, stir]
            for metric, value in zip(metrics, values, strict=True):
                rate = metric in metrics[1:3]
                if dumb or (rate and (lost or not lies)) or rng.random() < 0.1:
                    continue
                rows.append((home, bed, metric, value, at, at + int(rng.integers(0, 3 * SECOND)), 0))
    return homes, reading_batch(rows)


@pytest.mark.parametrize("seed", range(2))
def test_absent_equals_its_twin(seed: int) -> None:
    rule = rule_of("no-breathing", {
        "kind": "absent", "confirm": "60s", "confirm_at_most": "5m", "seen_within": "10m", "sensor_within": "2m",
    })  # fmt: skip
    assert isinstance(rule.condition, Absent)
    homes, batch = breaths(seed)
    findings, minutes = run(rule, batch, homes)
    assert {Verdict.CLEAR, Verdict.UNKNOWN, Verdict.FIRING} <= set(findings.verdict.tolist())
    for home in range(len(homes)):
        mine = told(findings, home, "home")
        assert mine == changes(AbsentTwin(rule.condition, heard(batch, home)), minutes)
        assert any(line[1] == Verdict.FIRING for line in mine)
