"""The restart law: snapshot + catch-up gives, bit by bit, the state of an engine that never stopped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mimamori.alerts.book import Book
from mimamori.model.declared import Declaration, Spans, as_of
from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat, reading_batch
from mimamori.model.times import HOUR, MINUTE, NEVER
from mimamori.rules.engine import Engine
from mimamori.rules.told import Told
from mimamori.service.begin import begin_from, catch_up
from mimamori.service.inlet import after
from mimamori.service.snapshot import rows_of, take_rows
from mimamori.service.unwatched import go_on
from mimamori.simulate import write_days
from mimamori.site import Site
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.pack import first_of_each
from mimamori.store.records import Unwatched
from mimamori.stream.clock import MILLISECOND
from mimamori.stream.recorded import RecordedFile

FOLDER = os.environ.get("MIMAMORI_RECORDINGS", "")
"""A folder of real recordings (reading files) to hold the law against as well."""
RECORDINGS = sorted(p for p in Path(FOLDER).glob("*.csv.gz") if p.name.count(".") == 2) if FOLDER else []
MARKS = 12


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "days.csv.gz"
    truth = path.with_name("truth.csv")
    write_days(site, path, truth, count=3, seed=5, bed_every=MINUTE, start=1_767_193_200 * 10**9, days=3)
    return path


def slices(path: Path, homes: Homes, site: Site) -> Iterator[ReadingBatch]:
    """Half hours of a recording, none empty; of one that is over in an hour, minutes.

    One reading a device, metric and stamp, as a store keeps them: radar60 tells up to a hundred with one stamp.
    """
    whole = first_of_each(concat(RecordedFile(path, homes, site.metrics).batches()))
    whole = whole.take(np.argsort(whole.got, kind="stable"))
    span = min(HOUR // 2, max(MINUTE, int(whole.got[-1] - whole.got[0]) // 60))
    for part in np.split(np.arange(len(whole)), np.flatnonzero(np.diff(whole.got // span)) + 1):
        yield whole.take(part)


async def restart_law(path: Path, site: Site, folder: Path, most: int) -> int:
    """How many restarts were compared; each dies at a random moment after its snapshot, and a newcomer moves in."""
    rng = np.random.default_rng(4)
    homes = Homes()
    parts = list(slices(path, homes, site))[:most]
    never = Engine(homes, site.rules, site.metrics, site.zone)
    store = await EmbeddedReadings.open(folder, homes=homes, metrics=site.metrics, stage_at=20_000)
    marks = set(rng.choice(len(parts) - 1, min(MARKS, len(parts) - 1), replace=False).tolist())
    saved: dict[str, np.ndarray] = {}
    said: list[Declaration] = []
    unwatched: list[Unwatched] = []
    at = dies = now = -1
    compared = 0
    for i, part in enumerate(parts):
        before, now = now, int(part.got[-1])
        await store.append(part)
        if i and rng.random() < 0.2:  # no tick since the one before
            unwatched.append(Unwatched(since=before, until=now))
            go_on(never, part, now)
        else:
            never.step(part, now)
        if rng.random() < 0.3:  # after the step, as the loop does it
            said.append(one_absence(rng, homes, as_of(said, now), now))
            never.declare({homes.find(h): spans for h, spans in as_of(said, now).items()})
        if i == dies:
            await store.close()
            ours = Homes()
            take_rows(ours, saved)
            ours.add_device("0-a-newcomer", "bed")  # would be the first if rows went by name
            store = await EmbeddedReadings.open(folder, homes=ours, metrics=site.metrics, stage_at=20_000)
            again = Engine(ours, site.rules, site.metrics, site.zone)
            assert begin_from(again, saved)
            assert await catch_up([Told(again, ours, said, since=at)], at, store, unwatched, now, asyncio.Event())
            compared += same(never, homes, again, ours)
            await store.close()
            store = await EmbeddedReadings.open(folder, homes=homes, metrics=site.metrics, stage_at=20_000)
        if i in marks and i >= dies:
            saved, at = rows_of(homes) | never.snapshot(), now
            dies = i + int(rng.integers(1, 4))
    await store.close()
    return compared


def one_absence(rng: np.random.Generator, homes: Homes, held: dict[str, Spans], now: int) -> Declaration:
    """One household is declared away, for later or for now, perhaps without an end; or comes home, or never went."""
    household = homes.ids[int(rng.integers(len(homes)))]
    if (spans := held.get(household)) and rng.random() < 0.6:
        (begin, _), *rest = spans
        ended = ((begin, max(now, begin + 1)),) if rng.random() < 0.7 else ()
        return Declaration(at=now, household=household, spans=(*ended, *rest))
    begin = now + int(rng.integers(-2, 4)) * HOUR
    end = NEVER if rng.random() < 0.2 else begin + int(rng.integers(1, 10)) * HOUR
    return Declaration(at=now, household=household, spans=((begin, end),))


def same(never: Engine, homes: Homes, again: Engine, ours: Homes) -> int:
    """Every column of every household and device that the two share is equal to the last bit."""
    rows = [ours.find(h) for h in homes.ids]
    devices = [ours.find_device(homes.ids[h], d) for d, h in zip(homes.device_ids, homes.device_home, strict=True)]
    one, other = never.snapshot(), again.snapshot()
    assert one.keys() == other.keys()
    for name, column in one.items():
        if name.startswith("waiting.") or name == "engine":
            continue
        told = other[name]
        axis = next((a for a in range(told.ndim) if told.shape[a] != column.shape[a]), None)
        if axis is not None:
            told = np.take(told, rows if told.shape[axis] == len(ours) else devices, axis=axis)
        assert told.tobytes() == column.tobytes(), name
    assert one["engine"][1] == other["engine"][1]
    return 1


@pytest.mark.parametrize("path", [None, *RECORDINGS], ids=lambda p: p.name.partition(".")[0] if p else "simulated")
async def test_a_restart_changes_nothing(path: Path | None, simulated: Path, site: Site, tmp_path: Path) -> None:
    assert await restart_law(path or simulated, site, tmp_path / "readings", 130 if path is None else 10**6) > 3


async def test_a_service_that_dies_again_before_its_first_snapshot_was_away_for_the_same_time(
    simulated: Path, site: Site, tmp_path: Path
) -> None:
    """Both restarts begin from the same snapshot: the second passes over the downtime before the first."""
    homes = Homes()
    parts = list(slices(simulated, homes, site))[:70]
    engine = Engine(homes, site.rules, site.metrics, site.zone)
    store = await EmbeddedReadings.open(tmp_path / "readings", homes=homes, metrics=site.metrics, stage_at=20_000)
    at, saved = 0, engine.snapshot()
    gaps: list[Unwatched] = []
    for i, part in enumerate(parts):
        if i == 40:
            at, saved = int(parts[i - 1].got[-1]), engine.snapshot()
        if i in {55, 62}:  # died hours ago
            now = int(parts[i - 1].got[-1])
            engine = Engine(homes, site.rules, site.metrics, site.zone)
            assert begin_from(engine, saved)
            gap = await catch_up([Told(engine, homes, [], since=at)], at, store, gaps, now, asyncio.Event())
            assert gap is not None
            gaps.append(gap)
        if not (43 <= i < 55 or 60 <= i < 62):
            await store.append(part)
            engine.step(part, int(part.got[-1]))
    again = Engine(homes, site.rules, site.metrics, site.zone)
    assert begin_from(again, saved)
    end = int(parts[-1].got[-1])
    assert await catch_up([Told(again, homes, [], since=at)], at, store, gaps, end, asyncio.Event())
    assert [gap.until - gap.since > HOUR // 2 for gap in gaps] == [True, True]
    assert same(engine, homes, again, homes)
    await store.close()


def test_what_came_just_before_an_unwatched_hour_is_not_an_hour_old(site: Site) -> None:
    """The clock is set forward a second after the last tick: what came in that second is folded in after the hour."""
    heard = []
    for aged in (False, True):
        homes = Homes()
        homes.add_device("h", "hall")
        engine = Engine(homes, site.rules, site.metrics, site.zone)
        beat, begin = site.metrics.index("heartbeat"), 9_000 * HOUR
        beats = [(0, 0, beat, 1.0, t, t, 0) for t in range(begin, begin + HOUR, MINUTE)]
        engine.step(reading_batch(beats), begin + HOUR)
        told, now = begin + HOUR + MILLISECOND, begin + 2 * HOUR + MINUTE - MILLISECOND
        engine.resume(now)
        came = reading_batch([(0, 0, beat, 1.0, told, told, 0)])
        engine.step(came if aged else after(came, (now - 1) // MINUTE * MINUTE), now)
        heard.append((now - engine.view("heard")[0]) // MINUTE)
    assert heard == [0, 60], "minutes; as old as it came it would count as silence"


async def test_what_fired_and_was_not_stored_is_told_after_the_restart_and_once(simulated: Path, site: Site) -> None:
    """The book of a service that died between a finding and its commit, at every moment of the recording."""
    homes = Homes()
    engine = Engine(homes, site.rules, site.metrics, site.zone)
    whole, lagging = (Book(site.rule_infos, site.alerts) for _ in range(2))
    raised = 0
    for part in slices(simulated, homes, site):
        now = int(part.got[-1])
        whole.apply(engine.step(part, now), homes, now)
        missed = lagging.repair(engine.current(), homes)
        raised += sum(e.kind == "opened" for e in missed)
        assert lagging.repair(engine.current(), homes) == [], "said once"
        current = engine.current()
        firing = {
            (homes.ids[current.home[i]], site.rules[current.rule[i]].name)
            for i in np.flatnonzero(current.verdict == Verdict.FIRING)
        }
        for book in (whole, lagging):
            live = {(a.household, a.rule) for a in book.alerts() if a.state != "resolved"}
            assert firing <= live
    assert raised > 0
