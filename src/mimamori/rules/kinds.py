"""The kinds of rules: who detects each, at which second after a grid point, and in which order.

May import model and rules, of which it knows every detector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mimamori.model.findings import FindingBatch
from mimamori.model.times import SECOND
from mimamori.rules.absent import AbsentDetector
from mimamori.rules.away import AwayDetector
from mimamori.rules.band import BandDetector
from mimamori.rules.climate import ClimateDetector
from mimamori.rules.cooling import CoolingDetector
from mimamori.rules.count import CountDetector
from mimamori.rules.cut_off import CutOffDetector
from mimamori.rules.drift import DriftDetector
from mimamori.rules.evidence import EvidenceDetector
from mimamori.rules.flapping import FlappingDetector
from mimamori.rules.outage import OutageDetector
from mimamori.rules.overdue import OverdueDetector
from mimamori.rules.rise import RiseDetector
from mimamori.rules.silent import SilentDetector
from mimamori.rules.spec import (
    Absent,
    Away,
    Band,
    Climate,
    Cooling,
    Count,
    CutOff,
    Drift,
    Evidence,
    Flapping,
    Outage,
    Overdue,
    Rise,
    Rule,
    Silent,
    Stay,
    Unexpected,
    Usual,
)
from mimamori.rules.stay import StayDetector
from mimamori.rules.unexpected import UnexpectedDetector
from mimamori.rules.usual import UsualDetector

FIRST = (OutageDetector, CutOffDetector, SilentDetector)
AFTER = {
    OutageDetector: 0, CutOffDetector: 0, SilentDetector: 0, BandDetector: 1, AbsentDetector: 1, UsualDetector: 1,
    AwayDetector: 2, CountDetector: 2, ClimateDetector: 2, RiseDetector: 3, DriftDetector: 3, CoolingDetector: 3,
    OverdueDetector: 1, UnexpectedDetector: 2, StayDetector: 4, EvidenceDetector: 5, FlappingDetector: 8,
}  # fmt: skip
"""Seconds after a grid point at which each kind judges it, so that no tick has all the work. No reading is folded in
meanwhile, since a cell is longer: what is judged is the same, and so is what `now` makes of it."""
LAST = 8 * SECOND  # the minute's sums are emptied, after all rules
ALL_JUDGED = 9 * SECOND  # after a grid point: all that it says has been said

Evaluate = Callable[[int], FindingBatch]


class Detector(Protocol):
    """One rule at work: `evaluate` closes the grid cell that ends at `at`.

    A kind with much to do may have `turns` instead, a second apart: parts of `evaluate` to be called in order.
    """

    every: int
    metric: int | None
    facts: tuple[str, ...]

    def evaluate(self, at: int) -> FindingBatch:
        """What changed."""
        ...

    def current(self, at: int) -> FindingBatch:
        """Everything as it stands."""
        ...


Kind = (
    type[EvidenceDetector] | type[BandDetector] | type[AwayDetector] | type[AbsentDetector] | type[RiseDetector]
    | type[ClimateDetector] | type[CountDetector] | type[CutOffDetector] | type[DriftDetector] | type[SilentDetector]
    | type[OutageDetector] | type[UsualDetector] | type[StayDetector] | type[CoolingDetector] | type[OverdueDetector]
    | type[UnexpectedDetector] | type[FlappingDetector]
)  # fmt: skip
_KINDS: Mapping[type, Kind] = {
    Evidence: EvidenceDetector, Band: BandDetector, Away: AwayDetector, Absent: AbsentDetector, Rise: RiseDetector,
    Climate: ClimateDetector, Count: CountDetector, CutOff: CutOffDetector, Drift: DriftDetector,
    Outage: OutageDetector, Silent: SilentDetector, Stay: StayDetector, Usual: UsualDetector,
    Cooling: CoolingDetector, Overdue: OverdueDetector, Unexpected: UnexpectedDetector, Flapping: FlappingDetector,
}  # fmt: skip


def detector_of(rule: Rule) -> Kind:
    """Who detects what the rule asks for."""
    return _KINDS[type(rule.condition)]


def judged_first(rule: Rule) -> bool:
    """Whether it says whom the others must not believe, or who is awaited: no rule is at work as it should without."""
    return detector_of(rule) in {*FIRST, OverdueDetector}


def facts_of(rule: Rule) -> tuple[str, ...]:
    """Names of the numbers in a finding's `facts`, in order."""
    return detector_of(rule).facts


def turn_of(detector: Detector) -> int:
    """Its place in the order of judging: whoever tells a larger cause before whoever gives way to it."""
    for place, kind in enumerate(FIRST):
        if isinstance(detector, kind):
            return place - (isinstance(detector, OutageDetector) and detector.of_all)
    return len(FIRST)


def turns_of(detectors: Sequence[Detector]) -> list[tuple[int, list[tuple[Detector, Evaluate]]]]:
    """(ns after a grid point, who judges then), in order; the first and the last are for more than rules."""
    turns: dict[int, list[tuple[Detector, Evaluate]]] = {0: [], LAST: []}
    for detector in detectors:
        for k, evaluate in enumerate(getattr(detector, "turns", (detector.evaluate,))):
            turns.setdefault((AFTER[type(detector)] + k) * SECOND, []).append((detector, evaluate))
    return sorted(turns.items(), key=lambda turn: turn[0])
