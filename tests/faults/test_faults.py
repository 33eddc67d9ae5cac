"""Faults on purpose: nothing acknowledged is lost or doubled, and every alert raised has its notices, once.

`make faults` runs all of it, with a hundred kills; `make test` runs three kills only.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.times import HOUR, NEVER
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger

from .conftest import FAST, HOUSEHOLDS, Devices, Mosquitto, Service, pause, register, wait_for

ROUNDS = int(os.environ.get("MIMAMORI_FAULT_ROUNDS", "3"))
RATE = 300.0  # messages a second, two readings each
SECONDS = 12.0  # of load in each scenario but the kills

Tally = Counter[str]


class Stored(NamedTuple):
    """(household, ms) of every heart rate, (household, number) of every meter reading, rows too many, all rows."""

    beds: set[tuple[str, int]]
    meters: set[tuple[str, int]]
    doubled: int
    rows: int


async def stored(service: Service) -> Stored:
    """What lies in the store, once all is sealed."""
    homes, metrics = Homes(), Metrics()
    store = await EmbeddedReadings.open(service.data / "readings", homes=homes, metrics=metrics)
    await store.seal()
    beds, meters = set(), Counter[tuple[str, int]]()
    for home in range(HOUSEHOLDS):
        household = f"H{home:03}"
        for series in await store.scan(household, NEVER, 2**62, ["heart_rate"]):
            beds |= {(household, t // 1_000_000) for t in series.taken.tolist()}
        for series in await store.scan(household, NEVER, 2**62, ["energy"]):
            meters.update((household, round(v / 1000)) for v in series.value.tolist())
    await store.close()
    with sqlite3.connect(service.data / "readings" / "readings.sqlite") as connection:
        (rows,) = connection.execute("SELECT coalesce(sum(n), 0) FROM chunk").fetchone()
    doubled = rows - 2 * len(beds) - meters.total()  # a heart rate and a movement each
    return Stored(beds, set(meters), doubled + meters.total() - len(meters), rows)


async def alerts_and_notices(service: Service, tally: Tally) -> None:
    """Each alert opened once; each that has been told to people has a notice for them; nothing is left half sent."""
    ledger = await Ledger.open(f"sqlite:///{service.data / 'ledger.sqlite'}", recover=False)
    try:
        assert await ledger.verify() == []
        events = [e for e in await ledger.alert_events() if e.rule == "heart-rate"]
        opened = [e for e in events if e.kind == "opened"]
        told = {e.alert for e in events if e.kind == "escalated" and e.step == 0}
        notices = await ledger.notices(limit=10**6)
        tally["alerts raised"] += len(opened)
        tally["notices committed"] += len(notices)
        tally["notices tried twice"] += sum(n.tries > 1 for n in notices)
        assert len({e.household for e in opened}) == len(opened), "a running alert is not raised again"
        assert told <= {n.notice.alert for n in notices if n.notice.kind == "first"}
        assert not [n for n in notices if n.status == "sending"]
        assert not [n for n in notices if n.status == "sent" and n.tries == 0]
    finally:
        await ledger.close()


def settle(service: Service, devices: Devices, tally: Tally) -> None:
    """Ends the load, lets the service have what the broker still holds, stops it, and counts."""
    devices.end()
    beds, meters = devices.owed()
    lost: set[tuple[str, int]] = set()
    held = Stored(lost, lost, 0, 0)
    for _ in range(3):  # what the broker still holds is asked for by the next start; what never comes is lost
        wait_for(service.ticking, 60, service.log())
        with suppress(AssertionError):
            wait_for(lambda: service.stored() >= 2 * len(beds) + len(meters), 90)
        before = -1
        while service.stored() > before:  # redelivered ones may follow
            before = service.stored()
            pause(2)
        service.stop()
        held = asyncio.run(stored(service))
        lost = (beds - held.beds) | (meters - held.meters)
        if not lost:
            break
        service.start()
    tally["acknowledged to devices"] += len(beds) + len(meters)
    tally["of them without a stamp"] += len(meters)
    tally["readings stored"] += held.rows
    tally["lost"] += len(lost)
    tally["doubled rows"] += held.doubled
    assert not lost, f"{len(lost)} of {len(beds) + len(meters)} lost, such as {sorted(lost)[:3]}\n{service.log()}"
    assert held.doubled == 0


@pytest.fixture
def devices(broker: Mosquitto, service: Service) -> Iterator[Devices]:
    service.data.mkdir()
    asyncio.run(register(service))
    service.start()
    wait_for(service.ticking)
    wait_for((service.data / "readings" / "readings.sqlite").exists)
    devices = Devices(broker.port, RATE)
    devices.start()
    wait_for(lambda: service.waiting() > 3, 60, "the first readings")
    devices.begin_counting()
    yield devices
    devices.give_up()


@pytest.mark.server
def test_kill_9_at_random_moments_under_load(service: Service, devices: Devices, tally: Tally) -> None:
    rng = np.random.default_rng(ROUNDS)
    for _ in range(ROUNDS):
        pause(float(rng.uniform(0.3, 4.0)))  # some die while they start, some while they work
        service.kill()
        service.start()
        tally["kills"] += 1
    wait_for(service.ticking)
    pause(6)
    settle(service, devices, tally)
    asyncio.run(alerts_and_notices(service, tally))


@pytest.mark.faults
def test_the_fast_hearts_are_told_through_a_row_of_kills(service: Service, devices: Devices, tally: Tally) -> None:
    """The rule wants three minutes of four, and no life sees the end of more than one: what each leaves behind tells.

    A life ends once every rule has looked at its minute.
    """
    service.kill()
    service.needs("3m", "4m")
    service.start()
    for _ in range(5):
        wait_for(service.ticking)
        pause(60 - time.time() % 60 + 11)
        service.kill()
        service.start()
    wait_for(service.ticking)
    pause(5)
    settle(service, devices, tally)
    asyncio.run(alerts_and_notices(service, tally))
    assert tally["alerts raised"] == FAST
    assert tally["notices committed"] >= FAST


@pytest.mark.faults
@pytest.mark.parametrize("kill", [False, True], ids=["restart", "SIGKILL"])
def test_the_broker_goes_and_comes_back(
    service: Service, broker: Mosquitto, devices: Devices, tally: Tally, *, kill: bool
) -> None:
    """A killed broker has forgotten what came since its last save, two seconds at the most; a stopped one nothing."""
    pause(SECONDS / 2)
    if kill:
        before = devices.owed()
        pause(3.0)  # what is older than one save is safe
        broker.stop(kill=True)
    else:
        broker.stop()
        before = set(), set()
    broker.start()
    pause(SECONDS / 2)
    devices.end()
    if kill:  # what the broker acknowledged in its last two seconds and forgot is its own loss, not ours: counted
        pause(4)
        service.stop()
        held = asyncio.run(stored(service))
        beds, meters = devices.owed()
        tally["acknowledged to devices"] += len(beds) + len(meters)
        tally["forgotten by the killed broker"] += len(beds - held.beds) + len(meters - held.meters)
        tally["doubled rows"] += held.doubled
        assert before[0] <= held.beds
        assert before[1] <= held.meters
        assert held.doubled == 0
    else:
        settle(service, devices, tally)


@pytest.mark.faults
def test_the_service_is_away_for_ten_seconds(service: Service, devices: Devices, tally: Tally) -> None:
    pause(3)
    service.stop()
    pause(10)
    service.start()
    settle(service, devices, tally)


@pytest.mark.faults
def test_the_disk_is_full_for_a_while(service: Service, devices: Devices, tally: Tally) -> None:
    pause(3)
    assert service.process is not None
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (4096, no_limit))  # no file may grow
    pause(1)
    held = service.waiting()
    pause(SECONDS / 2)
    assert service.waiting() <= held + 1, "nothing was stored"
    assert service.process.poll() is None, service.log()
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (no_limit, no_limit))
    wait_for(lambda: service.waiting() > held + 1, 60, "stored again")
    pause(3)
    settle(service, devices, tally)


@pytest.mark.faults
@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
def test_the_clock_is_set_an_hour(service: Service, devices: Devices, tally: Tally, tmp_path: Path, step: int) -> None:
    """The service's clock alone; its devices go on telling the right time."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    assert library is not None, "install Debian's libfaketime"
    service.stop()
    offset = tmp_path / "clock"
    offset.write_text("+3600" if step < 0 else "+0")
    fake = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
    service.start(**fake)
    wait_for(service.ticking)
    pause(SECONDS / 2)
    offset.write_text("+0" if step < 0 else "+3600")
    pause(SECONDS)
    asyncio.run(no_silence(service))
    settle(service, devices, tally)


async def no_silence(service: Service) -> None:
    """An hour that nobody lived through is no reason to raise anything about a resident or a device."""
    ledger = await Ledger.open(f"sqlite:///{service.data / 'ledger.sqlite'}", recover=False)
    raised = {e.rule for e in await ledger.alert_events() if e.kind == "opened"}
    await ledger.close()
    assert raised <= {"heart-rate", "pipeline-stalled"}, "that nobody watched may be said"


@pytest.mark.faults
def test_a_slow_disk_slows_and_loses_nothing(service: Service, devices: Devices, tally: Tally) -> None:
    """Every fsync takes a third of a second longer."""
    strace = shutil.which("strace")
    assert strace, "install Debian's strace"
    service.stop()
    slow = "inject=fsync,fdatasync:delay_enter=300000"
    service.start(before=[strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", slow])
    wait_for(service.ticking, 120)
    pause(SECONDS)
    devices.end()
    service.kill()
    service.start()
    wait_for(service.ticking)
    settle(service, devices, tally)
