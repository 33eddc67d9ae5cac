"""What the engine is measured beside, in the same run: plain Python objects, and Prometheus where it is installed.

May import everything below. Both are given the same rules, or such as they can express, over as many households.
"""

from __future__ import annotations

import http.server
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimamori.garbage import rarely_collected
from mimamori.model.declared import Span
from mimamori.model.findings import FindingBatch
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, no_readings
from mimamori.model.times import MINUTE, SECOND
from mimamori.progress import progress
from mimamori.rules.engine import Engine
from mimamori.rules.kinds import ALL_JUDGED
from mimamori.site import Site
from mimamori.twin.run import Town, cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The engine and one plain Python object a household: the same rules, readings and answers.

    tick: milliseconds to judge a minute of all households, medians; reading_ns: to take a reading in; both in time on
    the processor. same: whether all
    `findings` were equal, in time, rule, household, verdict, level and beginning.
    """

    households: int
    rules: tuple[str, ...]
    minutes: int
    engine_tick: float
    twin_tick: float
    times_a_tick: float
    engine_reading_ns: float
    twin_reading_ns: float
    times_a_reading: float
    findings: int
    same: bool


def beside_twins(
    site: Site, homes: Homes, batches: Iterator[ReadingBatch], minutes: int, away: Mapping[int, Sequence[Span]]
) -> Beside:
    """Run both over so many batches of a minute each, all of whose readings arrive in its first ten seconds.

    away: absences by household (row), declared beforehand. Millions of plain objects are looked through for cycles as
    seldom as in the service, and not at all while they are made.
    """
    engine = Engine(homes, site.rules, site.metrics, site.zone)
    town = Town(site.rules, site.metrics, site.zone, homes)
    engine.declare(away)
    town.declare(away)
    watch, readings = _Watch(), 0
    mine: list[tuple[int, ...]] = []
    told: list[tuple[int, ...]] = []
    with rarely_collected(), progress("twins", minutes, "minute") as bar:
        for batch in batches:
            readings += len(batch)
            cell = -(-int(batch.got[0]) // (10 * SECOND)) * 10 * SECOND
            point = -(-cell // MINUTE) * MINUTE
            with watch.of("engine hears"):
                mine += _lines(engine.step(batch, cell + 1))
            with watch.of("engine"):
                found = engine.step(no_readings(), point + ALL_JUDGED)
            mine += _lines(found)
            for at, by_home in cells(batch, site.metrics):
                with watch.of("twins hear"):
                    for home, readings_of_home in by_home:
                        town.homes[home].hear(readings_of_home, at)
            with watch.of("twins"):
                lines = town.judge(point)
            told += [(home, *line) for home, line in lines]
            bar.update(1)
    spent = watch.spent
    ticks = {name: float(np.median(seconds)) * 1e3 for name, seconds in spent.items()}
    reading = {name: sum(seconds) / readings * 1e9 for name, seconds in spent.items()}
    return Beside(
        households=len(homes), rules=tuple(r.name for r in site.rules), minutes=len(spent["engine"]),
        engine_tick=ticks["engine"], twin_tick=ticks["twins"], times_a_tick=ticks["twins"] / ticks["engine"],
        engine_reading_ns=reading["engine hears"], twin_reading_ns=reading["twins hear"],
        times_a_reading=reading["twins hear"] / reading["engine hears"], findings=len(mine),
        same=sorted(mine) == sorted(told),
    )  # fmt: skip


def _lines(f: FindingBatch) -> list[tuple[int, ...]]:
    return list(zip(*(c.tolist() for c in (f.home, f.at, f.rule, f.verdict, f.level, f.since)), strict=True))


class _Watch:
    """Seconds of this process on the processor, by name: other programs change them little."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        begun = time.process_time()
        yield
        self.spent.setdefault(name, []).append(time.process_time() - begun)


SERIES = ("heart_rate", "respiration_rate", "temperature", "heard")
LIMITS = (
    "heart_rate > 131", "heart_rate > 120", "heart_rate < 40", "respiration_rate > 30", "respiration_rate < 8",
    "temperature < 16", "temperature < 10", "temperature < 7", "temperature > 35", "time() - heard > 1800",
    "time() - heard > 7200", "time() - heard > 93600",
)  # fmt: skip
EVERY, EVALUATIONS, PATIENCE = 15, 3, 240  # seconds, and how many are waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """Prometheus evaluating threshold and silence rules over as many households: its own figure, in ms; the median."""

    version: str
    households: int
    series: int
    rules: int
    evaluation: float
    evaluations: tuple[float, ...]


def beside_prometheus(households: int, seed: int) -> Prometheus | None:
    """None where no `prometheus` is on PATH. A real server scrapes a real exporter on loopback."""
    binary = shutil.which("prometheus")
    if binary is None:
        return None
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    version = re.search(r"version (\S+)", told.stdout + told.stderr)
    with tempfile.TemporaryDirectory() as folder, _exporter(households, seed) as exporter:
        port = _free_port()
        _configure(Path(folder), exporter)
        server = subprocess.Popen(  # noqa: S603
            [binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            seconds = _evaluations(port, households * len(SERIES))
        finally:
            server.terminate()
            server.wait()
    return Prometheus(
        version=version[1] if version else "", households=households, series=households * len(SERIES),
        rules=len(LIMITS), evaluation=float(np.median(seconds)) * 1e3, evaluations=tuple(s * 1e3 for s in seconds),
    )  # fmt: skip


@contextmanager
def _exporter(households: int, seed: int) -> Iterator[int]:
    """The port of a server that tells the same values at each scrape; nothing is out of limits."""
    rng, now = np.random.default_rng(seed), int(time.time())  # noqa: TID251 - Prometheus lives by the wall clock
    usual = {"heart_rate": (62.0, 4.0), "respiration_rate": (15.0, 1.0), "temperature": (21.0, 1.0)}
    lines = []
    for name in SERIES:
        mean, spread = usual.get(name, (float(now + 3600), 0.0))
        values = np.round(mean + spread * rng.standard_normal(households), 1)
        lines += [f'{name}{{household="h{i:06d}"}} {value}' for i, value in enumerate(values.tolist())]
    body = ("\n".join(lines) + "\n").encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


def _configure(folder: Path, exporter: int) -> None:
    rules = "".join(f"  - alert: r{i}\n    expr: {limit}\n" for i, limit in enumerate(LIMITS))
    (folder / "rules.yml").write_text(f"groups:\n- name: bench\n  rules:\n{rules}", encoding="utf-8")
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {EVERY}s, scrape_timeout: {EVERY}s, evaluation_interval: {EVERY}s}}\n"
        f"rule_files: [{folder}/rules.yml]\n"
        f"scrape_configs:\n- job_name: homes\n  static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]\n",
        encoding="utf-8",
    )


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _evaluations(port: int, series: int) -> list[float]:
    """Seconds of the first evaluations after all series were scraped."""
    found: list[float] = []
    last = -1.0
    with progress("prometheus", EVALUATIONS, "evaluation") as bar:
        for _ in range(PATIENCE):
            time.sleep(1)  # noqa: TID251 - a server that nobody else tells us about
            text = ""
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                text = answer.read().decode()
            if _figure(text, "prometheus_tsdb_head_series") < series:
                continue
            at = _figure(text, "prometheus_rule_group_last_evaluation_timestamp_seconds")
            if at > last > 0:  # the one under way when the series came is not counted
                found.append(_figure(text, "prometheus_rule_group_last_duration_seconds"))
                bar.update(1)
            last = max(at, last)
            if len(found) == EVALUATIONS:
                return found
    msg = f"prometheus did not evaluate {series} series {EVALUATIONS} times in {PATIENCE} s"
    raise RuntimeError(msg)


def _figure(text: str, name: str) -> float:
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
