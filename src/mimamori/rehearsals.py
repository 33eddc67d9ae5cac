"""`mimamori rehearse`, and the service's side of it: a process of its own, low in priority, that tells how far it is.

May import everything from rehearse down. One at a time: the live loop keeps at least a core.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from mimamori.model.times import DAY
from mimamori.progress import progress
from mimamori.rehearse import Asked, Found, answer, ask, needs, rehearse, rule_of
from mimamori.rules.tune import read_setting
from mimamori.settings import Settings, read_settings
from mimamori.site import Site, load_site
from mimamori.store.influxql import Server
from mimamori.store.ledger import Ledger
from mimamori.store.lend import lend
from mimamori.stream.clock import stopwatch
from mimamori.web.tuning import Job

SPAN = click.IntRange(1, 400)
KEPT = 20
_MAIN = "from mimamori.cli import main; main()"


@dataclass(slots=True)
class Rehearsals:
    """The jobs of this process. Kept in memory: what is decided by them is in the ledger."""

    site: Site
    settings: Settings
    _jobs: dict[str, Job] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def jobs(self) -> list[Job]:
        """The newest first."""
        return list(self._jobs.values())[::-1]

    def job(self, id: str) -> Job | None:  # noqa: A002 - the word of the page's address
        """One of them."""
        return self._jobs.get(id)

    def start(self, job: Job) -> None:
        """Begin. Raises ValueError while another one is under way."""
        if self._task is not None and not self._task.done():
            raise ValueError("別のリハーサルを計算中です。終わるまでお待ちください / another one is under way")
        self.remember(job)
        self._task = asyncio.create_task(self._run(job), name="rehearsal")

    def remember(self, job: Job) -> None:
        """Among the last KEPT."""
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT:
            del self._jobs[next(iter(self._jobs))]

    async def aclose(self) -> None:
        """Ends what is under way, and its process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        given = [f"{key}={value}" for key, value in job.settings.items()]
        environment = os.environ | {"MIMAMORI_LEDGER": self.settings.ledger_url}
        environment.pop("MIMAMORI_DATA", None)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _MAIN, "rehearse", job.rule, *given, "--days", str(job.days), "--data",
            str(self.settings.data), "--site", str(self.site.folder), "--lines",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment, limit=64_000_000,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        failure = asyncio.create_task(process.stderr.read())
        try:
            async for line in process.stdout:
                self._jobs[job.id] = replace(self._jobs[job.id], **json.loads(line))
            words = (await failure).decode(errors="replace").strip().rpartition("\n")[2]
            if await process.wait():
                self._jobs[job.id] = replace(self._jobs[job.id], error=words.removeprefix("Error: ") or "failed")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            failure.cancel()


async def _rehearse(site: Site, settings: Settings, rule: str, given: Mapping[str, str], days: int, *, lines: bool) -> dict[str, Any]:  # fmt: skip  # noqa: E501
    begun = stopwatch()
    known = rule_of(site, rule)
    changed = {key: read_setting(known, key, text) for key, text in given.items()}
    ledger = await Ledger.open(settings.ledger_url, recover=False)
    try:
        asked = await ask(ledger, site, rule, changed, days)
        with progress("rehearsal", 100, "%") as bar:

            def told(done: int, of: int) -> None:
                if lines:
                    click.echo(json.dumps({"done": done, "of": of}))
                bar.update(100 * done // of - bar.n)

            found = await _found(site, settings, asked, told)
        result = await answer(ledger, asked, found)
    finally:
        await ledger.close()
    return result | {"seconds": round((stopwatch() - begun) / 1e9, 1)}


async def _found(site: Site, settings: Settings, asked: Asked, told: Callable[[int, int], None]) -> Found:
    """From the embedded store, or from what InfluxDB lends of the days in question; half of the way is the lending."""
    readings = settings.data / "readings"
    if not settings.influx_url:
        return await asyncio.to_thread(rehearse, site, asked, readings, told=told)
    server = Server(
        url=settings.influx_url, bucket=settings.influx_bucket, token=settings.influx_token, org=settings.influx_org
    )
    learn = needs(rule_of(site, asked.rule))[1]
    begin = asked.until - asked.days * DAY - learn
    try:
        with TemporaryDirectory(prefix="rehearsal-", dir=settings.data) as folder:
            lent = Path(folder)
            await lend(
                server, readings, lent, (begin, asked.until), metrics=site.metrics,
                told=lambda done, of: told(done, 2 * of),
            )  # fmt: skip
            return await asyncio.to_thread(
                rehearse, site, asked, lent, told=lambda done, of: told(of + done, 2 * of)
            )  # fmt: skip
    finally:
        await server.close()


def _said(result: Mapping[str, Any]) -> str:
    truth = {name: dict(result[f"{name}_truth"]) for name in ("added", "removed")}
    r, each = result, f"{result['minutes_each']:g} each"
    basis = f"measured on {r['measured']} alerts" if r["measured"] else "assumed: too few were handled"
    told = [
        f"{r['rule']}: {r['settings']} instead of {r['before_settings'] or 'the file'}",
        f"{r['days']} days of {r['households']} households, {r['readings']:,} readings, {r['seconds']} s",
        f"alerts {r['before']} -> {r['after']} ({r['raised']} of them higher, {r['lowered']} lower)",
        f"added {r['added_count']} {truth['added']}, removed {r['removed_count']} {truth['removed']}",
        f"nurses' minutes {r['minutes']:+g} ({each}, {basis})",
    ]
    told += [f"  {name[:-2] if name == 'added' else name}: {t['household']} {t['opened']} {t['priority']} {t['truth']}"
             for name in ("added", "removed") for t in result[name][:20]]  # fmt: skip
    return "\n".join(told)


@click.command("rehearse")
@click.argument("rule")
@click.argument("settings", nargs=-1)
@click.option("--days", default=30, show_default=True, type=SPAN, help="So many days back.")
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the four content folders.")  # fmt: skip
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data"), show_default=True,
              help="The service's data folder (MIMAMORI_DATA goes before it).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.option("--lines", is_flag=True, hidden=True, help="For the service: JSON lines, at low priority.")
def rehearse_command(
    rule: str, settings: tuple[str, ...], days: int, site: Path | None, data: Path, **how: bool
) -> None:  # fmt: skip
    """What RULE would have told with other SETTINGS (such as low.high=45) on the stored readings.

    Beside a running service or without one, from the embedded store or from InfluxDB (MIMAMORI_INFLUX_URL).
    """
    lines = how["lines"]
    if lines:
        os.nice(10)
    try:
        given = dict(part.split("=", 1) for part in settings)
        found = asyncio.run(
            _rehearse(load_site(site), read_settings(os.environ, data=data), rule, given, days, lines=lines)
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"result": found} if lines else found) if lines or how["as_json"] else _said(found))
