"""Marks lie beside the batch they came with, in the embedded store and in the spool, and are bounded."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.store import marks
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.spool import Spool


@pytest.fixture
def homes() -> Homes:
    homes = Homes()
    homes.add_device("h1", "bed1")
    return homes


def batch(at: int) -> ReadingBatch:
    return reading_batch([(0, 0, 0, 60.0, at, at, 0)])


async def test_marks_are_there_after_a_restart(tmp_path: Path, homes: Homes) -> None:
    for folder, told in (("a", [b"one"]), ("b", [b"one", b"two"])):
        store = await EmbeddedReadings.open(tmp_path / folder, homes=homes, metrics=Metrics())
        for mark in (b"", *told, b""):
            await store.append(batch(1), mark)
        await store.seal()  # the batches go on their way, the marks stay
        await store.close()
        again = await EmbeddedReadings.open(tmp_path / folder, homes=homes, metrics=Metrics())
        assert list(again.marks) == told
        await again.close()


def test_the_newest_marks_are_kept_and_the_oldest_let_go(
    tmp_path: Path, homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "KEPT", 10)
    for begin in (0, 20):
        spool = Spool(tmp_path)
        for i in range(begin, begin + 20):
            spool.put(batch(i), homes, Metrics(), b"%04d" % i)
        spool.close()
        again = Spool(tmp_path)
        assert again.marks.found == [b"%04d" % (begin + 18), b"%04d" % (begin + 19)]
        again.close()


def test_a_batch_that_does_not_fit_leaves_no_mark(tmp_path: Path, homes: Homes) -> None:
    spool = Spool(tmp_path)
    spool.put(batch(1), homes, Metrics(), b"first")
    (pages,) = spool._connection.execute("PRAGMA page_count").fetchone()
    spool._connection.execute(f"PRAGMA max_page_count = {pages}")  # as a full disk
    with pytest.raises(sqlite3.OperationalError, match="full"):
        spool.put(batch(2), homes, Metrics(), b"x" * 20_000)
    spool._connection.execute(f"PRAGMA max_page_count = {pages + 100}")
    spool.put(batch(3), homes, Metrics(), b"third")
    spool.close()
    again = Spool(tmp_path)
    assert again.marks.found == [b"first", b"third"]
    assert again.waiting == 2
    again.close()


@pytest.mark.parametrize("table", ["log", "unstamped"])
def test_a_spool_of_an_older_version_is_brought_up(tmp_path: Path, homes: Homes, table: str) -> None:
    spool = Spool(tmp_path)
    spool.put(batch(1), homes, Metrics())
    spool._connection.execute("DROP TABLE unstamped")
    spool._connection.execute("PRAGMA user_version = 2")
    spool.close()
    again = Spool(tmp_path)
    again.put(batch(2), homes, Metrics(), b"mark")
    assert again.waiting == 2
    assert again._connection.execute(f"SELECT count(*) FROM {table}").fetchone() == ({"log": 2, "unstamped": 1}[table],)
    again.close()
