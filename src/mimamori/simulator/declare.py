"""What the family tells the ward of nights away: a stay with them beforehand, a hospital stay as it begins and ends.

May import model and the simulator's truth. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from mimamori.model.declared import Declaration
from mimamori.model.times import HOUR, NEVER
from mimamori.simulator.truth import TruthEvent

BEFORE = 12 * HOUR  # a planned stay is told so long before it begins
AFTER = HOUR  # and one in hospital so long after
NOTICE = 3 * HOUR  # the discharge, before it


def declared(events: Iterable[TruthEvent]) -> tuple[Declaration, ...]:
    """One or two for each `overnight-stay` and `hospital-stay`; times as people say them, by the hour."""
    told = []
    for event in sorted(events, key=lambda e: (e.start, e.household)):
        begin, end = event.start // HOUR * HOUR, -(-event.end // HOUR) * HOUR
        if event.kind == "overnight-stay":
            told.append(Declaration(at=event.start - BEFORE, household=event.household, spans=((begin, end),)))
        elif event.kind == "hospital-stay":
            told.append(Declaration(at=event.start + AFTER, household=event.household, spans=((begin, NEVER),)))
            told.append(Declaration(at=event.end - NOTICE, household=event.household, spans=((begin, end),)))
    return tuple(told)
