"""The outbox: what was committed is sent, then marked; a crash in between sends twice rather than never.

May import model only. Knows the ledger and the senders by the two protocols below; reads no clock. The text and the
address of a notice are never logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mimamori.model.notice import Channel, Notice, NoticeState, Sent, Status
from mimamori.model.times import NEVER, SECOND, format_duration

log = logging.getLogger(__name__)

_RANK = {"high": 0, "medium": 1, "low": 2}


class OutboxLedger(Protocol):
    """What the outbox needs of the ledger.

    `due_notices`: planned notices whose due and retry times have come, and those marked "sending" by a process that
    died, at most `limit`, urgent first. `mark_notice`: stores the status; "sending" counts one try; "planned" with
    retry_at makes it due again then. False: there is no such notice or it was cancelled meanwhile, so that it must not
    be sent (again); one cancelled while it was on its way becomes "cancelled" instead of "planned".
    """

    async def due_notices(self, now: int, limit: int) -> list[NoticeState]: ...

    async def mark_notice(
        self, key: str, *, status: Status, now: int, provider_id: str = "", detail: str = "", retry_at: int = NEVER
    ) -> bool: ...

    async def claimed(self, provider_ids: Sequence[str]) -> set[str]: ...


class Sender(Protocol):
    """One channel. Answers ok, retry or never; may raise, which counts as retry."""

    async def send(self, notice: Notice) -> Sent: ...


@runtime_checkable
class Finder(Protocol):
    """A sender whose service can be asked what it has taken already.

    `find`: the provider's ids of messages that equal this one, newer than `since` (ns); [] for none. Raises OSError
    when the service cannot be asked now.
    """

    async def find(self, notice: Notice, since: int) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits between tries: `first`, doubled each time up to `longest`; after `tries` the notice has failed."""

    first: int = 5 * SECOND
    longest: int = 300 * SECOND
    tries: int = 12

    def wait(self, tries: int) -> int:
        """Nanoseconds to wait after so many tries."""
        return min(self.first << min(max(tries - 1, 0), 30), self.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one run did, in notices. raised: of those retried, how many because the sender raised."""

    sent: int = 0
    retried: int = 0
    failed: int = 0
    raised: int = 0


class Outbox:
    """Sends what is due. One outbox a ledger; runs never overlap, so "sending" always means a process that died."""

    def __init__(
        self,
        ledger: OutboxLedger,
        senders: Mapping[Channel, Sender],
        *,
        backoff: Backoff | None = None,
        limit: int = 200,
        clock: Callable[[], int] | None = None,
        orderly: bool = False,
    ) -> None:
        """clock: for the time at which an answer came; without it that of the run's beginning.

        orderly: behind a message that must be tried again, those to the same recipient wait for the next run.
        """
        self.orderly = orderly
        self.clock = clock
        self.ledger = ledger
        self.senders = senders
        self.backoff = backoff or Backoff()
        self.limit = limit
        self.faults: Counter[str] = Counter()
        """How often each channel's sender has raised since the start."""
        self.broken: dict[str, str] = {}
        """Channels whose sender raised last time, and the kind of error: a light on the console."""
        self._one_run = asyncio.Lock()

    async def run_once(self, now: int, stop: asyncio.Event | None = None) -> Counts:
        """Sends everything due at `now`: people side by side, one person's messages in order, urgent first.

        Once `stop` is set, what is under way ends and nothing more is begun: cut off, it would be sent a second time.
        Raises what the ledger raises, after all sends under way have ended.
        """
        async with self._one_run:
            due = await self.ledger.due_notices(now, self.limit)
            lanes: dict[tuple[str, str], list[NoticeState]] = defaultdict(list)
            for state in sorted(due, key=_urgency):
                lanes[state.notice.channel, state.notice.recipient].append(state)
            work = [self._lane(lane, now, stop) for lane in lanes.values()]
            ends = await asyncio.gather(*work, return_exceptions=True)
        total: Counter[str] = Counter()
        for end in ends:
            if isinstance(end, BaseException):
                raise end
            total += end
        return Counts(sent=total["sent"], retried=total["retried"], failed=total["failed"], raised=total["raised"])

    async def _lane(self, lane: Sequence[NoticeState], now: int, stop: asyncio.Event | None) -> Counter[str]:
        done: Counter[str] = Counter()
        for state in lane:
            if stop is not None and stop.is_set():
                break
            done += await self._one(state, now)
            if self.orderly and done["retried"]:
                break
        return done

    async def _one(self, state: NoticeState, now: int) -> Counter[str]:
        notice = state.notice
        sender = self.senders.get(notice.channel)
        if sender is None:
            await self.ledger.mark_notice(
                notice.key, status="failed", now=now, detail=f"no sender for {notice.channel} is set up"
            )
            return Counter(failed=1)
        if not await self.ledger.mark_notice(notice.key, status="sending", now=now):
            return Counter()  # somebody acknowledged after this run had begun
        raised = 0
        try:
            answer = await self._found(sender, state) or await sender.send(notice)
            self.broken.pop(notice.channel, None)
        except Exception as error:  # noqa: BLE001 - one bad sender or notice must not stop the others
            raised, kind = 1, type(error).__name__
            self.faults[notice.channel] += 1
            self.broken[notice.channel] = kind
            # The error's own text may hold a telephone number: only its kind is written down.
            log.warning("sender %s raised %s on %s", notice.channel, kind, notice.alert)
            answer = Sent(outcome="retry", detail=f"the sender raised {kind}")
        outcome = await self._mark(state, answer, max(now, self.clock()) if self.clock else now)
        return Counter({outcome: 1, "raised": raised})

    async def _found(self, sender: Sender, state: NoticeState) -> Sent | None:
        """What an earlier try has left with the service, though its answer was lost or we died before it came."""
        if not state.tries or not isinstance(sender, Finder):
            return None
        try:
            ids = await sender.find(state.notice, state.planned_at)
        except OSError as error:
            return Sent(outcome="retry", detail=f"the service could not be asked ({type(error).__name__})")
        claimed = await self.ledger.claimed(ids) if ids else set()
        free = [key for key in ids if key not in claimed]
        return Sent(outcome="ok", provider_id=free[0], detail="taken at an earlier try") if free else None

    async def _mark(self, state: NoticeState, answer: Sent, now: int) -> str:
        key, tries = state.notice.key, state.tries + 1
        if answer.outcome == "ok":
            await self.ledger.mark_notice(
                key, status="sent", now=now, provider_id=answer.provider_id, detail=answer.detail
            )
            return "sent"
        if answer.outcome == "retry" and tries < self.backoff.tries:
            wait = self.backoff.wait(tries)
            detail = f"{answer.detail}; try {tries + 1} in {format_duration(wait)}"
            await self.ledger.mark_notice(key, status="planned", now=now, detail=detail, retry_at=now + wait)
            return "retried"
        detail = answer.detail if answer.outcome == "never" else f"{answer.detail}; given up after {tries} tries"
        await self.ledger.mark_notice(key, status="failed", now=now, detail=detail)
        return "failed"


def _urgency(state: NoticeState) -> tuple[int, int, int, str]:
    """A first call of high priority goes before everything; then by priority; within that in order of due time."""
    notice = state.notice
    first = 0 if notice.kind == "first" and notice.priority == "high" else 1
    return first, _RANK[notice.priority], notice.due, notice.key
