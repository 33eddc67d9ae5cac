"""`mimamori bench restart`: a killed service of many households starts again: seconds to its first tick.

May import everything from app down. The state is made as a service leaves it: a snapshot in the ledger, the readings
that came after it in the store's log, earlier ones staged. The service that comes back is a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from mimamori.app import serve
from mimamori.compile import compile_rules
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import MINUTE, SECOND
from mimamori.mosquitto import Mosquitto, free_port
from mimamori.progress import progress
from mimamori.rules.engine import FORMAT, Engine
from mimamori.service.loop import Loop
from mimamori.service.snapshot import pack, rows_of
from mimamori.settings import Settings
from mimamori.site import Site, load_site
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger
from mimamori.store.records import Access, Device, EngineMark, Resident
from mimamori.stream.clock import Clock, stopwatch, wall

TOLD = {"heart_rate": 60.0, "respiration_rate": 15.0, "body_movement": 10.0, "in_bed": 1.0}
EVERY = 5 * SECOND  # a bed sensor tells them


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """What it took. first_tick_s: from the start of the process to its first tick. memory_mb: largest size by then.

    caught_up: readings since the snapshot.
    """

    households: int
    readings: int
    caught_up: int
    snapshot_mb: float
    first_tick_s: float
    memory_mb: float


async def measure(site: Site, *, households: int, minutes: int, since_mark: int, seed: int) -> Restart:
    """Makes the state and starts on it. minutes: of readings before the kill; since_mark: s of those after the mark."""
    with tempfile.TemporaryDirectory(prefix="mimamori-restart-") as name:
        folder = Path(name)
        readings, caught_up, size = await _leave(site, folder, households, minutes, since_mark, seed)
        broker = Mosquitto(site, folder)
        await broker.start()
        try:
            begun = stopwatch()
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mimamori.bench.restart", str(site.folder), name, broker.url,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert child.stdout is not None
            told = await child.stdout.readline()
            took = (stopwatch() - begun) / SECOND
            await child.wait()
        finally:
            await broker.stop()
    if not told:
        raise OSError("the service that should come back ended before its first tick; its words are above")
    memory, households_back = json.loads(told)
    assert households_back == households
    return Restart(
        households=households, readings=readings, caught_up=caught_up, snapshot_mb=size, first_tick_s=round(took, 2),
        memory_mb=memory,
    )  # fmt: skip


async def _leave(  # noqa: PLR0917 - what is asked of it
    site: Site, folder: Path, households: int, minutes: int, since_mark: int, seed: int
) -> tuple[int, int, float]:
    """(readings, those after the snapshot, its MB) of a service that was killed a moment ago."""
    homes, rng = Homes(), np.random.default_rng(seed)
    for i in range(households):
        homes.add_device(f"H{i:06}", "bed1", "bed-sensor")
    ledger = await Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
    store = await EmbeddedReadings.open(folder / "readings", homes=homes, metrics=site.metrics)
    engine = Engine(homes, site.rules, site.metrics, site.zone)
    rounds, n, after, size = minutes * MINUTE // EVERY, 0, 0, 0.0
    begin = wall() // SECOND * SECOND - rounds * EVERY
    marked = rounds - since_mark * SECOND // EVERY
    try:
        entries = [Resident(household=h, code=h) for h in homes.ids]
        devices = [Device(household=h, device="bed1", profile="bed-sensor") for h in homes.ids]
        access = Access(who="bench", whose="", what="entered", at=begin)
        await ledger.enter(access, *entries, *devices)
        with progress("readings", rounds, "round") as bar:
            for turn in range(rounds):
                batch = _round(site, households, begin + turn * EVERY, rng)
                await store.append(batch)
                n += len(batch)
                now = begin + (turn + 1) * EVERY
                if turn < marked:
                    engine.step(batch, now)
                else:
                    after += len(batch)
                if turn == marked - 1:
                    blob = pack(rows_of(homes) | engine.snapshot())
                    mark = EngineMark(at=now, version=FORMAT, digest=site.digest, blob=blob)
                    await ledger.commit(events=[], notices=[], mark=mark, now=now)
                    size = round(len(mark.blob) / 1e6, 1)
                bar.update(1)
    finally:
        await store.close()
        await ledger.close()
    return n, after, size


def _round(site: Site, households: int, at: int, rng: np.random.Generator) -> ReadingBatch:
    """Every household's message within five seconds from `at`."""
    home = np.repeat(np.arange(households, dtype=np.int32), len(TOLD))
    metric = np.tile(np.array([site.metrics.index(name) for name in TOLD], np.int16), households)
    got = at + np.repeat(np.sort(rng.integers(1, 4999, households)), len(TOLD)) * (SECOND // 1000)
    moves = metric != site.metrics.index("in_bed")
    value = np.tile(np.array(list(TOLD.values())), households) + moves * rng.integers(0, 9, len(home))
    return ReadingBatch(
        home=home, device=home, metric=metric, value=value.astype(np.float64), taken=got - SECOND // 20, got=got,
        flags=np.zeros(len(home), np.uint8),
    )  # fmt: skip


async def come_back(site: Site, data: Path, broker: str) -> None:
    """In the child: the service, until its first tick; says then how large it is and how many households it watches."""
    stop = asyncio.Event()

    async def first_tick(loop: Loop) -> None:
        while not loop.counts["ticks"]:  # noqa: ASYNC110 - the loop tells nobody when it ticks
            await asyncio.sleep(0.005)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        sys.stdout.write(json.dumps([round(peak, 1), len(loop.homes)]) + "\n")
        sys.stdout.flush()
        stop.set()

    settings = Settings(data=data, broker=broker, port=free_port())
    await serve(site, settings, clock=Clock(), stop=stop, with_loop=first_tick)


@click.command("restart")
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the four content folders.")  # fmt: skip
@click.option("--households", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--minutes", default=10, show_default=True, type=click.IntRange(1, 1440), help="Of readings before.")
@click.option("--since-mark", default=60, show_default=True, type=click.IntRange(5, 3600),
              help="Seconds of readings after the snapshot, to be caught up with.")  # fmt: skip
@click.option("--seed", default=1, show_default=True)
def bench_restart(site: Path | None, households: int, minutes: int, since_mark: int, seed: int) -> None:
    """Seconds from the start of a killed service to its first tick, with a message every 5 s a household before."""
    try:
        found = asyncio.run(
            measure(load_site(site), households=households, minutes=minutes, since_mark=since_mark, seed=seed)
        )
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(asdict(found), indent=1))


if __name__ == "__main__":
    content = load_site(Path(sys.argv[1]))
    compile_rules(content)
    asyncio.run(come_back(content, Path(sys.argv[2]), sys.argv[3]))
