"""Notices in the ledger, planned, sent and cancelled, against SQLite and PostgreSQL alike."""

from __future__ import annotations

import pytest

from mimamori.model.notice import Status
from mimamori.model.times import DAY, MINUTE
from mimamori.store.ledger import Ledger

from .conftest import T0, notice


class Conformance:
    """A subclass gives `url`, of a database without tables."""

    async def test_a_key_is_planned_once_whatever_happens_to_it(self, ledger: Ledger) -> None:
        one = notice()
        await ledger.commit(events=[], notices=[one, one], now=T0)
        await ledger.mark_notice(one.key, status="sending", now=T0)
        await ledger.mark_notice(one.key, status="sent", now=T0 + 1, provider_id="SM1")
        await ledger.commit(events=[], notices=[one], now=T0 + 5)
        (state,) = await ledger.notices()
        assert state.notice == one
        assert (state.status, state.planned_at, state.sent_at, state.tries, state.provider_id) == (
            "sent",
            T0,
            T0 + 1,
            1,
            "SM1",
        )
        assert await ledger.due_notices(T0 + DAY) == []

    async def test_due_notices_are_by_priority_then_age(self, ledger: Ledger) -> None:
        notices = [
            notice(1, T0 - 9, "low"), notice(2, T0 - 1, "high"), notice(3, T0 - 5, "high"), notice(4, T0 - 7, "medium"),
            notice(5, T0 + 1, "high"),
        ]  # fmt: skip
        await ledger.commit(events=[], notices=notices, now=T0)
        assert [s.notice.step for s in await ledger.due_notices(T0)] == [3, 2, 4, 1]
        assert [s.notice.step for s in await ledger.due_notices(T0 + 1, limit=2)] == [3, 2]

    async def test_a_failed_try_is_due_again_at_its_time_and_never_without_one(self, ledger: Ledger) -> None:
        again, never = notice(1), notice(2)
        await ledger.commit(events=[], notices=[again, never], now=T0)
        for one in (again, never):
            await ledger.mark_notice(one.key, status="sending", now=T0)
        assert await ledger.due_notices(T0) == []
        await ledger.mark_notice(again.key, status="planned", now=T0, retry_at=T0 + MINUTE, detail="busy")
        await ledger.mark_notice(never.key, status="failed", now=T0, detail="no such number")
        assert await ledger.due_notices(T0 + MINUTE - 1) == []
        (due,) = await ledger.due_notices(T0 + MINUTE)
        assert (due.notice, due.tries, due.detail) == (again, 1, "busy")
        assert await ledger.notice_counts() == {"planned": 1, "failed": 1}

    async def test_a_late_answer_does_not_take_back_a_delivery(self, ledger: Ledger) -> None:
        one = notice()
        await ledger.commit(events=[], notices=[one], now=T0)
        await ledger.mark_notice(one.key, status="sending", now=T0)
        await ledger.mark_notice(one.key, status="delivered", now=T0 + 3, detail="ok")
        assert await ledger.mark_notice(one.key, status="sent", now=T0 + 2, provider_id="SM1")
        assert await ledger.mark_notice(one.key, status="failed", now=T0 + 4, detail="late", retry_at=T0 + 5)
        (state,) = await ledger.notices()
        told = (state.status, state.delivered_at, state.sent_at, state.provider_id, state.detail)
        assert told == ("delivered", T0 + 3, T0 + 2, "SM1", "ok")
        assert await ledger.due_notices(T0 + DAY) == []
        assert not await ledger.mark_notice("no such key", status="sent", now=T0)

    async def test_only_what_waits_can_be_cancelled(self, ledger: Ledger) -> None:
        waiting, sent, fresh = notice(1), notice(2), notice(3)
        await ledger.commit(events=[], notices=[waiting, sent], now=T0)
        await ledger.mark_notice(sent.key, status="sent", now=T0)
        await ledger.commit(events=[], notices=[fresh], cancelled=[waiting.key, sent.key, fresh.key, "unknown"], now=T0)
        assert {s.notice.step: s.status for s in await ledger.notices()} == {1: "cancelled", 2: "sent", 3: "cancelled"}
        assert await ledger.due_notices(T0 + DAY) == []

    async def test_only_what_waits_can_be_sent(self, ledger: Ledger) -> None:
        one, gone = notice(1), notice(2)
        await ledger.commit(events=[], notices=[one, gone], cancelled=[gone.key], now=T0)
        assert not await ledger.mark_notice(gone.key, status="sending", now=T0)
        assert await ledger.mark_notice(one.key, status="sending", now=T0)
        assert not await ledger.mark_notice(one.key, status="sending", now=T0)
        assert await ledger.mark_notice(one.key, status="planned", now=T0, retry_at=T0 + 1)
        assert await ledger.mark_notice(one.key, status="sending", now=T0 + 1)
        for answer in ("failed", "sent", "delivered"):
            assert await ledger.mark_notice(one.key, status=answer, now=T0 + 2)
            assert not await ledger.mark_notice(one.key, status="sending", now=T0 + 3)
        told = {s.notice.step: (s.status, s.tries) for s in await ledger.notices()}
        assert told == {1: ("delivered", 2), 2: ("cancelled", 0)}

    @pytest.mark.parametrize("again", ["planned", "failed"])
    async def test_what_is_cancelled_on_its_way_is_not_tried_again(self, ledger: Ledger, again: Status) -> None:
        one = notice()
        await ledger.commit(events=[], notices=[one], now=T0)
        await ledger.mark_notice(one.key, status="sending", now=T0)
        await ledger.commit(events=[], notices=[], cancelled=[one.key], now=T0)
        assert await ledger.notice_counts() == {"sending": 1}
        assert not await ledger.mark_notice(one.key, status=again, now=T0, retry_at=T0 + MINUTE)
        assert not await ledger.mark_notice(one.key, status="sending", now=T0 + MINUTE)
        assert await ledger.due_notices(T0 + DAY) == []
        assert await ledger.notice_counts() == {"cancelled": 1}

    async def test_what_is_cancelled_on_its_way_may_still_arrive(self, ledger: Ledger) -> None:
        one = notice()
        await ledger.commit(events=[], notices=[one], now=T0)
        await ledger.mark_notice(one.key, status="sending", now=T0)
        await ledger.commit(events=[], notices=[], cancelled=[one.key], now=T0)
        assert await ledger.mark_notice(one.key, status="sent", now=T0 + 1, provider_id="SM1")
        assert await ledger.mark_notice(one.key, status="delivered", now=T0 + 2)
        (state,) = await ledger.notices()
        assert (state.status, state.sent_at, state.delivered_at) == ("delivered", T0 + 1, T0 + 2)

    async def test_a_crash_does_not_call_again_after_an_answer(self, ledger: Ledger, url: str) -> None:
        one = notice()
        await ledger.commit(events=[], notices=[one], now=T0)
        await ledger.mark_notice(one.key, status="sending", now=T0)
        await ledger.commit(events=[], notices=[], cancelled=[one.key], now=T0)
        await ledger.close()
        again = await Ledger.open(url)
        assert await again.due_notices(T0 + DAY) == []
        assert await again.notice_counts() == {"cancelled": 1}
        await again.close()

    async def test_after_a_crash_what_was_being_sent_is_planned_again(self, ledger: Ledger, url: str) -> None:
        one = notice()
        await ledger.commit(events=[], notices=[one], now=T0)
        await ledger.mark_notice(one.key, status="sending", now=T0)
        await ledger.close()
        beside = await Ledger.open(url, recover=False)
        assert await beside.due_notices(T0) == []
        await beside.close()
        again = await Ledger.open(url)
        (due,) = await again.due_notices(T0)
        assert (due.notice.key, due.tries) == (one.key, 1)
        await again.close()


class TestSqlite(Conformance):
    """The default."""

    @pytest.fixture
    def url(self, sqlite_url: str) -> str:
        return sqlite_url


@pytest.mark.server
class TestPostgres(Conformance):
    """By URL, against a real server."""

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
