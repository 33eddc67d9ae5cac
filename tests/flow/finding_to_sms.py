"""How long from the finding to Twilio's acceptance, with a thousand households on the real clock. Prints JSON.

    python tests/flow/finding_to_sms.py --households 1000 --ill 60 --apart 2 --seconds 180

The whole service (broker, loop, stores, outbox) in one process, its households publishing over MQTT every ten seconds,
the stand-in Twilio in another task. Of the households some have had a fast heart for almost as long as the rule wants.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import uvicorn

from mimamori.app import serve
from mimamori.model.homes import Homes
from mimamori.model.readings import reading_batch
from mimamori.model.times import MINUTE, NEVER, SECOND
from mimamori.notify.standin import StandIn
from mimamori.rules.engine import Engine
from mimamori.sensors.broker import Broker
from mimamori.service.loop import Loop
from mimamori.settings import Settings
from mimamori.site import Site, load_site
from mimamori.store.ledger import Ledger
from mimamori.store.records import Device, Resident, Staff
from mimamori.stream.clock import Clock

ACCOUNT, TOKEN, OURS = "AC" + "0" * 32, "not-a-secret", "+815012345678"
EVERY, HOLD = 10, 5 * MINUTE


class World:
    """The households, and when the heart of each began to race (ns; NEVER: not at all)."""

    def __init__(self, site: Site, households: int, ill: int, apart: int) -> None:
        self.site, self.names = site, [f"H{i:04d}" for i in range(households)]
        self.ill, self.apart, self.since = ill, apart, [NEVER] * households
        self.up = asyncio.Event()

    async def prepare(self, ledger: Ledger, homes: Homes, engine: Engine, clock: Clock, _: object) -> None:
        for i in range(1, 7):
            await ledger.put_staff(Staff(id=f"N-{i:02d}", name="", role="nurse", phone=f"+8190000000{i:02d}"))
        for i, name in enumerate(self.names):
            await ledger.put_resident(Resident(household=name, code=f"A-{i:04d}"))
            await ledger.put_device(Device(household=name, device="bed1", profile="bed-sensor"))
            homes.add_device(name, "bed1", "bed-sensor")
        now = clock.now()
        for i in range(self.ill):
            self.since[i] = now - HOLD + 15 * SECOND + i * self.apart * SECOND
        index = self.site.metrics.index
        for at in range(now - 15 * MINUTE, now, EVERY * SECOND):
            rows = [
                (home, home, metric, value, at, at, 0)
                for home in range(len(self.names))
                for metric, value in (
                    (index("in_bed"), 1.0), (index("heart_rate"), self.heart(home, at)), (index("body_movement"), 20.0),
                )
            ]  # fmt: skip
            engine.step(reading_batch(rows), at)

    def heart(self, home: int, at: int) -> float:
        return 140.0 if self.since[home] != NEVER and at >= self.since[home] else 66.0

    async def live(self, port: int, clock: Clock) -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            while True:
                for i, name in enumerate(self.names):
                    now = clock.now()
                    values = {"in_bed": 1.0, "heart_rate": self.heart(i, now), "body_movement": 20.0}
                    payload = json.dumps({"t": now // 1_000_000, "v": values})
                    await client.publish(f"mimamori/v1/{name}/bed1/readings", payload, qos=1)
                    if i % 10 == 9:
                        await asyncio.sleep(EVERY / len(self.names) * 9)


async def measure(households: int, ill: int, apart: int, seconds: int, folder: Path) -> dict[str, Any]:
    site = load_site(None)
    world = World(site, households, ill, apart)
    standin = StandIn(account=ACCOUNT, token=TOKEN, clock=lambda: "")
    listening = socket.create_server(("127.0.0.1", 0))
    network = uvicorn.Server(uvicorn.Config(standin.app, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(network.serve(sockets=[listening]))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    clock, stop = Clock(), asyncio.Event()
    told: dict[str, Any] = {}
    async with Broker() as broker:
        settings = Settings(
            data=folder, broker=broker.url, port=port, twilio_account=ACCOUNT, twilio_token=TOKEN, twilio_from=OURS,
            twilio_url=f"http://127.0.0.1:{listening.getsockname()[1]}", public_url=f"http://127.0.0.1:{port}",
        )  # fmt: skip

        async def beside(loop: Loop) -> None:
            devices = asyncio.create_task(world.live(broker.port, clock))
            await asyncio.sleep(seconds)
            states = [s for s in await loop.ledger.notices(limit=5000) if s.notice.channel == "sms"]
            spans = []
            alerts = [a for a in loop.book.alerts() if a.rule == "heart-rate"]
            for alert in alerts:
                own = [s.sent_at for s in states if s.notice.alert == alert.id and s.sent_at != NEVER]
                bundled = [s.sent_at for s in states if s.notice.kind == "bundle" and s.sent_at >= alert.opened]
                if own or bundled:  # its first call may have gone in a bundle that bears another alert's name
                    spans.append(min(own + bundled) - alert.opened)
            times = np.array(spans) / SECOND
            told.update(
                households=households, alerts=len(alerts), told=len(spans), readings=loop.counts["readings"],
                p50_s=round(float(np.median(times)), 2), p95_s=round(float(np.percentile(times, 95)), 2),
                longest_s=round(float(times.max()), 2),
                bundles=sum(s.notice.kind == "bundle" for s in states),
            )  # fmt: skip
            devices.cancel()
            stop.set()

        await serve(site, settings, clock=clock, stop=stop, prepare=world.prepare, with_loop=beside)
    network.should_exit = True
    await serving
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--households", type=int, default=1000)
    parser.add_argument("--ill", type=int, default=60)
    parser.add_argument("--apart", type=int, default=2, help="seconds between them")
    parser.add_argument("--seconds", type=int, default=150)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="mimamori-finding-") as scratch:
        found = asyncio.run(measure(chosen.households, chosen.ill, chosen.apart, chosen.seconds, Path(scratch)))
    sys.stdout.write(json.dumps(found) + "\n")
