"""Simulated households to a file or to a broker, for the command line. May import everything from site down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mimamori.garbage import rarely_collected
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import DAY, HOUR
from mimamori.progress import progress
from mimamori.simulator.days import simulate
from mimamori.simulator.declare import declared
from mimamori.simulator.households import households, registry
from mimamori.simulator.many import Makers, makers
from mimamori.simulator.plan import draw_events, own_events, with_neighbours
from mimamori.simulator.publish import publish
from mimamori.simulator.truth import TruthEvent, write_truth
from mimamori.site import Site
from mimamori.stream.clock import Clock
from mimamori.stream.declared import write_absences
from mimamori.stream.written import write_readings

QUIET_DAYS = 14  # nothing befalls anybody while habits are learned


def write_days(
    site: Site, out: Path, truth: Path | None, *, count: int, seed: int, bed_every: int | None, start: int, days: int,
    noise: str = "default", processes: int = 1, absences: Path | None = None,
) -> int:  # fmt: skip
    """Write a reading file, and with `truth` a file of what befell whom. Returns how many readings. Raises OSError.

    absences: write a file of what the families told of it.

    processes: 0 for as many as there are processors, where that is worth it. The bytes are the same.
    """
    homes = households(site.scene, count=count, seed=seed, bed_every=bed_every, noise=noise)
    with rarely_collected(), makers(homes, processes) as made:
        events = _befalling(site, made, truth, start=start, days=days, seed=seed)
        if absences is not None:
            write_absences(absences, declared(events), site.zone.name)

        def told() -> Iterator[ReadingBatch]:
            with progress("simulating", days * DAY // HOUR, "hour") as bar:
                for batch in made.days(start=start, end=start + days * DAY, seed=seed, events=events):
                    yield batch
                    bar.update(1)

        return write_readings(out, registry(homes), site.metrics, told(), site.zone.name)


def _befalling(
    site: Site, made: Makers, truth: Path | None, *, start: int, days: int, seed: int
) -> tuple[TruthEvent, ...]:
    """What befalls the homes, written to `truth`; nothing without it. Raises OSError."""
    if truth is None:
        return ()
    end, quiet = start + days * DAY, min(QUIET_DAYS, days // 2) * DAY
    drawn = made.each(draw_events, start=start, end=end, seed=seed, first_after=start + quiet)
    events = with_neighbours(made.homes, drawn)
    own = made.each(own_events, events=events, start=start, end=end, seed=seed)
    write_truth(truth, [*events, *own], site.zone.name)
    return events


async def publish_days(
    site: Site, broker: str, environment: Mapping[str, str], truth: Path | None = None, *, speed: float, count: int,
    seed: int, bed_every: int | None, start: int, days: int, noise: str = "default",
) -> str:  # fmt: skip
    """Publish until the days are over or the command is ended, and say what was sent at which pace.

    Log-in from MIMAMORI_BROKER_USER and _PASSWORD. truth: as in write_days. Raises OSError.
    """
    homes = households(site.scene, count=count, seed=seed, bed_every=bed_every, noise=noise)
    with makers(homes, processes=1) as made:
        events = _befalling(site, made, truth, start=start, days=days, seed=seed)
    clock = Clock(speed=speed, start=start)
    count = await publish(
        broker, homes, simulate(homes, start=start, end=start + days * DAY, seed=seed, events=events), clock=clock,
        speed=speed,
        username=environment.get("MIMAMORI_BROKER_USER"), password=environment.get("MIMAMORI_BROKER_PASSWORD"),
    )  # fmt: skip
    pace = speed * days * DAY / max(clock.now() - start, 1)
    held = "" if pace > 0.9 * speed else f"; {speed:g} times was asked, and this machine and broker did not hold it"
    return f"{count} messages acknowledged, at {min(pace, speed):.0f} times the pace of life{held}"
