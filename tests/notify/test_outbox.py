"""The outbox: commit, send, mark. A message may be doubled by a crash; it is never lost."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimamori.model.notice import Notice, Sent
from mimamori.model.times import MINUTE, SECOND
from mimamori.notify.outbox import Backoff, Outbox
from mimamori.notify.page import Page

NOW = 1_795_000_000 * SECOND


class Carrier:
    """A sender that keeps what it was given and answers as it is told, "ok" afterwards."""

    def __init__(self, *answers: Sent | BaseException) -> None:
        self.answers = list(answers)
        self.sent: list[Notice] = []

    async def send(self, notice: Notice) -> Sent:
        answer = self.answers.pop(0) if self.answers else Sent(outcome="ok", provider_id=f"SM{len(self.sent)}")
        if isinstance(answer, BaseException):
            raise answer
        self.sent.append(notice)
        return answer


RETRY = Sent(outcome="retry", detail="the handset is off")
NEVER_AGAIN = Sent(outcome="never", detail="the number is not valid")


async def test_what_is_due_is_sent_and_marked(memory: Any, notice: Any) -> None:
    now_due, later = notice(1), notice(2, due=NOW + 1)
    memory.commit(now_due, later)
    carrier = Carrier()
    counts = await Outbox(memory, {"sms": carrier}).run_once(NOW)
    assert carrier.sent == [now_due]
    assert counts.sent == 1
    state = memory.rows[now_due.key]
    assert (state.status, state.sent_at, state.provider_id, state.tries) == ("sent", NOW, "SM0", 1)
    assert memory.status(later) == "planned"
    assert memory.marks == [(now_due.key, "sending"), (now_due.key, "sent")]
    await Outbox(memory, {"sms": carrier}).run_once(NOW)
    assert carrier.sent == [now_due]


async def test_a_retry_waits_longer_each_time_and_gives_up_at_last(memory: Any, notice: Any) -> None:
    one = notice()
    memory.commit(one)
    outbox = Outbox(memory, {"sms": Carrier(*[RETRY] * 4)}, backoff=Backoff(first=SECOND, longest=3 * SECOND, tries=4))
    now, waits = NOW, []
    while memory.status(one) == "planned":
        await outbox.run_once(now)
        wait = memory.retry_at[one.key] - now
        if memory.status(one) == "planned":
            assert (await outbox.run_once(now + wait - 1)).retried == 0
            waits.append(wait)
            now += wait
    assert waits == [SECOND, 2 * SECOND, 3 * SECOND]
    assert memory.rows[one.key].detail == "the handset is off; given up after 4 tries"


async def test_at_the_end_of_the_service_what_is_under_way_ends_and_nothing_more_is_begun(
    memory: Any, notice: Any
) -> None:
    stop = asyncio.Event()

    class Last(Carrier):
        async def send(self, notice: Notice) -> Sent:
            stop.set()
            return await super().send(notice)

    first, second = notice(1), notice(2)
    memory.commit(first, second)
    assert (await Outbox(memory, {"sms": Last()}).run_once(NOW, stop)).sent == 1
    assert (memory.status(first), memory.status(second)) == ("sent", "planned")


async def test_never_is_never_tried_again(memory: Any, notice: Any) -> None:
    one = notice()
    memory.commit(one)
    outbox = Outbox(memory, {"sms": Carrier(NEVER_AGAIN)})
    assert (await outbox.run_once(NOW)).failed == 1
    assert (memory.status(one), memory.rows[one.key].detail) == ("failed", "the number is not valid")


async def test_a_sender_that_raises_is_counted_and_the_others_go_on(
    memory: Any, notice: Any, caplog: pytest.LogCaptureFixture
) -> None:
    poison, good, line = notice(1), notice(2), notice(3, channel="console", recipient="console", address="")
    memory.commit(poison, good, line)
    carrier = Carrier(KeyError("+819000000001"))
    outbox = Outbox(memory, {"sms": carrier, "console": Page("console")})
    with caplog.at_level(logging.DEBUG):
        counts = await outbox.run_once(NOW)
    assert (counts.sent, counts.retried, counts.raised) == (2, 1, 1)
    assert outbox.faults == {"sms": 1}
    assert carrier.sent == [good]
    assert memory.rows[poison.key].detail.startswith("the sender raised KeyError; try 2 in 5s")
    assert "+81" not in caplog.text
    assert "見守り" not in caplog.text
    await outbox.run_once(NOW + 5 * SECOND)
    assert carrier.sent == [good, poison]
    assert outbox.broken == {}


async def test_a_channel_without_sender_fails_openly(memory: Any, notice: Any) -> None:
    one = notice(channel="voice")
    memory.commit(one)
    await Outbox(memory, {}).run_once(NOW)
    assert memory.rows[one.key].detail == "no sender for voice is set up"


async def test_order_for_one_person_and_the_first_high_alert_in_front(memory: Any, notice: Any) -> None:
    wanted = [
        notice(kind="first", priority="high", due=NOW - 1 * SECOND, recipient="N-1", round=9),
        notice(kind="repeat", priority="high", due=NOW - 5 * SECOND, recipient="N-1", round=1),
        notice(kind="taken", priority="medium", due=NOW - 9 * SECOND, recipient="N-1", round=2),
        notice(kind="first", priority="medium", due=NOW - 2 * SECOND, recipient="N-1", round=3),
        notice(kind="first", priority="low", due=NOW - 99 * SECOND, recipient="N-1", round=4),
    ]
    memory.commit(*reversed(wanted))
    carrier = Carrier()
    await Outbox(memory, {"sms": carrier}).run_once(NOW)
    assert carrier.sent == wanted


async def test_a_slow_line_keeps_nobody_else_waiting(memory: Any, notice: Any) -> None:
    slow, quick = notice(1), notice(2)
    memory.commit(slow, quick)
    arrived = asyncio.Event()

    class Party:
        async def send(self, given: Notice) -> Sent:
            if given == slow:
                await arrived.wait()  # ends only if the other one is sent meanwhile
            arrived.set()
            return Sent(outcome="ok")

    async with asyncio.timeout(5):
        assert (await Outbox(memory, {"sms": Party()}).run_once(NOW)).sent == 2


async def test_runs_never_overlap(memory: Any, notice: Any) -> None:
    memory.commit(*(notice(i) for i in range(5)))
    carrier = Carrier()
    outbox = Outbox(memory, {"sms": carrier})
    await asyncio.gather(*(outbox.run_once(NOW) for _ in range(4)))
    assert len(carrier.sent) == 5


async def test_a_cancelled_notice_is_not_sent(memory: Any, notice: Any) -> None:
    one = notice()
    memory.commit(one)
    memory.cancel(one.key)
    carrier = Carrier()
    await Outbox(memory, {"sms": carrier}).run_once(NOW)
    assert carrier.sent == []


async def test_an_acknowledgement_in_the_middle_of_a_run_stops_what_has_not_left(memory: Any, notice: Any) -> None:
    first, second = notice(1, recipient="N-1"), notice(2, recipient="N-1")
    memory.commit(first, second)

    class Answered:
        """The first message is answered at once; its own line is bad, so it would be tried again."""

        sent: list[Notice] = []  # noqa: RUF012 - of this test only

        async def send(self, given: Notice) -> Sent:
            self.sent.append(given)
            memory.cancel(first.key)
            memory.cancel(second.key)
            return RETRY

    outbox = Outbox(memory, {"sms": Answered()})
    await outbox.run_once(NOW)
    await outbox.run_once(NOW + 5 * MINUTE)
    assert Answered.sent == [first]
    assert {memory.status(first), memory.status(second)} == {"cancelled"}


class Crash(BaseException):
    """The process dies here: no handler of ours may catch it."""


class Dying:
    """The ledger of a process that dies: after so many marks nothing more is written."""

    def __init__(self, memory: Any, lives: int) -> None:
        self.memory, self.lives = memory, lives

    async def due_notices(self, now: int, limit: int) -> Any:
        return await self.memory.due_notices(now, limit)

    async def mark_notice(self, key: str, **mark: Any) -> bool:
        if self.lives == 0:
            raise Crash
        self.lives -= 1
        marked: bool = await self.memory.mark_notice(key, **mark)
        return marked


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(st.integers(0, 3), min_size=1, max_size=6), lives=st.lists(st.integers(0, 9), max_size=4))
def test_a_crash_between_send_and_mark_doubles_at_most_and_loses_nothing(
    new_memory: Any, notice: Any, people: list[int], lives: list[int]
) -> None:
    memory, carrier = new_memory(), Carrier()
    notices = [notice(person, round=i) for i, person in enumerate(people)]
    memory.commit(*notices)

    async def live_and_die() -> int:
        crashes = 0
        for life in lives:
            try:
                await Outbox(Dying(memory, life), {"sms": carrier}).run_once(NOW)
            except Crash:
                crashes += 1
        await Outbox(memory, {"sms": carrier}).run_once(NOW)
        return crashes

    crashes = asyncio.run(live_and_die())
    times = Counter(n.key for n in carrier.sent)
    assert set(times) == {n.key for n in notices}
    assert {memory.status(n) for n in notices} == {"sent"}
    lanes = len(set(people))
    assert sum(times.values()) - len(notices) <= crashes * lanes  # one under way for each person when it died


def test_backoff_never_overflows() -> None:
    assert Backoff().wait(10_000) == 5 * MINUTE
