"""A reading store beside its naive twin, a dict of rows, and what every such store keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metric, Metrics
from mimamori.model.readings import LATE, ReadingBatch, concat, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND
from mimamori.sensors.decode import Decoder, Message
from mimamori.store.readings import ReadingStore, Rollup, Series

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
