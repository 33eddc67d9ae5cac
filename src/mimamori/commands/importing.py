"""`mimamori import`: the well-known public formats of smart-home and meter recordings into reading files.

May import everything from site down. Reads no clock; the same files and options give the same bytes.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import numpy as np

from mimamori.commands.options import EXISTING, NEW, plainly
from mimamori.model.content import ContentError, validate
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import iso, parse_duration, zone_table
from mimamori.site import load_site
from mimamori.stream.by_day import sorted_days
from mimamori.stream.casas import read_casas
from mimamori.stream.foreign import Intake, SensorMap, as_id, make_batch
from mimamori.stream.kasteren import read_kasteren, read_names
from mimamori.stream.meter import UNITS, Columns, read_meter
from mimamori.stream.ukdale import read_ukdale
from mimamori.stream.written import write_readings

_SHOWN = 20  # rows set aside that are told one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every importer is asked."""

    out: Path
    zone: str | None
    household: str | None
    map: Path | None
    alive: str | None
    site: Path | None


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    zone = (
        "Zone of the recording's clock, such as America/Los_Angeles. Default: the site's, so that the clock stands as "
        "it was recorded and habits by time of day hold."
    )
    beats = (
        'Add a heartbeat of every device so often, such as "10m": the recording does not say that its sensors lived, '
        "and without it their silence counts."
    )
    options = (
        click.option("--out", required=True, type=NEW, help="Reading file to write (.csv, .csv.gz, .parquet)."),
        click.option("--zone", help=zone),
        click.option("--household", help="Id of the household. Default: the file's name."),
        click.option("--map", type=EXISTING, help="TOML: what sensors become (sensors/README.md)."),
        click.option("--alive", help=beats),
        click.option("--site", type=click.Path(file_okay=False, path_type=Path), help="Folder of the content folders."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group("import")
def importing() -> None:
    """Recordings in public formats into reading files. Bad rows are counted, told with their line and left out."""


@importing.command("casas")
@click.argument("file", type=EXISTING)
@click.option("--labels", type=NEW, help="Write the activities that the recording names (CSV: time,activity,edge).")
@_common
def casas(file: Path, labels: Path | None, **common: Any) -> None:
    """CASAS smart homes (WSU): lines of date, time, sensor and value; perhaps with activities."""

    def rows(intake: Intake) -> Iterator[ReadingBatch]:
        return _in_order(read_casas(file, intake))

    intake = _bring(file, Common(**common), rows)
    if labels is not None:
        _write_labels(labels, intake)


@importing.command("kasteren")
@click.argument("file", type=EXISTING)
@click.option("--names", type=EXISTING, help="Table of sensors, a number and a name a line.")
@_common
def kasteren(file: Path, names: Path | None, **common: Any) -> None:
    """Van Kasteren's houses: rows of start, end, sensor number and value."""
    with plainly():
        known = read_names(names) if names is not None else {}
    _bring(file, Common(**common), lambda intake: _in_order(read_kasteren(file, intake, known)))


@importing.command("meter-csv")
@click.argument("file", type=EXISTING)
@click.option("--id-column", default="", help="Column of the household or meter. Default: a usual name, else none.")
@click.option("--time-column", default="", help="Column of the time, or of the date where a row is a day.")
@click.option("--value-column", default="", help="Column of the value, where a row is an interval.")
@click.option("--kind", type=click.Choice(["interval", "register", "power"]), default="interval", show_default=True,
              help="Energy of each interval, cumulative register, or mean power.")  # fmt: skip
@click.option("--unit", type=click.Choice(list(UNITS)), default="kWh", show_default=True, help="W and kW: of power.")
@click.option("--ends", is_flag=True, help="A row's time is the interval's end (else its start).")
@click.option("--every", default="30m", show_default=True, help="Length of an interval.")
@click.option("--time-form", default="", help='Of times that are not ISO 8601, such as "%d-%m-%Y %H:%M".')
@click.option("--register", "registers", multiple=True, default=("E1",), show_default=True,
              help="NEM12: the registers (suffixes) to take, the general one first.")  # fmt: skip
@_common
def meter_csv(file: Path, **options: Any) -> None:
    """Smart meters: NEM12, a row a day with a column an interval, or a row an interval. The form is found out."""
    names = ("id_column", "time_column", "value_column", "time_form")
    who, when, what, form = (options.pop(name) for name in names)
    kind, unit, ends, every, registers = (options.pop(n) for n in ("kind", "unit", "ends", "every", "registers"))
    with plainly():
        if (kind == "power") != (unit in {"W", "kW"}):
            msg = f"--kind {kind} is not told in {unit}; choose W or kW for power, Wh or kWh for energy"
            raise ValueError(msg)
        columns = Columns(id=who, time=when, value=what, kind=kind, unit=unit, ends=ends, every=parse_duration(every),
                          form=form, registers=tuple(registers))  # fmt: skip
    _bring(file, Common(**options), lambda intake: read_meter(file, intake, columns))


@importing.command("ukdale")
@click.argument("place", type=click.Path(exists=True, path_type=Path))
@click.option("--channel", "channels", multiple=True, help="Number or label, or all. Default: the whole house.")
@click.option("--every", default="60s", show_default=True, help='Mean power over so long; "0s" keeps every sample.')
@_common
def ukdale(place: Path, channels: tuple[str, ...], every: str, **common: Any) -> None:
    """UK-DALE: the folder of a house, or of several (house_1, ...), or one channel's file."""
    with plainly():
        span = parse_duration(every)
    _bring(place, Common(**common), lambda intake: _in_order(read_ukdale(place, intake, channels, span)))


def _in_order(batches: Iterable[ReadingBatch]) -> Iterator[ReadingBatch]:
    return (batch for _, batch in sorted_days(batches))


def _bring(place: Path, common: Common, read: Callable[[Intake], Iterator[ReadingBatch]]) -> Intake:
    """Read, sort, write, and tell what came of it."""
    with plainly():
        intake = _intake(place, common)
        batches = read(intake)
        if common.alive:
            batches = alive(batches, intake, parse_duration(common.alive))
        first = next(batches, None)  # sorting ends here: from now on all devices are known
        zone = common.zone or intake.zone.name
        count = write_readings(common.out, intake.homes, intake.metrics, _again(first, batches), zone)
        for rejected in intake.rejected[:_SHOWN]:
            click.echo(f"set aside {rejected.place}: {rejected.reason}; {rejected.mend}", err=True)
        if intake.set_aside > _SHOWN:
            click.echo(f"... and {intake.set_aside - _SHOWN} more rows", err=True)
        if intake.left_out:
            told = ", ".join(f"{name} ({n})" for name, n in sorted(intake.left_out.items()))
            click.echo(f"left out, since no metric fits; name them in a --map to take them: {told}", err=True)
        click.echo(
            f"{count} readings of {len(intake.homes)} households and {intake.homes.devices} devices in {common.out}; "
            f"{intake.set_aside} rows set aside; clock read as {zone}"
        )
        if not count:
            msg = f"{place.name}: gave no reading"
            raise ValueError(msg)
        return intake


def _again(first: ReadingBatch | None, rest: Iterable[ReadingBatch]) -> Iterator[ReadingBatch]:
    if first is not None:
        yield first
    yield from rest


def _intake(place: Path, common: Common) -> Intake:
    site = load_site(common.site)
    if common.zone is not None:
        try:
            ZoneInfo(common.zone)
        except (ZoneInfoNotFoundError, ValueError):
            msg = f'"{common.zone}" is no time zone; write one such as Europe/London'
            raise ValueError(msg) from None
    zone = zone_table(common.zone) if common.zone else site.zone
    household = as_id(common.household or place.name.split(".")[0])
    return Intake(zone=zone, metrics=site.metrics, household=household, map=read_map(common.map, site.metrics))


def read_map(path: Path | None, metrics: Metrics) -> SensorMap:
    """The map file; an empty one for None. Raises ValueError with every mistake in it."""
    if path is None:
        return SensorMap()
    try:
        table: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path.name}: {error}; correct the TOML"
        raise ValueError(msg) from None
    found, errors = validate(SensorMap, table, path.name)
    for name, sensor in (found.sensors if found else {}).items():
        if sensor.metric and sensor.metric not in metrics:
            mend = f"choose one of {', '.join(metrics.names())}"
            errors.append(ContentError(path.name, f"sensors.{name}.metric", f'no metric "{sensor.metric}"', mend))
    if errors or found is None:
        raise ValueError("\n".join(str(e) for e in errors))
    return found


def alive(batches: Iterable[ReadingBatch], intake: Intake, every: int) -> Iterator[ReadingBatch]:
    """The sorted batches with a heartbeat of every device, from its first reading on, up to the household's last.

    Written on a fixed grid of `every` ns, up to each batch's end, so the order holds.
    """
    if every <= 0:
        msg = "--alive must be longer than nothing"
        raise ValueError(msg)
    metric = intake.metrics.index("heartbeat")
    told = np.zeros(0, np.int64)  # by device: grid steps told so far, 0 = not yet seen
    for batch in batches:
        if not len(batch):
            continue
        told = np.concatenate([told, np.zeros(intake.homes.devices - len(told), np.int64)])
        fresh, first = np.unique(batch.device, return_index=True)
        new = told[fresh] == 0
        told[fresh[new]] = batch.taken[first[new]] // every  # the first beat is the next step of the grid
        lasts = np.array([intake.lasts.get(home, 0) for home in intake.homes.device_home])
        until = np.minimum(lasts, int(batch.taken[-1])) // every
        seen = np.flatnonzero((told > 0) & (until > told))
        counts = until[seen] - told[seen]
        device = np.repeat(seen, counts)
        step = np.arange(len(device)) - np.repeat(np.cumsum(counts) - counts, counts) + 1 + told[device]
        told[seen] = until[seen]
        beats = make_batch(intake, step * every, device, np.full(len(device), metric), np.ones(len(device)))
        both = concat([batch, beats])
        yield both.take(np.lexsort((both.metric, both.device, both.taken)))


def _write_labels(path: Path, intake: Intake) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("time", "activity", "edge"))
        rows.writerows((iso(at, intake.zone.name), activity, edge) for at, activity, edge in sorted(intake.labels))
