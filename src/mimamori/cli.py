"""The command line: parses arguments, calls what does the work, prints errors that name place and mend.

Exit status: 0 well, 1 something in the input is wrong (content, file, broker), 2 the command was not understood.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import mimamori
from mimamori.app import serve, stop_on_signals
from mimamori.backup import back_up
from mimamori.backup import restore as restore_backup
from mimamori.bench import engine as engine_bench
from mimamori.bench.beside import beside_prometheus
from mimamori.bench.console import bench_console
from mimamori.bench.gate import bench_gate
from mimamori.bench.ingest import Load, measure, told
from mimamori.bench.readings import bench_store
from mimamori.bench.restart import bench_restart
from mimamori.check import check_examples
from mimamori.conform import conform
from mimamori.demo import DemoOptions, run_demo
from mimamori.export import export_readings, read_alerts
from mimamori.figures import as_json, as_table, read_load
from mimamori.importing import importing
from mimamori.judge.compare import compare_days
from mimamori.judge.evaluate import A_NURSE
from mimamori.judge.grade import Wanted, grade
from mimamori.judge.scoreboard import make_scoreboard
from mimamori.model.times import NEVER, parse_duration, parse_instant
from mimamori.on_duty import look_up, read_staff
from mimamori.register import device, resident, user
from mimamori.rehearsals import rehearse_command
from mimamori.replay import replay as replay_file
from mimamori.replay import write_lines
from mimamori.settings import Settings, read_settings
from mimamori.simulate import publish_days, write_days
from mimamori.site import Site, SiteError, copy_content, load_site
from mimamori.store import embedded
from mimamori.stream.clock import Clock, wall

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW = click.Path(dir_okay=False, path_type=Path)
NOT_YET = 2**62  # ns, later than anything


def _site_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--site",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the four content folders.",
    )(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mimamori.__version__, prog_name="mimamori")
def main() -> None:
    """Mimamori: remote watch for old people who live alone. 安否確認であり、医療機器ではありません。"""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


@contextmanager
def _plainly() -> Iterator[None]:
    """What can go wrong with the outside becomes one line on standard error and exit status 1."""
    try:
        yield
    except SiteError as error:
        for mistake in error.errors:
            click.echo(str(mistake), err=True)
        click.echo(f"{len(error.errors)} mistake(s) in {error.folder}; nothing was started", err=True)
        raise SystemExit(1) from None
    except (OSError, ValueError) as error:
        click.echo(f"mimamori: {error}", err=True)
        raise SystemExit(1) from None


def _load(site: Path | None) -> Site:
    loaded = load_site(site)
    click.echo(f"content: {loaded.folder} (found by: {loaded.found_by})", err=True)
    return loaded


@main.command()
@_site_option
@click.option("--households", default=12, show_default=True, type=click.IntRange(1, 5000), help="How many to simulate.")
@click.option("--speed", default=60.0, show_default=True, type=click.FloatRange(1, 1000), help="Times as fast as life.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same lives.")
@click.option("--port", default=8080, show_default=True, help="Of the console on 127.0.0.1.")
@click.option("--json-status", type=_NEW, help="Write the counts into this file every second.")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the data here (default: thrown away)."
)
def demo(  # noqa: PLR0917
    site: Path | None, households: int, speed: float, seed: int, port: int, json_status: Path | None, data: Path | None
) -> None:
    """Everything on embedded defaults, with simulated households on a sped-up clock."""
    with _plainly():
        options = DemoOptions(
            households=households, speed=speed, seed=seed, port=port, json_status=json_status, data=data
        )
        run_demo(load_site(site), options)


@main.command()
@_site_option
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data"), show_default=True,
              help="Folder for readings and ledger (MIMAMORI_DATA goes before it).")  # fmt: skip
def run(site: Path | None, data: Path) -> None:
    """The service for a site, against the broker of MIMAMORI_BROKER (mqtt:// or mqtts://).

    MIMAMORI_BROKER_USER and MIMAMORI_BROKER_PASSWORD give the log-in. README lists all settings.
    """
    with _plainly():
        settings = read_settings(os.environ, data=data)
        if not settings.broker:
            msg = "MIMAMORI_BROKER is not set; write its URL, such as mqtt://127.0.0.1:1883"
            raise ValueError(msg)
        loaded = _load(site)

        async def until_stopped() -> None:
            stop = asyncio.Event()
            stop_on_signals(stop)
            click.echo(f"console: http://{settings.host}:{settings.port}", err=True)
            await serve(loaded, settings, clock=Clock(), stop=stop)

        asyncio.run(until_stopped())


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Copy the packaged content into FOLDER, to edit."""
    with _plainly():
        for copied in copy_content(folder):
            click.echo(f"made {copied}")
        click.echo(f"edit the files, then: mimamori check --site {folder}")


@main.command()
@_site_option
def check(site: Path | None) -> None:
    """Load and cross-check the content and run every rule's [[example]]; all mistakes at once."""
    with _plainly():
        loaded = _load(site)
        count, errors = check_examples(loaded)
        for error in errors:
            click.echo(str(error), err=True)
        if errors:
            raise SystemExit(1)
        click.echo(
            f"{len(loaded.rules)} rules, {count} examples, {len(loaded.profiles)} profiles, "
            f"{len(loaded.scene.personas)} personas: no mistakes (digest {loaded.digest[:12]})"
        )


@main.command()
@click.argument("file", type=_EXISTING)
@click.option("--alerts", required=True, type=_NEW, help="Alert lines (JSON, one a line) are written here.")
@_site_option
def replay(file: Path, alerts: Path, site: Path | None) -> None:
    """A reading FILE (CSV, CSV.gz or Parquet) through the same loop, as fast as it goes; no notices leave."""
    with _plainly():
        loaded = _load(site)
        result = replay_file(file, loaded)
        with alerts.open("w", encoding="utf-8") as out:
            write_lines(result, out)
        for rejected in result.rejected[:20]:
            click.echo(f"set aside {rejected.place}: {rejected.reason}; {rejected.mend}", err=True)
        told = ", ".join(f"{rule} {n}" for rule, n in sorted(result.alerts.items())) or "none"
        click.echo(
            f"{result.readings} readings of {result.households} households, {result.set_aside} rows set aside; "
            f"alerts: {told}"
        )


@main.command("evaluate")
@click.argument("file", type=_EXISTING)
@click.option("--truth", required=True, type=_EXISTING, help="What befell whom (CSV: household,kind,start,end).")
@click.option("--learn-days", default=14.0, show_default=True, type=click.FloatRange(0),
              help="Alerts in them are not false.")  # fmt: skip
@click.option("--nurse-households", default=A_NURSE, show_default=True, type=click.IntRange(1),
              help="How many households one nurse watches.")  # fmt: skip
@click.option("--curve", is_flag=True, help="Also delay against false alarms, at several budgets in the one replay.")
@click.option("--report", type=_NEW, help="Write a page with tables and plots (HTML), the curve among them.")
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of tables.")
@_site_option
def evaluate_command(**options: Any) -> None:
    """Replay a reading FILE and score its alerts: sensitivity, delay, false alarms per 30 household-days, per rule."""
    with _plainly():
        file, truth, site = (options.pop(name) for name in ("file", "truth", "site"))
        click.echo(grade(file, truth, _load(site), Wanted(**options)))


@main.command()
@_site_option
@click.option("--households", default=12, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3660))
@click.option(
    "--start", default="2026-01-01T00:00:00+09:00", show_default=True, help="First moment, ISO 8601 with an offset."
)
@click.option("--seed", default=1, show_default=True, help="Same seed, same bytes.")
@click.option("--noise", default="default", show_default=True, help="low, default or high (simulator/noise-*.toml).")
@click.option("--bed-every", default=None, help='Cadence of the bed sensors, such as "60s".')
@click.option("--out", type=_NEW, help="Write a reading file (.csv, .csv.gz, .parquet).")
@click.option("--truth", type=_NEW, help="Write what befell whom (CSV); without it nothing befalls anybody.")
@click.option("--broker", help="Publish to this broker instead (mqtt:// or mqtts://), as devices would.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(1, 10_000), help="With --broker.")
@click.option("--processes", default=0, type=click.IntRange(0, 64),
              help="With --out; default: one a processor. The bytes do not depend on it.")  # fmt: skip
@click.option("--compare", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Print how days differ here and in the recordings of this folder.")  # fmt: skip
def simulate(**options: Any) -> None:
    """Simulated households: into a reading file, onto a broker as their devices would publish, or beside real ones."""
    with _plainly():
        if sum(options[o] is not None for o in ("out", "broker", "compare")) != 1:
            msg = "say where to: --out FILE, --broker URL or --compare FOLDER"
            raise click.UsageError(msg)
        site = _load(options["site"])
        chosen = {
            "count": options["households"], "seed": options["seed"],
            "bed_every": parse_duration(options["bed_every"]) if options["bed_every"] else None,
            "start": parse_instant(options["start"]), "days": options["days"], "noise": options["noise"],
        }  # fmt: skip
        if options["compare"] is not None:
            click.echo(compare_days(site, options["compare"], **chosen))
        elif options["out"] is not None:
            count = write_days(site, options["out"], options["truth"], processes=options["processes"], **chosen)
            click.echo(f"{count} readings in {options['out']}")
        else:
            click.echo(asyncio.run(publish_days(site, options["broker"], os.environ, speed=options["speed"], **chosen)))


_DATA = click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data"),
                     show_default=True, help="The service's folder (MIMAMORI_DATA goes before it).")  # fmt: skip


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_site_option
@_DATA
def backup(folder: Path, site: Path | None, data: Path) -> None:
    """Copy a site's content, ledger and readings into the new FOLDER, consistently, while the service runs."""
    with _plainly():
        made = back_up(_load(site), read_settings(os.environ, data=data), folder, wall())
        click.echo(f"{folder}: {len(made['files'])} files")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--site", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder for the content; must hold none.")  # fmt: skip
@_DATA
def restore(folder: Path, site: Path, data: Path) -> None:
    """Put the backup in FOLDER into an empty site and an empty data folder."""
    with _plainly():
        settings = read_settings(os.environ, data=data)
        broken = restore_backup(folder, site, settings)
        for words in broken:
            click.echo(words, err=True)
        if broken:
            raise SystemExit(1)
        click.echo(f"restored; start it with: mimamori run --site {site} --data {settings.data}")


@main.command("export")
@click.option("--alerts", type=_NEW, help="Alert lines (JSON, one a line) are written here.")
@click.option("--readings", type=_NEW, help="A reading file is written here: .parquet, .csv or .csv.gz.")
@click.option("--since", "--from", help="First moment of opening or reading, ISO 8601 with an offset (default: all).")
@click.option("--until", "--to", help="Moment after the last (default: all).")
@click.option("--household", multiple=True, help="Readings of this one only; may be given again.")
@_site_option
@_DATA
def export_command(  # noqa: PLR0917 - the command line's words
    alerts: Path | None, readings: Path | None, since: str | None, until: str | None, household: tuple[str, ...],
    site: Path | None, data: Path,
) -> None:  # fmt: skip
    """The alerts and the readings of a service, running or not; times of opening or of the device choose them."""
    if alerts is None and readings is None:
        raise click.UsageError("say what to export: --alerts FILE, --readings FILE, or both")
    with _plainly():
        loaded = _load(site)
        begins, ends = parse_instant(since) if since else NEVER, parse_instant(until) if until else NOT_YET
        if alerts is not None:
            url, zone = _ledger_settings(data).ledger_url, loaded.zone.name
            lines = asyncio.run(read_alerts(url, since=begins, until=ends, zone=zone))
            with alerts.open("w", encoding="utf-8") as out:
                out.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in lines)
            click.echo(f"{len(lines)} alerts in {alerts}")
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


def _ledger_settings(data: Path) -> Settings:
    settings = read_settings(os.environ, data=data)
    if not settings.ledger and not (settings.data / "ledger.sqlite").is_file():
        msg = f"{settings.data} holds no ledger; name the service's data folder with --data"
        raise ValueError(msg)
    return settings


@main.command("roster")
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 366))
@_site_option
@_DATA
def roster_command(days: int, site: Path | None, data: Path) -> None:
    """Who is on duty in the next days. Exit status 1 if a call would reach nobody at some time."""
    with _plainly():
        loaded, settings = _load(site), _ledger_settings(data)
        staff = asyncio.run(read_staff(settings.ledger_url))
        told, holes = look_up(loaded.alerts.roster, staff, wall(), days)
        click.echo(told)
    raise SystemExit(1 if holes else 0)


@main.command("load")
@_site_option
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data"), show_default=True,
              help="The service's data folder.")  # fmt: skip
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 366), help="How far back.")
@click.option("--until", help="Last moment, ISO 8601 with an offset (default: now).")
@click.option("--json", "json_wanted", is_flag=True, help="As JSON instead of a table.")
def load_command(site: Path | None, data: Path, days: int, until: str | None, json_wanted: bool) -> None:  # noqa: FBT001
    """Alarm load by EEMUA 191 and ISA-18.2: calls per ten minutes and person, floods, top sources, false alarms."""
    with _plainly():
        settings, zone = _ledger_settings(data), _load(site).zone.name
        now = parse_instant(until) if until else wall()
        found = asyncio.run(read_load(settings.ledger_url, days, now))
        click.echo(as_json(found, zone) if json_wanted else as_table(found, zone))


@main.command("scoreboard")
@click.option("--out", default="docs/scoreboard.md", show_default=True, type=_NEW, help="Figures are put beside it.")
@click.option("--beside", default="../shared", show_default=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder with data/ and yardstick/ of real recordings; left out if there is none.")  # fmt: skip
@_site_option
def scoreboard_command(out: Path, beside: Path, site: Path | None) -> None:
    """Our rules about inactivity beside other ways, on simulated and recorded homes; takes minutes."""
    with _plainly():
        for board in make_scoreboard(_load(site), out, beside):
            click.echo(f"done: {board.name}", err=True)


@main.group()
def bench() -> None:
    """Time a part of the service on this machine."""


bench.add_command(bench_gate)
bench.add_command(bench_console)


@bench.command("engine")
@_site_option
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
    with _plainly():
        loaded = _load(site)
        measured = engine_bench.measure(loaded, [int(n) for n in sizes.split(",")], seed)
        replayed = engine_bench.replay_days(loaded, 1000, replay_days, seed) if replay_days else None
        beside = engine_bench.compare(loaded, twins, seed) if twins else None
        other = beside_prometheus(prometheus, seed) if prometheus else None
        record = engine_bench.as_record(loaded, measured, replayed, seed, beside=beside, prometheus=other)
        text = engine_bench.as_table(measured, replayed, beside, other)
        click.echo(json.dumps(record, indent=1) if json_wanted else text)
        if prometheus and other is None:
            click.echo("prometheus: not on PATH (Debian: apt-get install prometheus)", err=True)
        if beside is not None and not beside.same:
            raise click.ClickException("the plain twins and the engine do not say the same; please report this")


@bench.command("ingest")
@_site_option
@click.option("--rate", default=24_000, show_default=True, type=click.IntRange(1, 200_000), help="Messages a second.")
@click.option("--seconds", default=30, show_default=True, type=click.IntRange(1, 86_400))
@click.option("--households", default=100_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--influx-url", default="", help="Store in the database mimamori of this InfluxDB instead.")
@click.option("--whole", is_flag=True, help="The whole service: rules, ledger and console too, not its inlet alone.")
@click.option("--away", default=0, type=click.IntRange(0, 3600), help="The collector is away for the last SECONDS.")
@click.option("--kill", is_flag=True, help="With --away: and the broker is killed before it comes back.")
def bench_ingest(site: Path | None, **asked: Any) -> None:
    """QoS 1 messages of bed sensors from a real mosquitto, as shipped, to the disk."""
    load = Load(**asked)
    if load.away and load.whole:
        raise click.UsageError("--away is measured on the inlet alone; leave --whole out")
    if load.kill and not load.away:
        raise click.UsageError("--kill needs --away SECONDS: a broker that is killed forgets what it has not yet saved")
    with _plainly():
        click.echo(told(asyncio.run(measure(_load(site), load))))


bench.add_command(bench_store)
bench.add_command(bench_restart)
for group in (user, resident, device, importing, conform, rehearse_command):
    main.add_command(group)


if __name__ == "__main__":
    main()
