"""InfluxDB is killed under load and comes back: the spool on the local disk has all, and goes on in order."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimamori.influxd import DATABASE, Influxd
from mimamori.site import load_site
from mimamori.store.pack import LOG_ROW

from .conftest import CHECKOUT, HOUSEHOLDS, Devices, Mosquitto, Service, pause, register, wait_for

RATE = 600.0  # messages a second
KILLS = 6

Said = set[tuple[str, int]]


class Influx:
    """The real server with the shipped configuration."""

    def __init__(self, folder: Path) -> None:
        made = Influxd(load_site(CHECKOUT), folder)
        self.url, self._words = made.url, made.words
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._is_there, what="influxd")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def ask(self, statement: str) -> list[dict[str, Any]]:
        """The series that it tells, by tags; none when it cannot be asked."""
        form = urllib.parse.urlencode({"db": DATABASE, "epoch": "ms", "q": statement}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/query", data=form, timeout=30) as answer:
                told = json.load(answer)["results"]
        except OSError:
            return []
        return [series for result in told for series in result.get("series", [])]

    def count(self) -> int:
        return sum(s["values"][0][1] for s in self.ask("SELECT count(heart_rate) FROM readings"))

    def beds(self) -> Said:
        """(household, ms) of every heart rate."""
        told = self.ask("SELECT heart_rate FROM readings GROUP BY household")
        return {(s["tags"]["household"], row[0]) for s in told for row in s["values"]}

    def meters(self) -> Counter[tuple[str, int]]:
        """How often each (household, number) is there."""
        told = self.ask("SELECT energy FROM readings GROUP BY household")
        return Counter((s["tags"]["household"], round(row[1] / 1000)) for s in told for row in s["values"])

    def _is_there(self) -> bool:
        form = urllib.parse.urlencode({"q": f"CREATE DATABASE {DATABASE}"}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/query", data=form, timeout=30):
                return True
        except OSError:
            return False


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[Influx]:
    server = Influx(tmp_path / "influx")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def devices(broker: Mosquitto, service: Service, influx: Influx) -> Iterator[Devices]:
    service.data.mkdir()
    asyncio.run(register(service))
    service.start(MIMAMORI_INFLUX_URL=influx.url)
    wait_for(service.ticking)
    devices = Devices(broker.port, RATE)
    devices.start()
    wait_for(lambda: influx.count() > 0, 60, "the first readings")
    devices.begin_counting()
    yield devices
    devices.give_up()


def spooled(service: Service) -> int:
    """Readings that lie on the local disk and are not on the server yet."""
    with closing(sqlite3.connect(f"{(service.data / 'readings' / 'spool.sqlite').as_uri()}?mode=ro", uri=True)) as file:
        (size,) = file.execute("SELECT coalesce(sum(length(body)), 0) FROM log").fetchone()
    return int(size) // LOG_ROW


@pytest.mark.faults
def test_influxdb_dies_and_returns(service: Service, influx: Influx, devices: Devices, tally: Counter[str]) -> None:
    rng = np.random.default_rng(KILLS)
    seen: list[Said] = []
    for kill in range(KILLS):
        pause(float(rng.uniform(1.0, 3.0)))
        influx.kill()
        pause(float(rng.uniform(1.0, 5.0)))
        if kill == KILLS // 2:  # the service too: what waits on its disk is there for the next one
            service.kill()
            service.start(MIMAMORI_INFLUX_URL=influx.url)
            wait_for(service.ticking)
            pause(3)
        held = spooled(service)
        assert held > RATE / 2, "what comes meanwhile waits on the local disk"
        tally["waited on the local disk"] = max(tally["waited on the local disk"], held)
        influx.start()
        tally["kills of InfluxDB"] += 1
        seen += [influx.beds() for _ in range(5)]  # while it catches up
        wait_for(lambda: spooled(service) < RATE, 60, "caught up under load")
    devices.end()
    beds, meters = devices.owed()
    wait_for(lambda: influx.count() >= len(beds) and spooled(service) == 0, 60, "all of it")
    service.stop()
    count(influx, beds, meters, seen, tally)


def count(influx: Influx, beds: Said, meters: Said, seen: list[Said], tally: Counter[str]) -> None:
    there, numbers = influx.beds(), influx.meters()
    tally["acknowledged to devices"] += len(beds) + len(meters)
    tally["of them without a stamp"] += len(meters)
    tally["stored"] += len(there) + numbers.total()
    tally["lost"] += len(beds - there) + len(meters - numbers.keys())
    tally["doubled"] += numbers.total() - len(numbers)
    assert beds <= there
    assert meters <= numbers.keys()
    assert numbers.total() == len(numbers)
    for part in seen:  # of each bed a beginning without a gap, whenever one looks
        for home in range(HOUSEHOLDS):
            household = f"H{home:03}"
            early = {t for h, t in part if h == household}
            assert early == {t for h, t in there if h == household and t <= max(early, default=0)}
