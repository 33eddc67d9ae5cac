"""Who is on duty, and how heavy the duty is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from mimamori.commands.options import FOLDER, data_option, ledger_settings, load_content, plainly, site_option
from mimamori.figures import as_json, as_table, read_load
from mimamori.model.times import parse_instant
from mimamori.on_duty import look_up, read_staff
from mimamori.stream.clock import wall


@click.command()
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 366))
@site_option
@data_option
def roster(days: int, site: Path | None, data: Path) -> None:
    """Who is on duty in the next days. Exit status 1 if a call would reach nobody at some time."""
    with plainly():
        loaded, settings = load_content(site), ledger_settings(data)
        staff = asyncio.run(read_staff(settings.ledger_url))
        told, holes = look_up(loaded.alerts.roster, staff, wall(), days)
        click.echo(told)
    raise SystemExit(1 if holes else 0)


@click.command()
@site_option
@click.option("--data", type=FOLDER, default=Path("data"), show_default=True,
              help="The service's data folder.")  # fmt: skip
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 366), help="How far back.")
@click.option("--until", help="Last moment, ISO 8601 with an offset (default: now).")
@click.option("--json", "json_wanted", is_flag=True, help="As JSON instead of a table.")
def load(site: Path | None, data: Path, days: int, until: str | None, json_wanted: bool) -> None:  # noqa: FBT001
    """Alarm load by EEMUA 191 and ISA-18.2: calls per ten minutes and person, floods, top sources, false alarms."""
    with plainly():
        settings, zone = ledger_settings(data), load_content(site).zone.name
        now = parse_instant(until) if until else wall()
        found = asyncio.run(read_load(settings.ledger_url, days, now))
        click.echo(as_json(found, zone) if json_wanted else as_table(found, zone))
