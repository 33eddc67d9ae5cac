"""A resident who grows weaker over weeks: the persona of a day, further and further from what it was.

May import model and the simulator's scene and truth. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from mimamori.model.times import DAY, MINUTE
from mimamori.simulator.scene import Persona
from mimamori.simulator.truth import TruthEvent

DECLINE: int = 56 * DAY
"""From well to where the decline ends; an event that ends sooner is one that was noticed."""


def persona_on(persona: Persona, midnight: int, events: Sequence[TruthEvent]) -> Persona:
    """The persona on the calendar day that begins at `midnight` (ns UTC)."""
    for event in events:
        if event.kind == "slow-decline" and event.start <= midnight < event.end:
            return declined(persona, min((midnight - event.start) / DECLINE, 1.0))
    return persona


def declined(persona: Persona, share: float) -> Persona:
    """share: 0 well, 1 after eight weeks: slower, longer in bed, up more often at night, hardly out, fewer baths."""
    sleep, days = persona.sleep, persona.days
    parts = {
        "sleep": sleep.model_copy(update={
            "rise": sleep.rise + int(share * 60 * MINUTE), "bed": sleep.bed - int(share * 40 * MINUTE),
            "nap_chance": min(sleep.nap_chance + 0.5 * share, 1.0), "restless": sleep.restless * (1 + share),
        }),
        "toilet": persona.toilet.model_copy(update={
            "night": persona.toilet.night + 1.5 * share, "length": int(persona.toilet.length * (1 + 0.5 * share)),
        }),
        "meals": persona.meals.model_copy(update={"skip_chance": min(persona.meals.skip_chance + 0.2 * share, 1.0)}),
        "outing": persona.outing.model_copy(update={"chance": persona.outing.chance * (1 - 0.8 * share)}),
        "days": days.model_copy(update={
            "pace": days.pace * (1 - 0.4 * share), "lie_down": days.lie_down + 2.0 * share,
            "bath_chance": days.bath_chance * (1 - 0.6 * share), "chore": days.chore * (1 - 0.5 * share),
        }),
    }  # fmt: skip
    return persona.model_copy(update=parts)
