"""Messages to people: what the plan decided, what the outbox sends, what came back.

May import model.times and model.alert only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mimamori.model.alert import Priority

Channel = Literal["console", "sms", "voice", "email", "other"]
NoticeKind = Literal["first", "repeat", "escalated", "bundle", "taken", "ended", "test"]
Status = Literal["planned", "sending", "sent", "delivered", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to one person over one channel. Its key is explicit, stable, and unique in the ledger.

    recipient: staff id (or "console"). address: telephone in E.164, e-mail, ...; never logged. due: ns, not before.
    reason: named, e.g. "escalated: no acknowledgement after 5m".
    """

    alert: str
    step: int
    recipient: str
    channel: Channel
    round: int
    kind: NoticeKind
    priority: Priority
    address: str
    text: str
    due: int
    reason: str

    @property
    def key(self) -> str:
        """(alert, step, recipient, kind, channel, round) as one string: the ledger's unique key."""
        return f"{self.alert}|{self.step}|{self.recipient}|{self.kind}|{self.channel}|{self.round}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeState:
    """A notice and what became of it. times in ns UTC, NEVER where it has not happened."""

    notice: Notice
    status: Status
    planned_at: int
    sent_at: int
    delivered_at: int
    tries: int
    provider_id: str
    detail: str  # last answer of the provider, or why it was cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A sender's answer. outcome "retry": trying again can help; "never": this channel cannot reach this person."""

    outcome: Literal["ok", "retry", "never"]
    provider_id: str = ""
    detail: str = ""
