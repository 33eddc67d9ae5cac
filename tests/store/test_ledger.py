"""What the ledger keeps, against SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url, text

from mimamori.model.alert import AlertEvent
from mimamori.model.declared import Declaration
from mimamori.model.notice import Notice, Status
from mimamori.model.readings import Rejected
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.records import (
    Absence,
    Access,
    Contact,
    Device,
    EngineMark,
    Note,
    Resident,
    Session,
    Staff,
    TakenError,
    Unwatched,
)
from mimamori.store.tables import metadata

T0 = 1_795_000_000 * SECOND


def event(kind: str = "opened", alert: str = "h1/inactivity/1", at: int = T0) -> AlertEvent:
    return AlertEvent(
        alert=alert, kind=kind, at=at, by="engine", reason="no sign of life", household=alert.partition("/")[0],  # type: ignore[arg-type]
        rule="inactivity", since=at - MINUTE, title_ja="活動がありません", title_en="No activity",
        evidence={"expected": np.float64(16.7), "seen": 0, "since": "05:10", "doubt": np.float32(0.5)},
    )  # fmt: skip


def notice(step: int = 0, due: int = T0, priority: str = "high", alert: str = "h1/inactivity/1") -> Notice:
    return Notice(
        alert=alert, step=step, recipient="n1", channel="sms", round=0, kind="first", priority=priority,  # type: ignore[arg-type]
        address="+819012345678", text="見守り", due=due, reason="first",
    )  # fmt: skip


class Conformance:
    """The promises of `Ledger`; a subclass gives `url`, of a database without tables."""

    @pytest.fixture
    async def ledger(self, url: str) -> AsyncIterator[Ledger]:
        ledger = await Ledger.open(url)
        yield ledger
        await ledger.close()

    async def test_events_come_back_equal_and_in_commit_order(self, ledger: Ledger) -> None:
        first = [event(), event("note", at=T0 - DAY), event(alert="h2/x/1", at=T0 + 1)]
        await ledger.commit(events=first[:2], notices=[], now=T0)
        await ledger.commit(events=first[2:], notices=[], now=T0)
        assert await ledger.alert_events() == first
        assert await ledger.alert_events(alert="h2/x/1") == first[2:]
        assert await ledger.alert_events(since=T0) == [first[0], first[2]]

    async def test_unresolved_are_all_events_of_alerts_that_are_not_resolved(self, ledger: Ledger) -> None:
        a = [event(), event("resolved", at=T0 + 1), event("reopened", at=T0 + 2)]
        b = [event(alert="h2/x/1"), event("acknowledged", alert="h2/x/1"), event("resolved", alert="h2/x/1", at=T0 + 3)]
        await ledger.commit(events=a, notices=[], now=T0)
        await ledger.commit(events=b, notices=[], now=T0)
        assert await ledger.alert_events(unresolved=True) == a
        await ledger.commit(events=[event("resolved", at=T0 + 4)], notices=[], now=T0)
        assert await ledger.alert_events(unresolved=True) == []

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

    async def test_a_tick_is_one_transaction(self, ledger: Ledger) -> None:
        broken = EngineMark(at=T0, version=1, digest="d", blob=None)  # type: ignore[arg-type]
        with pytest.raises(LedgerError):
            await ledger.commit(events=[event()], notices=[notice()], mark=broken, now=T0)
        assert (await ledger.alert_events(), await ledger.notices(), await ledger.engine_mark()) == ([], [], None)
        mark = EngineMark(at=T0, version=1, digest="d", blob=bytes(range(256)))
        await ledger.commit(events=[event()], notices=[notice()], mark=mark, now=T0)
        await ledger.commit(events=[], notices=[], mark=replace(mark, at=T0 + 1), now=T0)
        assert await ledger.engine_mark() == replace(mark, at=T0 + 1)
        assert await ledger.verify() == []

    async def test_people_and_things_come_back_equal(self, ledger: Ledger) -> None:
        nurse = Staff(id="n1", name="看護 花子", role="nurse", phone="+819000000000", password_hash="x")
        await ledger.put_staff(nurse)
        await ledger.put_staff(replace(nurse, role="on-call"))
        assert (await ledger.staff("n1"), await ledger.staff("n2")) == (replace(nurse, role="on-call"), None)
        assert await ledger.all_staff() == [replace(nurse, role="on-call")]
        resident = Resident(household="h1", code="A-01", name="山田 太郎", room="101")
        await ledger.put_resident(resident)
        await ledger.put_resident(replace(resident, watched=False))
        assert await ledger.residents() == [replace(resident, watched=False)]
        devices = [Device(household="h1", device=d, profile="p") for d in ("bed", "door")]
        for device in (*devices, replace(devices[0], active=False)):
            await ledger.put_device(device)
        assert await ledger.devices() == [replace(devices[0], active=False), devices[1]]

    async def test_a_session_holds_for_its_time_and_an_active_person(self, ledger: Ledger) -> None:
        nurse = Staff(id="n1", name="n", role="nurse")
        await ledger.put_staff(nurse)
        await ledger.add_session(Session(token_hash="h", staff="n1", started=T0, until=T0 + DAY))
        assert await ledger.session("h", T0) == nurse
        assert [await ledger.session("h", T0 + DAY), await ledger.session("x", T0)] == [None, None]
        await ledger.put_staff(replace(nurse, active=False))
        assert await ledger.session("h", T0) is None
        await ledger.put_staff(nurse)
        await ledger.end_session("h")
        assert await ledger.session("h", T0) is None

    async def test_absences_in_force(self, ledger: Ledger) -> None:
        open_end = Absence(id="a", household="h1", kind="hospital", start=T0)
        ended = Absence(id="b", household="h2", kind="family", start=T0 - DAY, end=T0)
        ahead = Absence(id="c", household="h3", kind="travel", start=T0 + DAY, end=T0 + 2 * DAY)
        for absence in (open_end, ended, ahead):
            await ledger.put_absence(absence)
        assert await ledger.absences(T0) == [open_end]
        assert await ledger.absences() == [open_end, ended, ahead]
        await ledger.put_absence(replace(open_end, end=T0 + 1))
        assert await ledger.absences(T0 + 1) == []
        assert await ledger.absences(after=T0) == [replace(open_end, end=T0 + 1), ahead]

    async def test_what_the_engine_was_told_of_absences_is_kept_in_order(self, ledger: Ledger) -> None:
        said = [
            Declaration(at=T0 + i, household="h1", spans=spans)
            for i, spans in enumerate([((T0, NEVER),), (), ((1, 2),)])
        ]
        await ledger.commit(events=[], notices=[], declared=said[1:], now=T0)
        await ledger.commit(events=[], notices=[], declared=said[:1], now=T0)
        assert await ledger.declarations() == said

    async def test_time_that_nobody_watched_is_kept_until_a_snapshot_holds_it(self, ledger: Ledger) -> None:
        gaps = [Unwatched(since=T0 + i * HOUR, until=T0 + i * HOUR + MINUTE) for i in range(3)]
        await ledger.commit(events=[], notices=[], unwatched=gaps[1:], now=T0)
        await ledger.commit(events=[], notices=[], unwatched=[replace(gaps[0], until=T0 + 1), gaps[0]], now=T0)
        assert await ledger.unwatched() == gaps
        mark = EngineMark(at=gaps[1].until, version=1, digest="d", blob=b"")
        await ledger.commit(events=[], notices=[], mark=mark, now=T0)
        assert await ledger.unwatched() == gaps[2:]

    async def test_the_access_log_is_looked_through_by_whose_who_and_when(self, ledger: Ledger) -> None:
        kinds = itertools.product(("n1", "N1", 'n1","x'), ("h1", "h2", ""))
        lines = [Access(who=who, whose=whose, what=f'saw "who":"n{i}"', at=T0 + i // 2 * HOUR)
                 for i, (who, whose) in enumerate([*kinds] * 3)]  # fmt: skip
        for line in lines:
            await ledger.log_access(line)
        for asked in ({}, {"whose": "h1"}, {"who": "n1"}, {"who": "N1", "whose": "h2"}, {"who": "n_"}):
            for begins, ends in ((NEVER, None), (T0 + 3 * HOUR, T0 + 9 * HOUR)):
                wanted = [a for a in reversed(lines) if begins <= a.at < (ends or a.at + 1)
                          and all(getattr(a, name) == value for name, value in asked.items())]  # fmt: skip
                found, before = [], 0
                while page := await ledger.access_lines(**asked, begins=begins, ends=ends, before=before, limit=4):
                    found += [line for _, line in page]
                    before = page[-1][0]
                    await ledger.log_access(Access(who="z", whose="z", what="meanwhile", at=T0 + 99 * HOUR))
                assert found == wanted

    async def test_accesses_are_newest_first(self, ledger: Ledger) -> None:
        seen = [Access(who="n1", whose=f"h{i % 2}", what="view", at=T0 - i, where="10.0.0.1") for i in range(5)]
        for access in seen:
            await ledger.log_access(access)
        assert await ledger.accesses(limit=3) == seen[:1:-1]
        assert await ledger.accesses(whose="h1") == [seen[3], seen[1]]
        assert await ledger.verify() == []

    async def test_quarantine_keeps_the_newest_and_counts_all(self, url: str) -> None:
        ledger = await Ledger.open(url, quarantine_keep=5)
        for i in range(4):
            batch = [Rejected(place="t", reason="not-json", mend="send JSON", payload=b"\x00" * 9999, at=T0 + i)] * 2
            await ledger.quarantine([*batch, Rejected(place="t", reason="bad-row", mend="", payload=b"", at=T0 + i)])
        kept = await ledger.quarantined(100)
        assert [r.at - T0 for r in kept] == [3, 3, 3, 2, 2]
        assert len(kept[1].payload) == 4096
        assert await ledger.quarantine_counts() == {"not-json": 8, "bad-row": 4}
        await ledger.close()

    async def test_calls_made_together_leave_one_whole_chain(self, ledger: Ledger) -> None:
        await asyncio.gather(*(ledger.commit(events=[event(alert=f"h/{i}/1")], notices=[], now=T0) for i in range(30)))
        assert [e.alert for e in await ledger.alert_events()] == [f"h/{i}/1" for i in range(30)]
        assert await ledger.verify() == []

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (
                "UPDATE alert_event SET body = replace(body, 'no sign', 'No sign') WHERE id = 2",
                "alert_event 2: does not match",
            ),
            ("UPDATE alert_event SET at = at + 1 WHERE id = 3", "alert_event 3: its columns differ"),
            ("DELETE FROM alert_event WHERE id = 2", "alert_event 2: missing"),
            ("DELETE FROM alert_event WHERE id = 4", "alert_event: the chain's head says 4"),
            ("UPDATE access SET body = replace(body, 'n1', 'n2')", "access 1: does not match"),
        ],
    )
    async def test_tampering_is_found_and_placed(self, ledger: Ledger, url: str, change: str, found: str) -> None:
        await ledger.commit(events=[event(at=T0 + i) for i in range(4)], notices=[], now=T0)
        await ledger.log_access(Access(who="n1", whose="h1", what="view", at=T0))
        assert await ledger.verify() == []
        run(url, change)
        broken = await ledger.verify()
        assert any(text.startswith(found) for text in broken), broken

    async def test_of_two_who_claim_one_device_at_once_one_is_told(self, url: str) -> None:
        one, two = await Ledger.open(url), await Ledger.open(url, recover=False)  # two processes
        claims = [
            ledger.enter(Access(who="AD-1", whose=home, what="device b added", at=T0), Device(household=home, device="b", profile="bed"))  # noqa: E501
            for ledger, home in ((one, "h1"), (two, "h2"))
        ]  # fmt: skip
        done = await asyncio.gather(*claims, return_exceptions=True)
        assert sorted(type(d).__name__ for d in done) == ["NoneType", "TakenError"]
        (held,) = await one.devices()
        assert [line.whose for line in await two.accesses()] == [held.household]  # the loser leaves no trace
        gone = replace(held, active=False, retired_at=T0)
        line = Access(who="AD-1", whose=held.household, what="retired", at=T0)
        await one.enter(line, gone)
        with pytest.raises(TakenError):
            await two.enter(line, gone)
        await one.close()
        await two.close()

    async def test_notes_contacts_and_events_of_one_household(self, ledger: Ledger) -> None:
        line = Access(who="N-01", whose="h1", what="note", at=T0)
        notes = [
            Note(id=str(i), household=home, at=T0 + i, by="N-01", text="元気")
            for i, home in enumerate(("h1", "h1", "h10"))
        ]
        people = [
            Contact(id=str(i), household="h1", name=f"p{i}", relation="family", phone="+819012345678", turn=3 - i)
            for i in range(3)
        ]
        await ledger.enter(line, *notes, *people, replace(people[1], active=False))
        assert await ledger.notes("h1") == [notes[1], notes[0]]
        assert await ledger.contacts("h1") == [people[2], people[0]]
        mine = [event(alert="h1/inactivity/1"), event(alert="h1/a/2")]
        others = [event(alert=f"{home}/inactivity/1") for home in ("h10", "h1.", "h1_", "h1~x", "h", "H1")]
        await ledger.commit(events=[*others, *mine], notices=[], now=T0)
        assert await ledger.household_events("h1") == mine

    async def test_the_migrations_make_the_tables_that_the_code_means(self, ledger: Ledger, url: str) -> None:
        engine = create_engine(url)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        engine.dispose()

    async def test_a_newer_ledger_is_refused(self, ledger: Ledger, url: str) -> None:
        await ledger.close()
        run(url, "UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(LedgerError, match="9999"):
            await Ledger.open(url)

    async def test_a_backup_taken_while_running_fills_an_empty_ledger(
        self, ledger: Ledger, url: str, tmp_path: Path
    ) -> None:
        mark = EngineMark(at=T0, version=1, digest="d", blob=bytes(range(256)))
        bad = Rejected(place="x:1", reason="bad-row", mend="mend it", payload=b"\x00\xff", at=T0)
        await ledger.commit(events=[event()], notices=[notice()], mark=mark, now=T0)
        await ledger.quarantine([bad])
        await ledger.backup(tmp_path / "copy")
        await ledger.commit(events=[event("note")], notices=[], now=T0)
        with pytest.raises(LedgerError, match="holds records already"):
            await ledger.fill(tmp_path / "copy" / "ledger.sqlite")
        engine = create_engine(url)
        with engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        engine.dispose()
        await ledger.fill(tmp_path / "copy" / "ledger.sqlite")
        assert await ledger.alert_events() == [event()]
        assert [s.notice for s in await ledger.notices()] == [notice()]
        assert await ledger.engine_mark() == mark
        assert await ledger.verify() == []
        await ledger.quarantine([bad])  # the counter of ids stands behind what was brought along
        await ledger.commit(events=[event("note")], notices=[], now=T0)
        assert len(await ledger.quarantined()) == 2
        assert await ledger.verify() == []


def run(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


class TestSqlite(Conformance):
    """The default."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/site/ledger.sqlite"

    async def test_one_changed_byte_in_the_file_is_found(self, ledger: Ledger, tmp_path: Path) -> None:
        await ledger.commit(events=[event(), event("note")], notices=[], now=T0)
        await ledger.close()
        path = tmp_path / "site" / "ledger.sqlite"
        body = path.read_bytes()
        place = body.index(b'"by":"engine"')
        path.write_bytes(body[: place + 6] + b"E" + body[place + 7 :])
        again = await Ledger.open(f"sqlite:///{path}")
        assert await again.verify()
        await again.close()

    async def test_errors_name_the_ledger_and_no_person(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.sqlite"
        path.write_bytes(b"this is no database at all" * 100)
        with pytest.raises(LedgerError, match=r"ledger\.sqlite: file is not a database"):
            await Ledger.open(f"sqlite:///{path}")
        with pytest.raises(LedgerError, match="no database URL"):
            await Ledger.open("ledger")


@pytest.mark.server
class TestPostgres(Conformance):
    """By URL, against a real server."""

    @pytest.fixture
    def url(self, postgres: str, request: pytest.FixtureRequest) -> str:
        name = f"t{abs(hash(request.node.name))}"
        engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return make_url(postgres).set(database=name).render_as_string(hide_password=False)

    async def test_a_server_that_is_away_is_named_without_its_password(self) -> None:
        with pytest.raises(LedgerError, match="refused") as caught:
            await Ledger.open("postgresql+psycopg://u:secret@127.0.0.1:1/x")
        assert "secret" not in str(caught.value)
