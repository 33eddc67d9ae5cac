"""The SQLite store of readings: what every store keeps, and what is its own."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import concat
from mimamori.model.times import HOUR, MINUTE, NEVER
from mimamori.store import tail
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.figures import cells_of, pack_cells
from mimamori.store.pack import unpack
from mimamori.store.readings import StoreError

from .world import LAST, T0, Conformance, Twin, World, as_rows, metrics_with_odd, random_batch


class TestEmbedded(Conformance):
    """The SQLite store, with staging often enough to matter."""

    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        homes, metrics = Homes(), metrics_with_odd()
        for household in range(20):  # more than one bucket
            for device in ("bed", "meter"):
                homes.add_device(f"h{household}", device, "any")
        store = await EmbeddedReadings.open(tmp_path / "readings", homes=homes, metrics=metrics, stage_at=250)
        yield World(store, Twin(homes, metrics), homes, metrics)
        await store.close()

    async def settle(self, world: World) -> None:
        assert isinstance(world.store, EmbeddedReadings)
        await world.store.seal()
        assert world.store.counts.waiting == 0

    async def test_another_process_starts_from_the_ids_alone(self, world: World, tmp_path: Path) -> None:
        rng = np.random.default_rng(5)
        await world.append(random_batch(rng, world.homes, world.metrics, 700, T0))
        await self.settle(world)
        await world.append(random_batch(rng, world.homes, world.metrics, 100, T0 + HOUR))
        await world.store.close()
        homes = Homes()
        homes.add_device("someone-else", "first")
        homes.add_device("h3", "meter")
        metrics = metrics_with_odd()
        store = await EmbeddedReadings.open(tmp_path / "readings", homes=homes, metrics=metrics)
        try:
            told = concat([batch async for batch in store.scan_all(NEVER, LAST)])
            twin = Twin(homes, metrics)
            twin.append(told)
            assert twin.rows == world.twin.rows
            assert homes.profile_of[homes.find_device("h3", "meter")] == "any"
            new = World(store, twin, homes, metrics)
            await new.append(random_batch(rng, homes, metrics, 300, T0 + 2 * HOUR))
            await new.check()
        finally:
            await store.close()

    async def test_a_metric_that_no_profile_declares_any_more_is_counted_not_lost(
        self, world: World, tmp_path: Path
    ) -> None:
        await world.append(random_batch(np.random.default_rng(6), world.homes, world.metrics, 200, T0))
        await world.store.close()
        odd = sum(key[2] == "odd" for key in world.twin.rows)
        store = await EmbeddedReadings.open(tmp_path / "readings", homes=Homes(), metrics=Metrics())
        try:
            told = concat([batch async for batch in store.scan_all(NEVER, LAST)])
            assert (len(told), store.counts.unknown) == (len(world.twin.rows) - odd, odd)
            household = world.homes.ids[0]
            assert as_rows(household, await store.scan(household, NEVER, LAST)) == world.twin.scan(
                household, NEVER, LAST
            )
        finally:
            await store.close()

    async def test_hours_become_days_once_they_are_over_and_late_readings_join_them(self, world: World) -> None:
        """Packed as hours, then as days by themselves, then late ones on top: the answers never change."""
        rng = np.random.default_rng(15)
        for step in range(20):  # two and a half days, with readings up to two days late
            await world.append(random_batch(rng, world.homes, world.metrics, 260, T0 + step * 3 * HOUR))
            if step % 10 == 9:
                assert isinstance(world.store, EmbeddedReadings)
                await world.store.seal(days=False)
                await world.check()
        with contextlib.closing(sqlite3.connect(world.store._folder / "readings.sqlite")) as file:
            spans = dict(file.execute("SELECT hours, count(*) FROM chunk GROUP BY hours").fetchall())
            assert spans[24] >= 20, "a day of each household at least is over"
            assert spans[1] >= 20, "the last one is not"
        told = await world.arrivals()
        assert len(told) == len(world.twin.rows)
        part = concat([await world.arrivals(NEVER, T0 + 30 * HOUR), await world.arrivals(T0 + 30 * HOUR, LAST)])
        assert part.got.tolist() == told.got.tolist()

    async def test_a_store_of_the_first_format_is_brought_up(self, world: World, tmp_path: Path) -> None:
        rng = np.random.default_rng(16)
        for step in range(4):
            await world.append(random_batch(rng, world.homes, world.metrics, 400, T0 + step * 20 * MINUTE))
        store = world.store
        assert isinstance(store, EmbeddedReadings)
        await store.seal(days=False)
        device_home = store._keys.device_home
        await store.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "readings" / "readings.sqlite")) as file, file:
            for key, body in file.execute("SELECT id, body FROM chunk WHERE hours = 1").fetchall():
                figures = pack_cells(cells_of(unpack(body, device_home)))
                file.execute("UPDATE chunk SET figures = ? WHERE id = ?", (figures, key))
            file.execute("ALTER TABLE chunk DROP COLUMN hours")
            file.execute("ALTER TABLE retention DROP COLUMN done")
            file.execute("DROP TABLE open_day")
            file.execute("DROP TABLE unstamped")
            file.execute("PRAGMA user_version = 1")
        again = await EmbeddedReadings.open(tmp_path / "readings", homes=world.homes, metrics=world.metrics)
        world.store = again
        try:
            await world.check()
            await again.seal()
            await world.check()
            assert again._reader().execute("SELECT count(*) FROM chunk WHERE hours = 1").fetchone() == (0,)
        finally:
            await again.close()

    async def test_the_index_of_the_newest_rows_finds_each_households_in_order(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tail, "BLOCK", 64)
        rows, made = tail.Tail(16), []
        rng = np.random.default_rng(17)
        for n in (1, 63, 64, 65, 300, 0, 7):
            made.append(random_batch(rng, world.homes, world.metrics, n, T0))
            rows.add(made[-1])
        told = concat(made)
        for home in range(len(world.homes)):
            mine, wanted = rows.of(home), told.take(told.home == home)
            assert mine.value.tobytes() == wanted.value.tobytes()
            assert mine.taken.tolist() == wanted.taken.tolist()

    async def test_a_folder_in_use_is_refused_with_its_name(self, world: World, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"readings: another process has this store open"):
            await EmbeddedReadings.open(tmp_path / "readings", homes=Homes(), metrics=Metrics())

    async def test_a_backup_taken_while_writing_opens_and_holds_what_was_there(
        self, world: World, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(7)
        await world.append(random_batch(rng, world.homes, world.metrics, 400, T0))
        saved = dict(world.twin.rows)
        await world.store.backup(tmp_path / "copy")
        await world.append(random_batch(rng, world.homes, world.metrics, 400, T0 + HOUR))
        homes, metrics = Homes(), metrics_with_odd()
        copy = await EmbeddedReadings.open(tmp_path / "copy", homes=homes, metrics=metrics)
        try:
            twin = Twin(homes, metrics)
            twin.append(concat([batch async for batch in copy.scan_all(NEVER, LAST)]))
            assert twin.rows == saved
        finally:
            await copy.close()

    async def test_readers_see_everything_while_it_is_being_sealed(self, world: World) -> None:
        rng = np.random.default_rng(8)
        for step in range(30):
            await world.append(random_batch(rng, world.homes, world.metrics, 120, T0 + step * MINUTE))
            household = world.homes.ids[step % 20]
            assert as_rows(household, await world.store.scan(household, NEVER, LAST)) == world.twin.scan(
                household, NEVER, LAST
            )

    async def test_a_full_disk_refuses_whole_batches_and_heals_by_itself(self, world: World) -> None:
        store, rng = world.store, np.random.default_rng(9)
        assert isinstance(store, EmbeddedReadings)
        await world.append(random_batch(rng, world.homes, world.metrics, 200, T0))
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")  # as SQLite meets a full disk
        refused, told = 0, []
        for step in range(6):
            batch = random_batch(rng, world.homes, world.metrics, 200, T0 + step * MINUTE)
            try:
                await store.append(batch)
                world.twin.append(batch)
            except StoreError as error:
                told.append(str(error))
                refused += len(batch)
        assert refused > 0
        assert all("database or disk is full; see to free disk space" in error for error in told)
        assert store.counts.failed == refused
        with contextlib.suppress(StoreError):  # sealing makes room, if there is enough to begin with
            await store.seal()
        await world.check()
        store._connection.execute("PRAGMA max_page_count = 1073741823")
        await world.append(random_batch(rng, world.homes, world.metrics, 200, T0 + HOUR))
        await self.settle(world)
        assert not store.trouble
        await world.check()

    async def test_damaged_bytes_are_said_and_stop_neither_the_rest_nor_new_readings(self, world: World) -> None:
        store, rng = world.store, np.random.default_rng(10)
        assert isinstance(store, EmbeddedReadings)
        await world.append(random_batch(rng, world.homes, world.metrics, 600, T0))
        await store.seal()
        home = store._keys.household("h3")
        store._connection.execute("UPDATE chunk SET body = x'0100' WHERE id >> 24 = ?", (home,))
        with pytest.raises(StoreError, match="cannot read readings"):
            await store.scan("h3", NEVER, LAST)
        await world.append(random_batch(rng, world.homes, world.metrics, 600, T0))
        with pytest.raises(StoreError, match="cannot seal readings"):
            await store.seal()
        assert 0 < store.counts.waiting < 600
        bucket = {name for name in world.homes.ids if store._keys.household(name) // 16 == home // 16}
        for household in {*world.homes.ids} - bucket:
            told = as_rows(household, await store.scan(household, NEVER, LAST))
            assert told == world.twin.scan(household, NEVER, LAST)
