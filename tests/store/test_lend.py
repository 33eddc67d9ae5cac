"""What a real InfluxDB lends is what the embedded store holds: what arrived, what was late, what still waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, SECOND
from mimamori.store.browse import Shelf
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.influx import InfluxReadings
from mimamori.store.influxql import Server
from mimamori.store.lend import lend
from mimamori.store.readings import StoreError
from mimamori.store.spool import FILE

T0 = 1_795_000_000 * SECOND // DAY * DAY


def day_of(rng: np.random.Generator, homes: Homes, start: int, n: int = 3000) -> ReadingBatch:
    """A day's readings of all devices, a hundredth of them hours late, in order of arrival."""
    device = rng.integers(0, len(homes.device_home), n).astype(np.int32)
    taken = np.sort(start + rng.integers(0, 20 * 3600, n) * SECOND)
    got = taken + SECOND + (rng.random(n) < 0.01) * 3 * HOUR
    batch = ReadingBatch(
        home=np.array(homes.device_home, np.int32)[device],
        device=device,
        metric=rng.integers(0, 4, n).astype(np.int16),
        value=rng.normal(60, 5, n).round(1),
        taken=taken,
        got=got,
        flags=np.zeros(n, np.uint8),
    )
    return batch.take(np.argsort(got, kind="stable"))


def told(shelf: Shelf, homes: Homes, metrics: Metrics, start: int, end: int) -> set[tuple[Any, ...]]:
    rows = concat([batch for _, batch in shelf.days(start, end)])
    shelf.close()
    names = [(homes.ids[h], homes.device_ids[d]) for h, d in zip(rows.home, rows.device, strict=True)]
    return set(
        zip(names, rows.metric.tolist(), rows.taken.tolist(), rows.value.tolist(), rows.got.tolist(), strict=True)
    )


@pytest.mark.server
async def test_what_is_lent_is_what_was_stored(influx: Any, tmp_path: Path) -> None:
    rng, homes, known = np.random.default_rng(5), Homes(), Metrics(())
    for household in range(5):
        for device in ("bed", "meter"):
            homes.add_device(f"h{household}", device, "bed-sensor")
    batches = [day_of(rng, homes, T0 + day * DAY) for day in range(3)]
    whole = await EmbeddedReadings.open(tmp_path / "whole", homes=homes, metrics=known)
    store = await InfluxReadings.open(
        tmp_path / "spool", Server(url=influx.url, bucket="mimamori"), homes=homes, metrics=known, pause=0.05
    )
    for batch in batches[:2]:
        await store.append(batch)
        await whole.append(batch)
    await store.flush()
    influx.answers += [(503, {"Retry-After": "60"})] * 50  # the last day stays on the local disk
    await store.append(batches[2])
    await whole.append(batches[2])
    await whole.close()
    assert store.counts.waiting == len(batches[2])
    server, steps = Server(url=influx.url, bucket="mimamori"), []
    span = (T0 + DAY, T0 + 3 * DAY)
    await lend(server, tmp_path / "spool", tmp_path / "lent", span, metrics=known, told=lambda *way: steps.append(way))
    assert steps[-1] == (2, 2)
    mine, theirs = Homes(), Homes()
    lent = Shelf(tmp_path / "lent", mine, known)
    assert mine.profile_of == ["bed-sensor"] * 10
    found = told(lent, mine, known, *span)
    assert len(found) > 5000
    assert found == told(Shelf(tmp_path / "whole", theirs, known), theirs, known, *span)
    with pytest.raises(StoreError, match="no stored readings"):
        await lend(server, tmp_path / "nowhere", tmp_path / "x", span, metrics=known, told=lambda *_: None)
    assert not (tmp_path / "nowhere" / FILE).exists()
    await server.close()
    await store.close()
