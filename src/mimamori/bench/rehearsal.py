"""`mimamori bench rehearsal`: how long it takes to rehearse a rule on many households' stored days.

May import everything from rehearse down. The store is made from simulated households, each of them several times over
under other names: what a rehearsal costs hangs on how much is stored, not on how it differs.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, SECOND, parse_instant
from mimamori.progress import progress
from mimamori.rehearse import LEARN, MOST_PROCESSES, Asked, needs, rehearse, rule_of
from mimamori.rules.tune import Settings, read_setting
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome, households
from mimamori.site import Site, load_site
from mimamori.store.embedded import FILE
from mimamori.store.keys import Keys
from mimamori.store.pack import first_of_each, slices_of, starts_of
from mimamori.store.seal import Merge, chunk, is_stray, put_merged
from mimamori.store.segments import DAY_HOURS, chunk_id, connect, prepare, take_lock
from mimamori.stream.clock import stopwatch

UNTIL = parse_instant("2026-11-20T00:00:00Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """learned: days before those in question, which the rule learns from. readings: read, of all these days."""

    rule: str
    settings: Mapping[str, float | str]
    households: int
    days: int
    learned: int
    readings: int
    processes: int
    before: int
    after: int
    seconds: float


def fill(site: Site, folder: Path, *, count: int, different: int, days: int, bed_every: int, seed: int) -> None:
    """A store of `count` households' `days` up to UNTIL. bed_every: s between a bed sensor's messages.

    Written as the service leaves days that are over; bringing each reading there by way of the log takes ten times as
    long.
    """
    made = households(site.scene, count=min(different, count), seed=seed, bed_every=bed_every * SECOND)
    homes = Homes()
    for copy in range(-(-count // len(made))):
        for home in made[: count - copy * len(made)]:
            for device in home.devices:
                homes.add_device(f"{home.id}-{copy:03}", device.id, device.profile)
    folder.mkdir(parents=True, exist_ok=True)
    begin = UNTIL - days * DAY
    batches = simulate(made, start=begin, end=UNTIL, seed=seed, step=DAY // 8)
    with take_lock(folder), closing(connect(folder / FILE, write=True)) as connection:
        prepare(connection, folder / FILE)
        keys = Keys(connection)
        with progress("store", days, "day") as bar:
            for day in _whole_days(batches, begin):
                for part in _copies(day, made, homes):
                    rows = first_of_each(keys.translate(part, homes, site.metrics, connection))
                    put_merged(connection, _chunks(rows))
                bar.update()


def _whole_days(batches: Iterable[ReadingBatch], day: int) -> Iterator[ReadingBatch]:
    """The readings that were taken on each day (UTC) from `day` (ns) on, once all that is sent within hours has come.

    Raises ValueError for one that came later.
    """
    held: list[ReadingBatch] = []
    for batch in batches:
        held.append(batch)
        while len(batch) and batch.got[-1] >= day + DAY + DAY // 8:
            day, ready, rest = _cut(day, concat(held))
            held = [rest]
            yield ready
    while len(rest := concat(held)):
        day, ready, rest = _cut(day, rest)
        held = [rest]
        yield ready


def _cut(day: int, rows: ReadingBatch) -> tuple[int, ReadingBatch, ReadingBatch]:
    if len(rows) and rows.taken.min() < day:
        msg = "a reading came hours after its day was over, which this bench does not know how to store"
        raise ValueError(msg)
    ready = rows.taken < day + DAY
    return day + DAY, rows.take(ready), rows.take(~ready)


def _chunks(rows: ReadingBatch) -> Merge:
    """Rows of one day, sorted by household, device, metric and time, as the store keeps it."""
    hour = int(rows.taken[0]) // DAY * DAY_HOURS
    parts = [rows.take(part) for part in slices_of(starts_of(rows.home), len(rows))]
    chunks = [chunk(chunk_id(int(part.home[0]), hour), part, DAY_HOURS) for part in parts]
    return Merge(
        staged=[], chunks=chunks, strays=[(row[0],) for row in chunks if is_stray(row)], open_days=[],
        sealed=len(rows), duplicates=0, expired=0,
    )  # fmt: skip


def _copies(batch: ReadingBatch, made: tuple[SimulatedHome, ...], homes: Homes) -> Iterator[ReadingBatch]:
    """The batch for each time over that the households are there."""
    devices = sum(len(home.devices) for home in made)
    for copy in range(-(-len(homes) // len(made))):
        part = replace(batch, home=batch.home + copy * len(made), device=batch.device + copy * devices)
        yield part.take(part.home < len(homes))


def measure(site: Site, folder: Path, *, rule: str, settings: Settings, days: int, processes: int) -> Rehearsed:
    """One rehearsal on a filled store. Raises StoreError, ValueError."""
    asked = Asked(rule=rule, settings=settings, days=days, until=UNTIL)
    learned = needs(rule_of(site, rule))[1] // DAY
    begun = stopwatch()
    with progress("rehearsal", 100, "%") as bar:
        found = rehearse(
            site, asked, folder, told=lambda done, of: bar.update(100 * done // of - bar.n) and None,
            processes=processes,
        )  # fmt: skip
    return Rehearsed(
        rule=rule, settings=settings, households=found.households, days=days, learned=learned, readings=found.readings,
        processes=processes, before=len(found.before), after=len(found.after),
        seconds=round((stopwatch() - begun) / SECOND, 1),
    )  # fmt: skip


@click.command("rehearsal")
@click.argument("rule", default="inactivity")
@click.argument("settings", nargs=-1)
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the four content folders.")  # fmt: skip
@click.option("--households", "count", default=1000, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--different", default=100, show_default=True, type=click.IntRange(1, 1000), help="Of them; then again.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 400))
@click.option("--bed-every", default=60, show_default=True, type=click.IntRange(1, 3600), help="Seconds.")
@click.option("--processes", default=MOST_PROCESSES, show_default=True, type=click.IntRange(1, 64))
@click.option("--store", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to keep the store in, and to find it in the next time.")  # fmt: skip
@click.option("--seed", default=1, show_default=True)
def bench_rehearsal(  # noqa: PLR0917
    rule: str, settings: tuple[str, ...], site: Path | None, count: int, different: int, days: int, bed_every: int,
    processes: int, store: Path | None, seed: int,
) -> None:  # fmt: skip
    """Seconds to rehearse RULE with KEY=VALUE ... on stored days, and on those before them that it learns from."""
    loaded = load_site(site)
    try:
        known = rule_of(loaded, rule)
        given = {key: read_setting(known, key, text) for key, _, text in (each.partition("=") for each in settings)}
        with tempfile.TemporaryDirectory(prefix="mimamori-rehearsal-") as name:
            folder = store or Path(name)
            if not (folder / FILE).is_file():
                fill(
                    loaded, folder, count=count, different=different, days=days + LEARN // DAY, bed_every=bed_every,
                    seed=seed,
                )  # fmt: skip
            found = measure(loaded, folder, rule=rule, settings=given, days=days, processes=processes)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(asdict(found), indent=1))
