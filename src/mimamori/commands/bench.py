"""What times a part of the service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from mimamori.bench import engine as engine_bench
from mimamori.bench import influx as influx_bench
from mimamori.bench.beside import beside_prometheus
from mimamori.bench.console import bench_console
from mimamori.bench.gate import bench_gate
from mimamori.bench.ingest import Load, measure, told
from mimamori.bench.readings import bench_store
from mimamori.bench.rehearsal import bench_rehearsal
from mimamori.bench.restart import bench_restart
from mimamori.bench.start import time_to_start
from mimamori.bench.told import as_record, as_table
from mimamori.commands.options import load_content, plainly, site_option


@click.group()
def bench() -> None:
    """Time a part of the service on this machine."""


bench.add_command(bench_gate)
bench.add_command(bench_console)


@bench.command("engine")
@site_option
@click.option("--households", "sizes", default="1000,10000,100000", show_default=True, help="Numbers, with commas.")
@click.option("--replay-days", default=0, show_default=True, type=click.IntRange(0, 366),
              help="Also replay so many days of 1,000 households, four metrics a minute.")  # fmt: skip
@click.option("--twins", default=0, show_default=True, type=click.IntRange(0, 1_000_000),
              help="Also run so many households as plain Python objects, and compare the answers.")  # fmt: skip
@click.option("--prometheus", default=0, show_default=True, type=click.IntRange(0, 1_000_000),
              help="Also let Prometheus, where it is on PATH, evaluate 12 rules over so many households.")  # fmt: skip
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "json_wanted", is_flag=True, help="As JSON instead of a table.")
def bench_engine(  # noqa: PLR0917
    site: Path | None,
    sizes: str,
    replay_days: int,
    twins: int,
    prometheus: int,
    seed: int,
    json_wanted: bool,  # noqa: FBT001
) -> None:
    """Ticks, readings, memory and replay of the engine with all shipped rules."""
    with plainly():
        loaded = load_content(site)
        measured = engine_bench.measure(loaded, [int(n) for n in sizes.split(",")], seed)
        replayed = engine_bench.replay_days(loaded, 1000, replay_days, seed) if replay_days else None
        beside = engine_bench.compare(loaded, twins, seed) if twins else None
        other = beside_prometheus(prometheus, seed) if prometheus else None
        start = time_to_start(site)
        record = as_record(loaded, measured, replayed, seed, start=start, beside=beside, prometheus=other)
        text = as_table(measured, replayed, start=start, beside=beside, other=other)
        click.echo(json.dumps(record, indent=1) if json_wanted else text)
        if prometheus and other is None:
            click.echo("prometheus: not on PATH (Debian: apt-get install prometheus)", err=True)
        if beside is not None and not beside.same:
            raise click.ClickException("the plain twins and the engine do not say the same; please report this")


@bench.command("ingest")
@site_option
@click.option("--rate", default=24_000, show_default=True, type=click.IntRange(1, 200_000), help="Messages a second.")
@click.option("--seconds", default=30, show_default=True, type=click.IntRange(1, 86_400))
@click.option("--households", default=100_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--influx", is_flag=True, help="Store in an InfluxDB 1.x, as shipped, that is started for it.")
@click.option("--influx-url", default="", help="Store in the database mimamori of this InfluxDB instead.")
@click.option("--whole", is_flag=True, help="The whole service: rules, ledger and console too, not its inlet alone.")
@click.option("--start", default=0, type=click.IntRange(0, 3600),
              help="Tell the first SECONDS apart, in which every device is heard for the first time.")  # fmt: skip
@click.option("--away", default=0, type=click.IntRange(0, 3600), help="The collector is away for the last SECONDS.")
@click.option("--kill", is_flag=True, help="With --away: and the broker is killed before it comes back.")
def bench_ingest(site: Path | None, **asked: Any) -> None:
    """QoS 1 messages of bed sensors from a real mosquitto, as shipped, to the disk."""
    load = Load(**asked)
    if load.start >= load.seconds:
        raise click.UsageError("--start must leave some of --seconds")
    if load.away and (load.whole or load.start):
        raise click.UsageError("--away is measured on the inlet alone; leave --whole and --start out")
    if load.kill and not load.away:
        raise click.UsageError("--kill needs --away SECONDS: a broker that is killed forgets what it has not yet saved")
    with plainly():
        click.echo(told(asyncio.run(measure(load_content(site), load))))


@bench.command("influx")
@site_option
@click.option("--messages", default=480_000, show_default=True, type=click.IntRange(1, 10_000_000))
@click.option("--households", default=100_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--seed", default=1, show_default=True)
def bench_influx(site: Path | None, messages: int, households: int, seed: int) -> None:
    """What InfluxDB 1.x takes a second, of prepared lines and of our spool."""
    with plainly():
        found = asyncio.run(influx_bench.measure(load_content(site), messages, households, seed))
        click.echo(influx_bench.told(found))


bench.add_command(bench_store)
bench.add_command(bench_restart)
bench.add_command(bench_rehearsal)
