"""Events, snapshots and the whole of the ledger, against SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from mimamori.model.readings import Rejected
from mimamori.model.times import DAY, HOUR, MINUTE
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.records import (
    Access,
    EngineMark,
    Unwatched,
)
from mimamori.store.tables import metadata

from .conftest import T0, event, notice


class Conformance:
    """The promises of `Ledger`; a subclass gives `url`, of a database without tables."""

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

    async def test_time_that_nobody_watched_is_kept_until_a_snapshot_holds_it(self, ledger: Ledger) -> None:
        gaps = [Unwatched(since=T0 + i * HOUR, until=T0 + i * HOUR + MINUTE) for i in range(3)]
        await ledger.commit(events=[], notices=[], unwatched=gaps[1:], now=T0)
        await ledger.commit(events=[], notices=[], unwatched=[replace(gaps[0], until=T0 + 1), gaps[0]], now=T0)
        assert await ledger.unwatched() == gaps
        mark = EngineMark(at=gaps[1].until, version=1, digest="d", blob=b"")
        await ledger.commit(events=[], notices=[], mark=mark, now=T0)
        assert await ledger.unwatched() == gaps[2:]

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
    def url(self, sqlite_url: str) -> str:
        return sqlite_url

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
    def url(self, postgres_url: str) -> str:
        return postgres_url

    async def test_a_server_that_is_away_is_named_without_its_password(self) -> None:
        with pytest.raises(LedgerError, match="refused") as caught:
            await Ledger.open("postgresql+psycopg://u:secret@127.0.0.1:1/x")
        assert "secret" not in str(caught.value)
