"""What a service holds: backed up, restored, exported."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import click

from mimamori.backup import back_up
from mimamori.backup import restore as restore_backup
from mimamori.commands.options import FOLDER, NEW, data_option, ledger_settings, load_content, plainly, site_option
from mimamori.export import export_readings, read_alerts, read_declarations
from mimamori.model.times import NEVER, parse_instant
from mimamori.settings import read_settings
from mimamori.store import embedded
from mimamori.stream.clock import wall
from mimamori.stream.declared import write_absences

NOT_YET = 2**62  # ns, later than anything


@click.command()
@click.argument("folder", type=FOLDER)
@site_option
@data_option
def backup(folder: Path, site: Path | None, data: Path) -> None:
    """Copy a site's content, ledger and readings into the new FOLDER, consistently, while the service runs."""
    with plainly():
        made = back_up(load_content(site), read_settings(os.environ, data=data), folder, wall())
        click.echo(f"{folder}: {len(made['files'])} files")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--site", required=True, type=FOLDER,
              help="Folder for the content; must hold none.")  # fmt: skip
@data_option
def restore(folder: Path, site: Path, data: Path) -> None:
    """Put the backup in FOLDER into an empty site and an empty data folder."""
    with plainly():
        settings = read_settings(os.environ, data=data)
        broken = restore_backup(folder, site, settings)
        for words in broken:
            click.echo(words, err=True)
        if broken:
            raise SystemExit(1)
        click.echo(f"restored; start it with: mimamori run --site {site} --data {settings.data}")


@click.command()
@click.option("--alerts", type=NEW, help="Alert lines (JSON, one a line) are written here.")
@click.option("--readings", type=NEW, help="A reading file is written here: .parquet, .csv or .csv.gz.")
@click.option("--absences", type=NEW, help="What was said of absences, and when (CSV), for mimamori replay.")
@click.option("--since", "--from", help="First moment of opening or reading, ISO 8601 with an offset (default: all).")
@click.option("--until", "--to", help="Moment after the last (default: all).")
@click.option("--household", multiple=True, help="Readings of this one only; may be given again.")
@site_option
@data_option
def export(  # noqa: PLR0917 - the command line's words
    alerts: Path | None, readings: Path | None, absences: Path | None, since: str | None, until: str | None,
    household: tuple[str, ...], site: Path | None, data: Path,
) -> None:  # fmt: skip
    """Alerts, readings and absences of a service, running or not; times of opening or of the device choose them."""
    if alerts is None and readings is None and absences is None:
        raise click.UsageError("say what to export: --alerts FILE, --readings FILE, --absences FILE, or several")
    with plainly():
        loaded = load_content(site)
        begins, ends = parse_instant(since) if since else NEVER, parse_instant(until) if until else NOT_YET
        if alerts is not None:
            url, zone = ledger_settings(data).ledger_url, loaded.zone.name
            lines = asyncio.run(read_alerts(url, since=begins, until=ends, zone=zone))
            with alerts.open("w", encoding="utf-8") as out:
                out.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in lines)
            click.echo(f"{len(lines)} alerts in {alerts}")
        if absences is not None:
            said = asyncio.run(read_declarations(ledger_settings(data).ledger_url))
            click.echo(f"{write_absences(absences, said, loaded.zone.name)} rows of absences in {absences}")
        if readings is not None:
            store = _readings_file(data)
            n, without = export_readings(store, readings, loaded.metrics, loaded.zone.name, begins, ends, household)
            click.echo(f"{n} readings in {readings}")
            if without:
                click.echo(f"{without} readings left out: no profile of this site declares their metric", err=True)


def _readings_file(data: Path) -> Path:
    settings = read_settings(os.environ, data=data)
    if settings.influx_url:
        raise ValueError("the readings are in InfluxDB; export them with its own tools, or from a mimamori backup")
    found = settings.data / "readings" / embedded.FILE
    if not found.is_file():
        raise ValueError(f"{settings.data} holds no readings; name the service's data folder with --data")
    return found
