"""kill -9 at any moment: what was acknowledged is there, once, and the ledger's chain is whole."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import numpy as np

from mimamori.model.alert import AlertEvent
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.notice import Notice
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import DAY, NEVER, SECOND
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger

T0 = 1_795_000_000 * SECOND // DAY * DAY
DEVICES = 40
ROUNDS = 8


def homes_of_all() -> Homes:
    homes = Homes()
    for device in range(DEVICES):
        homes.add_device(f"h{device // 2}", f"d{device}")
    return homes


def batch_of(number: int, homes: Homes) -> ReadingBatch:
    """Batch `number`: every device once, 7 minutes on, so that hours are sealed and opened again."""
    device = np.arange(DEVICES, dtype=np.int32)
    taken = np.full(DEVICES, T0 + (number * 7 + number % 5 * 600) * 60 * SECOND, np.int64)
    return ReadingBatch(
        home=np.array(homes.device_home, np.int32), device=device, metric=np.zeros(DEVICES, np.int16),
        value=number * 1.0 + device, taken=taken, got=np.full(DEVICES, T0 + number * SECOND, np.int64),
        flags=np.zeros(DEVICES, np.uint8),
    )  # fmt: skip


class Tick(TypedDict):
    """What one tick commits."""

    events: list[AlertEvent]
    notices: list[Notice]


def tick_of(number: int) -> Tick:
    alert = f"h/r/{number}"
    event = AlertEvent(alert=alert, kind="opened", at=number, by="engine", reason="", household="h", rule="r")
    notice = Notice(
        alert=alert, step=0, recipient="n", channel="sms", round=0, kind="first", priority="high", address="", text="",
        due=0, reason="",
    )  # fmt: skip
    return {"events": [event], "notices": [notice]}


async def write_for_ever(folder: Path, first: int) -> None:
    """In the child: says each number on standard output once both stores have it."""
    homes = homes_of_all()
    store = await EmbeddedReadings.open(folder / "readings", homes=homes, metrics=Metrics(), stage_at=300)
    ledger = await Ledger.open(f"sqlite:///{folder}/ledger.sqlite")
    number = first
    while True:
        await store.append(batch_of(number, homes))
        await ledger.commit(**tick_of(number), now=number)
        os.write(1, f"{number}\n".encode())
        number += 1


def killed_after(folder: Path, first: int, acknowledged: int) -> int:
    """Runs the child until it has said so many numbers, kills it; the last number said. Work goes on while it dies."""
    child = subprocess.Popen([sys.executable, __file__, str(folder), str(first)], stdout=subprocess.PIPE, text=True)
    last = first - 1
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            last = int(line)
            if last - first + 1 == acknowledged:
                child.send_signal(signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    return last


async def test_nothing_acknowledged_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    rng = np.random.default_rng(20261123)
    last = -1
    for _ in range(ROUNDS):
        last = killed_after(tmp_path, last + 1, int(rng.integers(1, 90)))
        homes = homes_of_all()
        store = await EmbeddedReadings.open(tmp_path / "readings", homes=homes, metrics=Metrics(), stage_at=300)
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
        stored = {
            int(b.got[i] - T0) // SECOND
            for b in [b async for b in store.scan_all(NEVER, 2**63 - 1)]
            for i in range(len(b))
        }
        # at most one more than was acknowledged: the batch that was on its way
        assert stored in (set(range(last + 1)), set(range(last + 2)))
        last = max(stored)
        for household in homes.ids:
            for series in await store.scan(household, NEVER, 2**63 - 1):
                device = int(series.device[1:])
                wanted = sorted((int(batch_of(n, homes).taken[0]), n * 1.0 + device) for n in range(last + 1))
                assert list(zip(series.taken.tolist(), series.value.tolist(), strict=True)) == wanted
        events = [e.at for e in await ledger.alert_events()]
        assert events[: last + 1] == list(range(len(events)))
        assert len(events) in {last, last + 1}
        assert len(await ledger.due_notices(2**62, limit=10_000)) == len(events)
        assert await ledger.verify() == []
        if len(events) == last:  # the reading came through and its event did not: the child goes on behind the event
            await ledger.commit(**tick_of(last), now=last)
        await store.close()
        await ledger.close()


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
