"""Simulated households."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from mimamori.commands.options import NEW, load_content, plainly, site_option
from mimamori.judge.compare import compare_days
from mimamori.model.times import parse_duration, parse_instant
from mimamori.simulate import publish_days, write_days


@click.command()
@site_option
@click.option("--households", default=12, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3660))
@click.option(
    "--start", default="2026-01-01T00:00:00+09:00", show_default=True, help="First moment, ISO 8601 with an offset."
)
@click.option("--seed", default=1, show_default=True, help="Same seed, same bytes.")
@click.option("--noise", default="default", show_default=True, help="low, default or high (simulator/noise-*.toml).")
@click.option("--bed-every", default=None, help='Cadence of the bed sensors, such as "60s".')
@click.option("--out", type=NEW, help="Write a reading file (.csv, .csv.gz, .parquet).")
@click.option(
    "--truth", type=NEW, help="Write what befalls whom (CSV), with --out or --broker; without it nothing does."
)
@click.option("--absences", type=NEW, help="With --out and --truth: which absences the families told, and when (CSV).")
@click.option("--broker", help="Publish to this broker instead (mqtt:// or mqtts://), as devices would.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(1, 10_000), help="With --broker.")
@click.option("--processes", default=0, type=click.IntRange(0, 64),
              help="With --out; default: one a processor. The bytes do not depend on it.")  # fmt: skip
@click.option("--compare", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Print how days differ here and in the recordings of this folder.")  # fmt: skip
def simulate(**options: Any) -> None:
    """Simulated households: into a reading file, onto a broker as their devices would publish, or beside real ones."""
    with plainly():
        if sum(options[o] is not None for o in ("out", "broker", "compare")) != 1:
            msg = "say where to: --out FILE, --broker URL or --compare FOLDER"
            raise click.UsageError(msg)
        if options["truth"] and options["compare"]:
            msg = "--compare is about ordinary days; leave --truth out"
            raise click.UsageError(msg)
        if options["absences"] is not None and (options["truth"] is None or options["out"] is None):
            raise click.UsageError("--absences goes with --out and --truth: without events nobody is away for a night")
        site = load_content(options["site"])
        chosen = {
            "count": options["households"], "seed": options["seed"],
            "bed_every": parse_duration(options["bed_every"]) if options["bed_every"] else None,
            "start": parse_instant(options["start"]), "days": options["days"], "noise": options["noise"],
        }  # fmt: skip
        if options["compare"] is not None:
            click.echo(compare_days(site, options["compare"], **chosen))
        elif options["out"] is not None:
            more = {"processes": options["processes"], "absences": options["absences"]}
            count = write_days(site, options["out"], options["truth"], **more, **chosen)
            click.echo(f"{count} readings in {options['out']}")
        else:
            click.echo(
                asyncio.run(
                    publish_days(
                        site, options["broker"], os.environ, options["truth"], speed=options["speed"], **chosen
                    )
                )
            )
