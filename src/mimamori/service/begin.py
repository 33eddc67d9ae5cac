"""How a service begins: from the last snapshot, with what was stored and said since; else anew.

May import rules, web.changes, shadows, store and site. Downtime is unknown, not quiet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat, no_readings
from mimamori.rules.engine import READABLE, Engine
from mimamori.rules.told import Told
from mimamori.service.coverage import Coverage
from mimamori.service.shadows import Shadows
from mimamori.service.snapshot import ROWS, unpack
from mimamori.service.unwatched import go_on
from mimamori.site import Site
from mimamori.store.database import LedgerError
from mimamori.store.ledger import Ledger
from mimamori.store.readings import ReadingStore, StoreError
from mimamori.store.records import EngineMark, Unwatched
from mimamori.web.changes import changed_site, own_by_row, own_limits

log = logging.getLogger(__name__)


def unpacked(mark: EngineMark | None, site: Site) -> dict[str, NDArray[Any]]:
    """The arrays of the last snapshot; none if there is none that fits the rules."""
    if mark is None:
        return {}
    if mark.digest != site.digest or mark.version not in READABLE:
        log.warning("the rules have changed since the last snapshot: habits are learned anew")
        return {}
    arrays = unpack(mark.blob)
    if not set(ROWS) <= arrays.keys():
        log.warning("snapshot not used: it does not say whose rows it holds")
        return {}
    return arrays


def watched(saved: Mapping[str, NDArray[Any]], mark: EngineMark | None, now: int) -> Coverage:
    """The gaps that are known, and the one since the last snapshot: we did not run."""
    coverage = Coverage()
    if mark is not None and saved:
        coverage.restore(saved)
        coverage.downtime(mark.at, now)
    return coverage


@dataclass(frozen=True, slots=True)
class Begun:
    """site: with the changes that are in force. restored: the engine goes on from a snapshot."""

    site: Site
    engine: Engine
    shadows: Shadows
    restored: bool


async def begin_engine(  # noqa: PLR0917 - what it begins from
    site: Site, ledger: Ledger, homes: Homes, readings: ReadingStore, saved: Mapping[str, NDArray[Any]], at: int,
    now: int, stop: asyncio.Event,
) -> Begun:  # fmt: skip
    """The engine and its shadows, from the snapshot `saved` of the time `at` where there is one. Ends at `stop`."""
    for resident in await ledger.residents():
        homes.place(resident.household, resident.area)  # a power cut is judged by district while catching up, too
    present, _ = changed_site(site, await ledger.trials())
    engine = Engine(homes, present.rules, site.metrics, site.zone, gates=site.gates)
    shadows = Shadows(homes)
    if not saved:
        return Begun(present, engine, shadows, restored=False)
    own = own_by_row(own_limits(await ledger.limits(), present.rules, now)[0], homes)
    engine.set_own(own)
    if not begin_from(engine, saved):
        return Begun(present, engine, shadows, restored=False)
    await shadows.restore(site, saved, engine, ledger)
    shadows.set_own(own)
    said = await ledger.declarations()
    told = [Told(one, homes, said, since=at) for one in (engine, shadows)]
    gap = await catch_up(told, at, readings, await ledger.unwatched(), now, stop)
    if gap is not None:
        try:
            await ledger.commit(events=[], notices=[], unwatched=[gap], now=now)
        except LedgerError as error:  # only a second restart before the next snapshot would miss it
            log.warning("the ledger did not take down what nobody watched: %s", error)
    return Begun(present, engine, shadows, restored=gap is not None)


def begin_from(engine: Engine, saved: Mapping[str, NDArray[Any]]) -> bool:
    """The engine as it was; False if it begins anew, since the snapshot does not fit."""
    try:
        engine.restore(
            {name: array for name, array in saved.items() if name not in ROWS and not name.startswith("watch.")}
        )
    except ValueError as error:
        log.warning("snapshot not used: %s", error)
        return False
    return True


async def catch_up(  # noqa: PLR0917 - what it goes through
    engines: Sequence[Told], at: int, readings: ReadingStore, unwatched: Sequence[Unwatched], now: int,
    stop: asyncio.Event,
) -> Unwatched | None:  # fmt: skip
    """The readings stored and what was said since `at`, then on: downtime is not quiet time.

    unwatched: in order of time; what lies in it counts as it did then. Returns what was not watched before `now`; None
    if `stop` came first.
    """
    try:
        for gap in unwatched:
            if gap.until <= at:
                continue
            if not await _go(engines, at, readings, gap.since, stop):
                return None
            came = concat([b async for b in readings.scan_all(max(at, gap.since) + 1, gap.until + 1)])
            for engine in engines:
                await asyncio.to_thread(_pass_over, engine, gap, came)
            at = gap.until
        if not await _go(engines, at, readings, now, stop):
            return None
    except StoreError as error:  # a server that is away must not keep the watch from starting
        log.warning("the readings since the last snapshot are not caught up with: %s", error)
    for engine in engines:
        engine.resume(now)
    return Unwatched(since=engines[0].at, until=now)


async def _go(engines: Sequence[Told], at: int, readings: ReadingStore, until: int, stop: asyncio.Event) -> bool:
    """Step with the readings that came in (at, until]; False if `stop` is set."""
    async for batch in readings.scan_all(at + 1, until + 1):
        for engine in engines:
            await asyncio.to_thread(engine.step, batch, int(batch.got[-1]))
        if stop.is_set():
            return False
    return True


def _pass_over(engine: Told, gap: Unwatched, came: ReadingBatch) -> None:
    engine.step(no_readings(), gap.since)
    go_on(engine, came, gap.until)
