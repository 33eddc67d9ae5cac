"""Laws of the embedded store: any order of batches, duplicates and sealings tells what a dict of rows tells."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.readings import Rollup

T0 = 1_795_000_000 * SECOND // DAY * DAY
LAST = 2**63 - 1
Row = tuple[int, int, float, int]  # device, metric, value, tenths of a minute since T0
Twin = dict[tuple[int, int, int], tuple[float, int]]  # (device, metric, taken) -> (value, got)

rows = st.tuples(
    st.integers(0, 3),
    st.sampled_from([0, 8]),
    st.one_of(st.integers(30, 200).map(float), st.floats(-1e9, 1e9)),
    st.integers(-300, 300).map(lambda tens: tens * 10),
)
steps = st.lists(
    st.one_of(st.lists(rows, max_size=30), st.just("seal"), st.just("seal hours"), st.just("reopen")), max_size=8
)


def batch_of(some: list[Row], homes: Homes, at: int) -> ReadingBatch:
    return reading_batch(
        [(homes.device_home[d], d, m, v, T0 + tenth * SECOND * 6, T0 + at * MINUTE, 0) for d, m, v, tenth in some]
    )


def same(one: Rollup, other: Rollup) -> None:
    for name in ("start", "count", "mean", "low", "high"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name


@settings(max_examples=25, deadline=None)
@given(steps)
def test_what_is_told_depends_on_the_rows_alone(script: list[list[Row] | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), script))


async def _play(folder: Path, script: list[list[Row] | str]) -> None:
    homes, metrics = Homes(), Metrics()
    for household in ("a", "b"):
        for device in ("x", "y"):
            homes.add_device(household, device)
    store = await EmbeddedReadings.open(folder / "1", homes=homes, metrics=metrics, stage_at=40)
    twin: Twin = {}
    for at, step in enumerate(script):
        if step == "seal":
            await store.seal()
        elif step == "seal hours":
            await store.seal(days=False)
        elif step == "reopen":
            await store.close()
            store = await EmbeddedReadings.open(folder / "1", homes=homes, metrics=metrics, stage_at=40)
        elif not isinstance(step, str):
            await store.append(batch_of(step, homes, at))
            for d, m, v, tenth in step:
                twin.setdefault((d, m, T0 + tenth * SECOND * 6), (v, T0 + at * MINUTE))
    await _compare(store, twin, homes, metrics, folder)
    await store.close()


async def _compare(store: EmbeddedReadings, twin: Twin, homes: Homes, metrics: Metrics, folder: Path) -> None:
    straight = await EmbeddedReadings.open(folder / "2", homes=homes, metrics=metrics)
    in_order = [(d, m, v, t, g) for (d, m, t), (v, g) in sorted(twin.items(), key=lambda item: item[0][2])]
    if in_order:
        await straight.append(reading_batch([(homes.device_home[d], d, m, v, t, g, 0) for d, m, v, t, g in in_order]))
    await straight.seal()
    for household in homes.ids:
        told = {
            (homes.find_device(household, s.device), metrics.index(s.metric), t): (v, g)
            for s in await store.scan(household, NEVER, LAST)
            for t, v, g in zip(s.taken.tolist(), s.value.tolist(), s.got.tolist(), strict=True)
        }
        assert told == {key: row for key, row in twin.items() if homes.ids[homes.device_home[key[0]]] == household}
        for step_ns in (MINUTE, HOUR, DAY):
            # late or not, sealed or not: equal to the last bit
            one = await store.rollup(household, metrics[0].name, T0 - DAY, T0 + DAY, step=step_ns)
            other = await straight.rollup(household, metrics[0].name, T0 - DAY, T0 + DAY, step=step_ns)
            same(one, other)
    arrived = concat([b async for b in store.scan_all(NEVER, LAST)])
    assert set(zip(arrived.device.tolist(), arrived.metric.tolist(), arrived.taken.tolist(), strict=True)) == set(twin)
    assert (np.diff(arrived.got) >= 0).all()
    await straight.close()
