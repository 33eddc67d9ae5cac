"""People, homes and what is entered about them in the ledger, against SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from mimamori.model.declared import Declaration
from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.store.ledger import Ledger
from mimamori.store.records import (
    Absence,
    Access,
    Contact,
    Device,
    Note,
    Resident,
    Session,
    Staff,
    TakenError,
)

from .conftest import T0, event


class Conformance:
    """A subclass gives `url`, of a database without tables."""

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

    async def test_of_two_who_claim_one_device_at_once_one_is_told(self, url: str) -> None:
        one, two = await Ledger.open(url), await Ledger.open(url, recover=False)  # two processes
        claims = [
            ledger.enter(
                Access(who="AD-1", whose=home, what="device b added", at=T0),
                Device(household=home, device="b", profile="bed"),
            )
            for ledger, home in ((one, "h1"), (two, "h2"))
        ]
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
