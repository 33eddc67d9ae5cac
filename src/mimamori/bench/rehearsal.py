"""`mimamori bench rehearsal`: how long it takes to rehearse a rule on many households' stored days.

May import everything from rehearse down. The store is made from simulated households, each of them several times over
under other names: what a rehearsal costs hangs on how much is stored, not on how it differs.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np

from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, SECOND, parse_instant
from mimamori.progress import progress
from mimamori.rehearse import LEARN, MOST_PROCESSES, Asked, needs, rehearse, rule_of
from mimamori.rules.tune import Settings, read_setting
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome, households
from mimamori.site import Site, load_site
from mimamori.store.embedded import FILE, EmbeddedReadings
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


async def fill(site: Site, folder: Path, *, count: int, different: int, days: int, bed_every: int, seed: int) -> None:
    """A store of `count` households' `days` up to UNTIL, sealed. bed_every: s between a bed sensor's messages."""
    made = households(site.scene, count=min(different, count), seed=seed, bed_every=bed_every * SECOND)
    homes = Homes()
    for copy in range(-(-count // len(made))):
        for home in made[: count - copy * len(made)]:
            for device in home.devices:
                homes.add_device(f"{home.id}-{copy:03}", device.id, device.profile)
    store = await EmbeddedReadings.open(folder, homes=homes, metrics=site.metrics)
    begin = UNTIL - days * DAY
    try:
        with progress("store", days, "day") as bar:
            for batch in simulate(made, start=begin, end=UNTIL, seed=seed, step=DAY // 8):
                for part in _copies(batch, made, homes):
                    await store.append(part)
                if len(batch):
                    bar.update((int(batch.got[-1]) - begin) // DAY - bar.n)
            bar.update(days - bar.n)
        await store.seal()
    finally:
        await store.close()


def _copies(batch: ReadingBatch, made: tuple[SimulatedHome, ...], homes: Homes) -> Iterator[ReadingBatch]:
    """The batch for a hundred households at a time, as they arrived."""
    devices, copies = sum(len(home.devices) for home in made), -(-len(homes) // len(made))
    at_once = max(1, 100 // len(made))
    for first in range(0, copies, at_once):
        parts = []
        for copy in range(first, min(first + at_once, copies)):
            part = replace(batch, home=batch.home + copy * len(made), device=batch.device + copy * devices)
            parts.append(part.take(part.home < len(homes)))
        whole = concat(parts)
        yield whole.take(np.argsort(whole.got, kind="stable"))


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
                asyncio.run(
                    fill(
                        loaded, folder, count=count, different=different, days=days + LEARN // DAY,
                        bed_every=bed_every, seed=seed,
                    )
                )  # fmt: skip
            found = measure(loaded, folder, rule=rule, settings=given, days=days, processes=processes)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(asdict(found), indent=1))
