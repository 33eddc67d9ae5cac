"""The ledger's database: SQLite by default or PostgreSQL by URL, brought up to date, copied, asked and written to.

May import its neighbours. The event loop is never blocked: one thread does all the work, so that calls take effect in
the order in which they were made.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

import alembic.command
import alembic.config
import alembic.util
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mimamori.store import copies, outbox, people

QUARANTINE = 10_000
FILE = "ledger.sqlite"

T = TypeVar("T")


class LedgerError(OSError):
    """The ledger cannot do it now (server away, disk full, foreign file); nothing of the call was done."""


class Database:
    """Make it with `open`; `close` it. Every method raises LedgerError, and then nothing of the call was done."""

    def __init__(self, url: str, quarantine_keep: int) -> None:
        self._keep = quarantine_keep
        try:
            self._url = make_url(url)
        except ArgumentError as error:
            raise LedgerError(
                f'"{url}" is no database URL; write sqlite:///FILE or postgresql+psycopg://...'
            ) from error
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._engine = _engine(self._url.render_as_string(hide_password=False))

    @classmethod
    async def open(cls, url: str, *, recover: bool = True, quarantine_keep: int = QUARANTINE) -> Self:
        """Opens and migrates. recover=False, for a tool beside the running service, leaves notices being sent alone."""
        ledger = cls(url, quarantine_keep)
        if ledger._url.get_backend_name() == "sqlite" and ledger._url.database:
            Path(ledger._url.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            await ledger._do(_migrate)
            if recover:
                await ledger._do(outbox.take_back)
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def close(self) -> None:
        """Returns when the last call is done."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._engine.dispose()

    # -- housekeeping --------------------------------------------------------------------------------------------

    async def backup(self, folder: Path) -> None:
        """A consistent copy, while running, as an SQLite ledger in `folder`: of PostgreSQL too, row by row."""
        await self._ask(lambda connection: self._copy(connection, folder / FILE))

    def _copy(self, connection: Connection, file: Path) -> None:
        if self._url.get_backend_name() == "sqlite":
            copies.copy_file(Path(str(self._url.database)), file)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # all tables at one moment
        with _engine(f"sqlite:///{file}").begin() as target:
            _migrate(target)
            copies.copy_rows(connection, target)

    async def fill(self, file: Path) -> None:
        """Every row of a copy made by `backup`. Raises LedgerError unless this ledger is empty."""

        def work(connection: Connection) -> None:
            if not copies.is_empty(connection):
                raise LedgerError(f"{self._url.render_as_string()}: holds records already; name an empty database")
            with _engine(f"sqlite:///{file}").begin() as source:
                copies.copy_rows(source, connection)

        await self._do(work)

    async def _put(self, table: Any, record: Any) -> None:
        await self._do(lambda connection: people.put(connection, table, asdict(record)))

    async def _rows(self, table: Any, record: type[T], *where: Any) -> list[T]:
        return await self._ask(lambda connection: people.rows_of(connection, table, record, *where))

    async def _do(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._within, work, False)

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._within, work, True)

    def _within(self, work: Callable[[Connection], T], reads: bool) -> T:  # noqa: FBT001 - run_in_executor takes no names
        try:
            with self._engine.connect().execution_options(reads=reads) as connection, connection.begin():
                return work(connection)
        except (SQLAlchemyError, sqlite3.Error, alembic.util.CommandError) as error:
            # the database's own words only: SQLAlchemy's carry the statement, a statement's values carry people
            words = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise LedgerError(f"{self._url.render_as_string()}: {words}") from error


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=1, max_overflow=0)
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver's own idea of when a transaction begins is too late
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _migrate(connection: Connection) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
