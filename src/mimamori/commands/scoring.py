"""What the rules would have told about recorded days, and how well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimamori.commands.options import EXISTING, FOLDER, NEW, load_content, plainly, site_option
from mimamori.judge.evaluate import A_NURSE
from mimamori.judge.grade import Wanted, grade
from mimamori.judge.scoreboard import make_scoreboard
from mimamori.replay import replay as replay_file
from mimamori.replay import write_lines
from mimamori.stream.declared import read_absences

absences_option = click.option(
    "--absences", type=EXISTING, help="Who was declared away, and when it was said (CSV: household,start,end,said)."
)


@click.command()
@click.argument("file", type=EXISTING)
@click.option("--alerts", required=True, type=NEW, help="Alert lines (JSON, one a line) are written here.")
@absences_option
@site_option
def replay(file: Path, alerts: Path, absences: Path | None, site: Path | None) -> None:
    """A reading FILE (CSV, CSV.gz or Parquet) through the same loop, as fast as it goes; no notices leave."""
    with plainly():
        loaded = load_content(site)
        result = replay_file(file, loaded, absences=read_absences(absences) if absences else ())
        with alerts.open("w", encoding="utf-8") as out:
            write_lines(result, out)
        for rejected in result.rejected[:20]:
            click.echo(f"set aside {rejected.place}: {rejected.reason}; {rejected.mend}", err=True)
        told = ", ".join(f"{rule} {n}" for rule, n in sorted(result.alerts.items())) or "none"
        click.echo(
            f"{result.readings} readings of {result.households} households, {result.set_aside} rows set aside; "
            f"alerts: {told}"
        )


@click.command()
@click.argument("file", type=EXISTING)
@click.option("--truth", required=True, type=EXISTING, help="What befell whom (CSV: household,kind,start,end).")
@click.option("--learn-days", default=14.0, show_default=True, type=click.FloatRange(0),
              help="Alerts in them are not false.")  # fmt: skip
@click.option("--nurse-households", default=A_NURSE, show_default=True, type=click.IntRange(1),
              help="How many households one nurse watches.")  # fmt: skip
@absences_option
@click.option("--curve", is_flag=True, help="Also delay against false alarms, at several budgets in the one replay.")
@click.option("--outings", is_flag=True, help="Also delay against false alarms, at several limits of an outing.")
@click.option("--report", type=NEW, help="Write a page with tables and plots (HTML), the curve among them.")
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of tables.")
@site_option
def evaluate(**options: Any) -> None:
    """Replay a reading FILE and score its alerts: sensitivity, delay, false alarms per 30 household-days, per rule."""
    with plainly():
        file, truth, site = (options.pop(name) for name in ("file", "truth", "site"))
        click.echo(grade(file, truth, load_content(site), Wanted(**options)))


@click.command()
@click.option("--out", default="docs/scoreboard.md", show_default=True, type=NEW, help="Figures are put beside it.")
@click.option("--beside", default="../shared", show_default=True, type=FOLDER,
              help="Folder with data/ and yardstick/ of real recordings; left out if there is none.")  # fmt: skip
@click.option("--only", default="", help="A part of the names of sets, such as energy; the others stay as they are.")
@site_option
def scoreboard(out: Path, beside: Path, only: str, site: Path | None) -> None:
    """Our rules about inactivity beside other ways, on simulated and recorded homes; takes minutes."""
    with plainly():
        for board in make_scoreboard(load_content(site), out, beside, only):
            click.echo(f"done: {board.name}", err=True)
