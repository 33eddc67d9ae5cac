"""Alerts as the fold of their events. Plain objects: alerts are thousands, not millions.

May import model.times only. An alert's state is never stored, only its events are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mimamori.model.times import NEVER

Priority = Literal["high", "medium", "low"]
Category = Literal["resident", "environment", "technical"]
State = Literal["open", "acknowledged", "resolved"]
Outcome = Literal[
    "true-emergency", "help-given", "false-alarm", "absence", "test", "device-fault", "no-action", "other", "ended"
]  # fmt: skip
"""How an alert was closed; "ended" is the engine's own: the condition cleared by a sign of life."""
EventKind = Literal[
    "opened", "worsened", "eased", "acknowledged", "escalated", "returned", "resolved", "reopened", "note", "shelved",
    "unshelved", "ack-expired", "asked",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """One change of one alert, with who, when and why; the only thing that causes messages.

    alert: `household/rule/opened-at` (with `/device` before the time for a rule about devices). by: "engine", "policy"
    or a staff id. reason: named in plain words. evidence: the very numbers the rule used. why_ja, why_en: the sentence
    built from them. since: ns, when the condition began. Filled on "opened" and "worsened"; empty on the others.
    """

    alert: str
    kind: EventKind
    at: int
    by: str
    reason: str
    household: str
    rule: str
    device: str = ""
    priority: Priority = "medium"
    category: Category = "resident"
    since: int = NEVER
    title_ja: str = ""
    title_en: str = ""
    why_ja: str = ""
    why_en: str = ""
    outcome: Outcome | None = None
    until: int = NEVER  # shelved until, acknowledgement expires at, or the resident has time to answer until
    step: int = -1  # escalation step that was reached
    evidence: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The fold of an alert's events up to now. `step` is the escalation step last taken, -1 before the first.

    state "open" with returned_at set is ISA-18.2's "returned to normal, unacknowledged": it stays visible.
    """

    id: str
    household: str
    rule: str
    device: str
    priority: Priority
    category: Category
    state: State
    opened: int
    since: int
    title_ja: str
    title_en: str
    why_ja: str
    why_en: str
    evidence: Mapping[str, float | str]
    owner: str = ""  # who acknowledged
    acknowledged_at: int = NEVER
    ack_until: int = NEVER
    returned_at: int = NEVER
    resolved_at: int = NEVER
    shelved_until: int = NEVER
    outcome: Outcome | None = None
    step: int = -1
    round: int = 0
    step_at: int = NEVER
    last_at: int = NEVER
    asked_until: int = NEVER  # the resident has been asked first, and staff are told then if no answer came
    asks: int = 0
