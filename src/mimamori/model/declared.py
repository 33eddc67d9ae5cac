"""What was said of absences, and when: the list of a household as it stood from a moment on.

May import model.times only. Every replay, catch-up and rehearsal hands the engine the same lists at the same moments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Span = tuple[int, int]
"""An absence: (from, until) in ns UTC; until NEVER: until further notice."""
Spans = tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """From the tick `at` (ns UTC; NEVER: from the beginning) on, all absences of a household; () for none any more."""

    at: int
    household: str
    spans: Spans


def as_of(declarations: Iterable[Declaration], at: int) -> dict[str, Spans]:
    """The lists that held just after `at` (ns), by household; those without an absence are left out."""
    held: dict[str, Spans] = {}
    for said in sorted(declarations, key=lambda d: d.at):
        if said.at <= at:
            held[said.household] = said.spans
    return {household: spans for household, spans in held.items() if spans}
