"""Alert lines to other programs: one POST for each change of an alert, signed as Standard Webhooks asks.

May import model only, and aiohttp. Never logs an address or a body. What a receiver must check and answer is told in
alerts/README.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp

from mimamori.model.notice import WEBHOOK, Notice, NoticeState, Sent, Status
from mimamori.model.times import HOUR, NEVER, SECOND
from mimamori.notify.outbox import Backoff

SECONDS = 10.0
"""For one answer: who takes longer has not taken it."""
PATIENCE = Backoff(first=5 * SECOND, longest=HOUR, tries=24)
"""Tries over about fourteen hours, so that a receiver may be away for a night."""
PREFIX = "whsec_"


class Hook(Protocol):
    """One registered address."""

    @property
    def secret(self) -> str: ...

    @property
    def active(self) -> bool: ...


class Hooks(Protocol):
    """What the sender needs of the ledger. `webhook_gone`: its receiver said that it is there no more (410)."""

    async def webhook(self, id: str) -> Hook | None: ...  # noqa: A002 - the word of the record

    async def webhook_gone(self, id: str, now: int) -> None: ...  # noqa: A002


class HookNotices(Protocol):
    """The ledger's outbox, with a way to ask for what goes to webhooks."""

    async def due_webhooks(self, now: int, limit: int) -> list[NoticeState]: ...

    async def mark_notice(
        self, key: str, *, status: Status, now: int, provider_id: str = "", detail: str = "", retry_at: int = NEVER
    ) -> bool: ...

    async def claimed(self, provider_ids: Sequence[str]) -> set[str]: ...


class WebhookLedger:
    """The ledger as an outbox of its own sees it, so that no slow receiver ever holds up a message to a person."""

    def __init__(self, ledger: HookNotices) -> None:
        self._ledger = ledger
        self.mark_notice, self.claimed = ledger.mark_notice, ledger.claimed

    async def due_notices(self, now: int, limit: int) -> list[NoticeState]:
        """Those for webhooks alone."""
        return await self._ledger.due_webhooks(now, limit)


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over "id.timestamp.body" (standardwebhooks.com). timestamp: epoch seconds.

    secret: "whsec_" and base64. Raises ValueError if it is not that.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    told = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(told.digest()).decode()


def message_id(key: str) -> str:
    """The same for every try of one notice, and telling nothing: receivers know doubles by it."""
    return "msg_" + hashlib.sha256(key.encode()).hexdigest()[:32]


class Webhooks:
    """The sender of the channel `webhook`. clock: ns UTC of the real clock. To be closed inside the event loop."""

    def __init__(self, hooks: Hooks, clock: Callable[[], int], *, seconds: float = SECONDS) -> None:
        self._hooks, self._clock = hooks, clock
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds))

    async def close(self) -> None:
        """Ends the connections that are kept open."""
        await self._session.close()

    async def send(self, notice: Notice) -> Sent:
        """Ok for any 2xx; never, and the webhook is off from now on, for 410; all else is tried again."""
        name = notice.recipient.removeprefix(WEBHOOK)
        hook = await self._hooks.webhook(name)
        if hook is None or not hook.active:
            return Sent(outcome="never", detail="this webhook is switched off")
        body, now, told = notice.text.encode(), self._clock() // SECOND, message_id(notice.key)
        headers = {
            "content-type": "application/json", "user-agent": "mimamori", "webhook-id": told,
            "webhook-timestamp": str(now), "webhook-signature": signature(hook.secret, told, now, body),
        }  # fmt: skip
        try:
            async with self._session.post(notice.address, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except TimeoutError:
            return Sent(outcome="retry", detail="no answer in time")
        except aiohttp.ClientError as error:
            return Sent(outcome="retry", detail=f"no connection ({type(error).__name__})")
        if 200 <= status < 300:
            return Sent(outcome="ok", detail=f"answered {status}")
        if status == 410:
            await self._hooks.webhook_gone(name, self._clock())
            return Sent(outcome="never", detail="answered 410: the webhook was switched off")
        return Sent(outcome="retry", detail=f"answered {status}")
