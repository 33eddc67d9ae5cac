"""Senders that reach no network: the console's own lines, and the outbox page where no telephone service is set up.

May import model only. The notice is in the ledger already, where the console reads it; sending it is done by that.
"""

from __future__ import annotations

from mimamori.model.notice import Notice, Sent


class Page:
    """Marks a notice as shown: provider id "outbox" (stands in for SMS and others) or "console"."""

    def __init__(self, name: str = "outbox") -> None:
        self.name = name

    async def send(self, notice: Notice) -> Sent:  # noqa: ARG002 - a sender's form; the notice is on the page already
        """Always ok."""
        return Sent(outcome="ok", provider_id=self.name, detail="shown on the console")
