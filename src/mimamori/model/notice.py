"""Messages to people: what the plan decided, what the outbox sends, what came back.

May import model.times and model.alert only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mimamori.model.alert import Priority
from mimamori.model.times import NEVER

Channel = Literal["console", "sms", "voice", "email", "other", "webhook"]
NoticeKind = Literal["first", "repeat", "escalated", "bundle", "taken", "ended", "test", "ask", "event"]
Status = Literal["planned", "sending", "sent", "delivered", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to one person over one channel. Its key is explicit, stable, and unique in the ledger.

    recipient: staff id, "console", "ward" (the channel `other`), HOME and a household's id, or WEBHOOK and its id.
    address: telephone in E.164, e-mail, ...; never logged. due: ns, not before.
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
    read_at: int = NEVER  # answered: a key pressed, a reply sent, or a receipt that says "read"


WEBHOOK = "webhook:"
"""Before the id of a registered webhook, where a message goes to a program."""
HOME = "home:"
"""Before a household's id where a message goes to the home itself; staff ids hold no colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """When a person or home was last reached over a channel, and when that last failed; NEVER where it has not."""

    recipient: str
    channel: Channel
    reached_at: int = NEVER
    failed_at: int = NEVER
    detail: str = ""

    @property
    def works(self) -> bool:
        """Whether nothing speaks against it: the last try reached, or there was none."""
        return self.failed_at == NEVER or self.reached_at > self.failed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A sender's answer. outcome "retry": trying again can help; "never": this channel cannot reach this person."""

    outcome: Literal["ok", "retry", "never"]
    provider_id: str = ""
    detail: str = ""
