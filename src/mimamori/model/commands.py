"""What people ask of the alert book; the console and replies by SMS put these on one queue, in order.

May import model.alert only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mimamori.model.alert import Outcome
from mimamori.model.times import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One action of one person on one alert. `until` for shelve and acknowledge (NEVER: the policy's default).

    "well" and "help" are the resident's own answers to the call that asks first.
    """

    action: Literal["acknowledge", "release", "note", "resolve", "reopen", "shelve", "well", "help"]
    alert: str
    by: str
    text: str = ""
    outcome: Outcome | None = None
    until: int = NEVER


class CommandError(ValueError):
    """The command cannot be carried out; the text says why and what to do, for a person to read."""
