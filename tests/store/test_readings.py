"""What every reading store keeps, checked against a dict of rows; run for each implementation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metric, Metrics
from mimamori.model.readings import LATE, ReadingBatch, concat, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND
from mimamori.sensors.decode import Decoder, Message
from mimamori.store import tail
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.figures import cells_of, pack_cells
from mimamori.store.influx import InfluxReadings
from mimamori.store.influxql import Server
from mimamori.store.pack import unpack
from mimamori.store.readings import ReadingStore, Rollup, Series, StoreError

from .conftest import Influx

T0 = 1_795_000_000 * SECOND // DAY * DAY
LAST = 2**63 - 1
Key = tuple[str, str, str, int]


class Twin:
    """The naive store: one dict entry a reading, the first that came stands."""

    def __init__(self, homes: Homes, metrics: Metrics) -> None:
        self.homes, self.metrics = homes, metrics
        self.rows: dict[Key, tuple[float, int, int]] = {}

    def append(self, batch: ReadingBatch) -> None:
        for i in range(len(batch)):
            device = int(batch.device[i])
            household = self.homes.ids[self.homes.device_home[device]]
            metric = self.metrics[int(batch.metric[i])].name
            key = (household, self.homes.device_ids[device], metric, int(batch.taken[i]))
            self.rows.setdefault(key, (float(batch.value[i]), int(batch.got[i]), int(batch.flags[i])))

    def scan(self, household: str, start: int, end: int) -> dict[Key, tuple[float, int, int]]:
        return {k: v for k, v in self.rows.items() if k[0] == household and start <= k[3] < end}

    def rollup(
        self, household: str, metric: str, start: int, end: int, *, step: int, offset: int
    ) -> dict[int, list[float]]:
        figures: dict[int, list[float]] = {}
        for (h, _, m, taken), (value, _, _) in self.rows.items():
            begin = (taken - offset) // step * step + offset
            if h == household and m == metric and start <= begin < end:
                figures.setdefault(begin, []).append(value)
        return figures


@dataclass
class World:
    """A store under test, its twin, and who lives there."""

    store: ReadingStore
    twin: Twin
    homes: Homes
    metrics: Metrics

    async def append(self, batch: ReadingBatch) -> None:
        self.twin.append(batch)
        await self.store.append(batch)

    async def check(self, start: int = T0 - DAY, end: int = T0 + 4 * DAY) -> None:
        """Everything the store tells equals the twin."""
        for household in self.homes.ids:
            assert as_rows(household, await self.store.scan(household, start, end)) == self.twin.scan(
                household, start, end
            )
            for metric in ("heart_rate", "energy", "odd"):
                for step, offset in ((MINUTE, 0), (HOUR, 0), (DAY, -9 * HOUR)):
                    told = await self.store.rollup(household, metric, start, end, step=step, offset=offset)
                    same_figures(told, self.twin.rollup(household, metric, start, end, step=step, offset=offset))

    async def arrivals(self, start: int = NEVER, end: int = LAST) -> ReadingBatch:
        return concat([batch async for batch in self.store.scan_all(start, end)])


def as_rows(household: str, found: list[Series]) -> dict[Key, tuple[float, int, int]]:
    assert [(s.device, s.metric) for s in found] == sorted({(s.device, s.metric) for s in found})
    rows = {}
    for s in found:
        assert (np.diff(s.taken) > 0).all(), "ascending, one row an instant"
        for taken, value, got, flags in zip(
            s.taken.tolist(), s.value.tolist(), s.got.tolist(), s.flags.tolist(), strict=True
        ):
            rows[household, s.device, s.metric, taken] = (value, got, flags)
    return rows


def same_figures(told: Rollup, wanted: dict[int, list[float]]) -> None:
    assert told.start.tolist() == sorted(wanted)
    for i, begin in enumerate(told.start.tolist()):
        values = np.array(wanted[begin])
        assert told.count[i] == len(values)
        assert (told.low[i], told.high[i]) == (values.min(), values.max())
        np.testing.assert_allclose(told.mean[i], values.mean(), rtol=1e-12, atol=1e-9)


def metrics_with_odd() -> Metrics:
    odd = Metric(name="odd", unit="1", nature="level", low=-1e18, high=1e18, title_ja="", title_en="")
    return Metrics((odd,))


def random_batch(
    rng: np.random.Generator, homes: Homes, metrics: Metrics, n: int, now: int, *, late: float = 0.2
) -> ReadingBatch:
    """Readings about `now` of a few devices, in whole seconds so that some coincide; a share up to two days late."""
    device = rng.integers(0, homes.devices, n)
    names = ("heart_rate", "energy", "odd", "motion")
    metric = rng.integers(0, len(names), n)
    taken = now - rng.integers(0, 90, n) * SECOND
    is_late = rng.random(n) < late
    taken = np.where(is_late, taken - rng.integers(0, 48 * 60, n) * MINUTE, taken)
    value = np.select(
        [metric == 0, metric == 1, metric == 2],
        [
            rng.integers(400, 900, n) / 10,
            taken // SECOND % 10**6 / 4,
            rng.standard_normal(n) * 10.0 ** rng.integers(-9, 17, n),
        ],
        1.0,
    )
    indexes = np.array([metrics.index(name) for name in names])
    return ReadingBatch(
        home=np.array(homes.device_home, np.int32)[device], device=device.astype(np.int32),
        metric=indexes[metric].astype(np.int16), value=value, taken=taken,
        got=now + rng.integers(0, 1000, n) * 1_000_000, flags=np.where(is_late, LATE, 0).astype(np.uint8),
    )  # fmt: skip


class Conformance:
    """The promises of `ReadingStore`; a subclass gives `world`."""

    async def test_what_was_appended_is_read_back_before_and_after_sealing(self, world: World) -> None:
        batch = random_batch(np.random.default_rng(1), world.homes, world.metrics, 500, T0)
        await world.append(batch)
        await world.check()
        await self.settle(world)
        await world.check()

    async def test_the_first_of_equal_readings_stands(self, world: World) -> None:
        d, m = 0, world.metrics.index("heart_rate")
        first = (world.homes.device_home[d], d, m, 61.0, T0, T0 + SECOND, 0)
        again = (world.homes.device_home[d], d, m, 99.0, T0, T0 + 9 * SECOND, 2)
        await world.append(reading_batch([first, again]))
        await world.append(reading_batch([again]))
        await self.settle(world)
        await world.append(reading_batch([again]))
        await world.check()
        await self.settle(world)
        await world.check()
        (series,) = await world.store.scan(world.homes.ids[0], T0, T0 + 1)
        assert (series.value.tolist(), series.got.tolist()) == ([61.0], [T0 + SECOND])

    async def test_a_redelivery_of_a_stamp_ahead_of_our_clock_is_no_second_reading(self, world: World) -> None:
        decoder = Decoder(world.homes, world.metrics, [])
        household, device = world.homes.ids[0], world.homes.device_ids[0]
        payload = json.dumps({"t": (T0 + 3 * MINUTE) // 1_000_000, "v": {"heart_rate": 62}}).encode()
        for got in (T0, T0 + 40 * SECOND):  # the second time from the broker, after a restart
            message = Message(topic=f"mimamori/v1/{household}/{device}/readings", payload=payload, got=got)
            await world.append(decoder.decode([message], got).batch)
            await self.settle(world)
        (series,) = await world.store.scan(household, T0 - HOUR, T0 + HOUR)
        assert (series.taken.tolist(), series.got.tolist()) == ([T0 + 3 * MINUTE], [T0])

    async def test_late_data_change_the_figures_as_if_never_late(self, world: World) -> None:
        rng = np.random.default_rng(2)
        for step in range(4):
            await world.append(random_batch(rng, world.homes, world.metrics, 300, T0 + step * 40 * MINUTE, late=0.5))
            if step % 2:
                await self.settle(world)
        await world.check()
        await self.settle(world)
        await world.check()

    async def test_a_range_is_half_open_and_metrics_are_chosen(self, world: World) -> None:
        d, heart = 0, world.metrics.index("heart_rate")
        other = world.metrics.index("motion")
        home = world.homes.device_home[d]
        await world.append(reading_batch([(home, d, heart, 60 + i, T0 + i * MINUTE, T0, 0) for i in range(5)]))
        await world.append(reading_batch([(home, d, other, 1, T0 + i * MINUTE, T0, 0) for i in range(5)]))
        found = await world.store.scan(world.homes.ids[0], T0 + MINUTE, T0 + 3 * MINUTE, ["heart_rate", "never_seen"])
        assert [(s.metric, s.value.tolist()) for s in found] == [("heart_rate", [61.0, 62.0])]
        figures = await world.store.minutes(world.homes.ids[0], "heart_rate", T0 + MINUTE, T0 + 3 * MINUTE)
        assert figures.mean.tolist() == [61.0, 62.0]

    async def test_unknown_names_and_empty_batches_are_harmless(self, world: World) -> None:
        await world.store.append(reading_batch([]))
        assert await world.store.scan("nobody", T0, T0 + DAY) == []
        assert len(await world.store.minutes("nobody", "heart_rate", T0, T0 + DAY)) == 0
        assert len(await world.store.minutes(world.homes.ids[0], "no_metric", T0, T0 + DAY)) == 0
        assert len(await world.arrivals()) == 0

    async def test_catching_up_tells_every_reading_once_in_order_of_arrival(self, world: World) -> None:
        rng = np.random.default_rng(3)
        for step in range(8):
            batch = random_batch(rng, world.homes, world.metrics, 200, T0 + step * 17 * MINUTE)
            await world.append(batch)
            if step in {2, 5}:
                await self.settle(world)
        await self.settle(world)
        await world.append(random_batch(rng, world.homes, world.metrics, 200, T0 + 3 * HOUR))
        told = await world.arrivals()
        assert (np.diff(told.got) >= 0).all()
        again = Twin(world.homes, world.metrics)
        again.append(told)
        assert again.rows == world.twin.rows
        assert len(told) == len(again.rows)
        middle = T0 + 17 * 3 * MINUTE
        part = concat([await world.arrivals(NEVER, middle), await world.arrivals(middle, LAST)])
        assert part.got.tolist() == told.got.tolist()

    async def test_pruned_readings_go_and_their_figures_stay(self, world: World) -> None:
        rng = np.random.default_rng(4)
        await world.append(random_batch(rng, world.homes, world.metrics, 800, T0 + 3 * HOUR, late=0.9))
        await self.settle(world)
        home, cut = world.homes.ids[0], T0 + HOUR
        before = await world.store.minutes(home, "heart_rate", T0 - 3 * DAY, cut)
        assert len(before)
        await world.store.prune(raw_before=cut, figures_before=T0 - 3 * DAY)
        assert await world.store.scan(home, T0 - 3 * DAY, cut) == []
        assert as_rows(home, await world.store.scan(home, cut, LAST)) == world.twin.scan(home, cut, LAST)
        # what comes now for the pruned time is dropped, and so cannot spoil the figures
        await world.store.append(random_batch(rng, world.homes, world.metrics, 300, T0, late=0.5))
        for _ in range(2):
            after = await world.store.minutes(home, "heart_rate", T0 - 3 * DAY, cut)
            assert (after.start.tolist(), after.mean.tolist()) == (before.start.tolist(), before.mean.tolist())
            await self.settle(world)
        assert await world.store.scan(home, T0 - 3 * DAY, cut) == []
        await world.store.prune(raw_before=cut, figures_before=cut)
        assert len(await world.store.minutes(home, "heart_rate", T0 - 3 * DAY, cut)) == 0

    async def settle(self, world: World) -> None:
        """Whatever the store does in the background, done."""
        raise NotImplementedError


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
        refused = 0
        for step in range(6):
            batch = random_batch(rng, world.homes, world.metrics, 200, T0 + step * MINUTE)
            try:
                await store.append(batch)
                world.twin.append(batch)
            except StoreError as error:
                assert "database or disk is full; see to free disk space" in str(error)  # noqa: PT017 - some may fit
                refused += len(batch)
        assert refused > 0
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


@pytest.mark.server
class TestInflux(Conformance):
    """The same promises on a real InfluxDB, whose own are others: there, the last of equal points stands."""

    @pytest.fixture
    async def world(self, influx: Influx, tmp_path: Path) -> AsyncIterator[World]:
        homes, metrics = Homes(), metrics_with_odd()
        for household in range(20):
            for device in ("bed", "meter"):
                homes.add_device(f"h{household}", device, "any")
        store = await opened(influx, tmp_path / "spool", homes, metrics)
        yield World(store, Twin(homes, metrics), homes, metrics)
        await store.close()

    async def settle(self, world: World) -> None:
        assert isinstance(world.store, InfluxReadings)
        await world.store.flush()
        assert world.store.counts.waiting == 0
        assert world.store.trouble == ""

    async def test_a_server_that_is_down_is_caught_up_in_order(
        self, world: World, influx: Influx, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(11)
        await world.append(random_batch(rng, world.homes, world.metrics, 300, T0))
        await self.settle(world)
        await influx.stop(kill=True)
        for step in range(5):
            await world.append(random_batch(rng, world.homes, world.metrics, 300, T0 + step * MINUTE))
        assert isinstance(world.store, InfluxReadings)
        with pytest.raises(StoreError):
            await world.store.flush()
        assert world.store.counts.waiting == 1500
        assert "waiting on the local disk" in world.store.trouble
        with pytest.raises(StoreError):
            await world.store.scan("h1", T0 - DAY, T0 + DAY)
        await world.store.close()  # and the service is restarted meanwhile
        store = await opened(influx, tmp_path / "spool", world.homes, world.metrics)
        assert store.counts.waiting == 1500
        await influx.start()
        world.store = store
        await until_flushed(store)
        await world.check()
        await store.close()

    async def test_what_a_forgetful_restart_sends_again_changes_nothing(
        self, world: World, influx: Influx, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(12)
        batch = random_batch(rng, world.homes, world.metrics, 400, T0)
        await world.append(batch)
        await self.settle(world)
        await world.store.close()
        store = await opened(influx, tmp_path / "another spool", world.homes, world.metrics)
        world.store = store
        again = replace(batch, got=batch.got + HOUR, value=batch.value + 1)
        await store.append(again)
        await self.settle(world)
        assert store.counts.duplicates == len(batch)
        await world.check()
        told = await world.arrivals()
        assert len(told) == len(world.twin.rows)
        await store.close()

    async def test_it_tries_again_when_told_to_wait(self, world: World, influx: Influx) -> None:
        influx.answers += [(503, {}), (429, {"Retry-After": "1"}), (500, {})]
        await world.append(random_batch(np.random.default_rng(13), world.homes, world.metrics, 100, T0))
        assert isinstance(world.store, InfluxReadings)
        await until_flushed(world.store)
        assert influx.answers == []
        await world.check()

    async def test_a_line_that_is_refused_is_set_aside_alone(
        self, world: World, influx: Influx, tmp_path: Path
    ) -> None:
        """Somebody else has written text where a number belongs: that device's lines can never be stored."""
        async with aiohttp.ClientSession() as session:
            text = f'readings,device=bed,household=h3 heart_rate="fast",got=1i,flags=0i {T0}'
            async with session.post(f"http://127.0.0.1:{influx.port}/write?db=mimamori", data=text) as answer:
                assert answer.status == 204
        device, heart, motion = (
            world.homes.find_device("h4", "bed"), world.metrics.index("heart_rate"), world.metrics.index("motion"),
        )  # fmt: skip
        home = world.homes.device_home[device]
        rows = [(home, device, motion, 1.0, T0 + i * SECOND, T0, 0) for i in range(50)]
        bad = [(home, device, heart, 61.0, T0 + (100 + i) * SECOND, T0, 0) for i in range(3)]
        await world.store.append(reading_batch([*rows, *bad]))
        await self.settle(world)
        (series,) = await world.store.scan("h4", T0, T0 + HOUR, ["motion"])
        assert len(series) == 50
        assert world.store.counts.refused == 3
        await world.store.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "spool" / "spool.sqlite")) as spool:
            told = spool.execute("SELECT line, reason FROM refused").fetchall()
        assert len(told) == 3
        assert all("heart_rate=61" in line and "conflict" in reason for line, reason in told)

    @pytest.mark.parametrize(
        ("token", "sent"), [("nurse:asagao", "Basic bnVyc2U6YXNhZ2Fv"), ("abc==", "Token abc=="), ("", "")]
    )
    async def test_the_token_goes_in_the_form_that_the_server_knows(
        self, influx: Influx, tmp_path: Path, token: str, sent: str
    ) -> None:
        homes, metrics = Homes(), metrics_with_odd()
        homes.add_device("h1", "bed")
        store = await opened(influx, tmp_path / "spool", homes, metrics, token=token)
        await store.append(reading_batch([(0, 0, 0, 61.0, T0, T0, 0)]))
        await store.flush()
        assert [a.removeprefix("Token ") if not token else a for a in influx.authorizations] == [sent]
        await store.close()

    async def test_a_backup_is_an_embedded_store(self, world: World, tmp_path: Path) -> None:
        rng = np.random.default_rng(14)
        await world.append(random_batch(rng, world.homes, world.metrics, 400, T0))
        await self.settle(world)
        await world.append(random_batch(rng, world.homes, world.metrics, 50, T0 + HOUR))
        await world.store.backup(tmp_path / "copy")
        copy = await EmbeddedReadings.open(tmp_path / "copy", homes=world.homes, metrics=world.metrics)
        again = World(copy, world.twin, world.homes, world.metrics)
        await again.check()
        await copy.close()


async def opened(influx: Influx, folder: Path, homes: Homes, metrics: Metrics, token: str = "") -> InfluxReadings:
    server = Server(url=influx.url, bucket="mimamori", token=token)
    return await InfluxReadings.open(folder, server, homes=homes, metrics=metrics, pause=0.05)


async def until_flushed(store: InfluxReadings) -> None:
    """However often an attempt fails on the way."""
    async with asyncio.timeout(30):
        while store.counts.waiting:
            with contextlib.suppress(StoreError):
                await store.flush()
