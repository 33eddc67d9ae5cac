"""Everything on embedded defaults, with simulated households on a sped-up clock. One command, nothing to set up.

May import everything below. The households publish over real MQTT to a real broker; only their lives are made up.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path

import click
import uvicorn
from argon2 import PasswordHasher

from mimamori.app import serve, stop_on_signals, write_status
from mimamori.compile import compile_rules
from mimamori.model.homes import Homes
from mimamori.model.times import DAY, SECOND, to_datetime
from mimamori.notify.standin import Line, StandIn
from mimamori.progress import progress
from mimamori.rules.engine import Engine
from mimamori.sensors.broker import Broker
from mimamori.service.loop import Loop
from mimamori.settings import Settings
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome, households
from mimamori.simulator.plan import demo_events
from mimamori.simulator.publish import publish
from mimamori.site import Site
from mimamori.store.ledger import Ledger
from mimamori.store.readings import ReadingStore
from mimamori.store.records import Device, Resident, Role, Staff
from mimamori.stream.clock import Clock, wall

LEARNED_DAYS = 14
PASSWORD = "mimamori-demo"  # noqa: S105 - printed on the first line; the demo listens on this machine only
STAFF: tuple[tuple[str, str, Role], ...] = (
    ("N-01", "看護師 1", "nurse"), ("N-02", "看護師 2", "nurse"), ("N-03", "看護師 3", "nurse"),
    ("N-04", "当番 4", "on-call"), ("N-05", "当番 5", "on-call"), ("N-06", "当番 6", "on-call"),
    ("N-07", "師長", "administrator"),
)  # fmt: skip
PHONE = "+8190000000{:02d}"  # no such numbers; the demo's messages go to a stand-in on this machine
HOME_PHONE = "+8117000000{:02d}"
OURS = "+815000000000"
LIVE_BED, MANY_BED, HISTORY_BED = 10 * SECOND, 30 * SECOND, 60 * SECOND
MANY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What can be chosen on the command line."""

    households: int = 12
    speed: float = 60.0
    seed: int = 1
    port: int = 8080
    json_status: Path | None = None
    data: Path | None = None


@dataclass(frozen=True, slots=True)
class _Network:
    account: str
    token: str
    url: str


@asynccontextmanager
async def telephones(port: int) -> AsyncIterator[_Network]:
    """A telephone network on this machine: takes every message, delivers it, and in no home does anybody answer."""
    account, token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
    standin = StandIn(
        account=account, token=token, clock=lambda: format_datetime(to_datetime(wall())),
        reply_url=f"http://127.0.0.1:{port}/twilio/sms/reply", usual=Line(delay=0.2),
        lines={HOME_PHONE.format(n): Line(delay=0.5, call="no-answer") for n in range(100)},
    )  # fmt: skip
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(standin.app, log_level="warning", lifespan="off"))
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]  # the demo stops it itself
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="telephones")
    try:
        yield _Network(account, token, f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


def run_demo(site: Site, options: DemoOptions) -> None:
    """Run until Ctrl-C. Raises OSError if the port is taken."""
    click.echo(
        f"http://127.0.0.1:{options.port}  log-in: N-01  password: {PASSWORD}  "
        f"({options.households} households, {options.speed:g}x, Ctrl-C ends)"
    )
    compile_rules(site)
    _compile_lives(site, options)
    folder = options.data or Path(tempfile.mkdtemp(prefix="mimamori-demo-"))
    try:
        asyncio.run(_demo(site, options, folder))
    finally:
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _compile_lives(site: Site, options: DemoOptions) -> None:
    """As compile_rules: what the households are simulated with."""
    some = households(site.scene, count=1, seed=options.seed, bed_every=HISTORY_BED)
    for _ in simulate(some, start=wall() // DAY * DAY, end=wall() // DAY * DAY + DAY, seed=options.seed, step=DAY):
        pass


async def _demo(site: Site, options: DemoOptions, folder: Path) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    clock = Clock(speed=options.speed, start=wall() // SECOND * SECOND)
    live_bed = LIVE_BED if options.households <= MANY else MANY_BED
    homes = households(site.scene, count=options.households, seed=options.seed, bed_every=live_bed)
    past = households(site.scene, count=options.households, seed=options.seed, bed_every=HISTORY_BED)
    async with Broker() as broker, telephones(options.port) as network:
        settings = Settings(
            data=folder, broker=broker.url, port=options.port, twilio_account=network.account,
            twilio_token=network.token, twilio_from=OURS, twilio_url=network.url,
            public_url=f"http://127.0.0.1:{options.port}",
        )  # fmt: skip

        async def prepare(_: Ledger, __: Homes, engine: Engine, world: Clock, readings: ReadingStore) -> None:
            await _learn(engine, readings, past, world.now(), options.seed, stop)
            world.restart(wall() // SECOND * SECOND)
            engine.resume(world.now())

        async def beside(loop: Loop) -> None:
            async with asyncio.TaskGroup() as tasks:
                if options.json_status is not None:
                    tasks.create_task(write_status(options.json_status, loop), name="status")
                tasks.create_task(_publish(broker.url, homes, clock, options), name="devices")

        await serve(
            site, settings, clock=clock, stop=stop, prepare=prepare, with_loop=beside,
            enter=lambda ledger, registry: _register(ledger, registry, homes),
        )  # fmt: skip


async def _register(ledger: Ledger, registry: Homes, homes: tuple[SimulatedHome, ...]) -> None:
    """The households, their devices and the staff, as an administrator would have entered them."""
    hashed = PasswordHasher().hash(PASSWORD)
    for i, (staff, name, role) in enumerate(STAFF):
        await ledger.put_staff(Staff(id=staff, name=name, role=role, phone=PHONE.format(i + 1), password_hash=hashed))
    for home in homes:
        code = f"A-{home.number + 1:02d}"
        phone = HOME_PHONE.format(home.number % 100)
        await ledger.put_resident(Resident(household=home.id, code=code, area="浪岡", phone=phone))
        for device in home.devices:
            await ledger.put_device(Device(household=home.id, device=device.id, profile=device.profile))
            registry.add_device(home.id, device.id, device.profile)


async def _learn(  # noqa: PLR0917
    engine: Engine, readings: ReadingStore, homes: tuple[SimulatedHome, ...], until: int, seed: int, stop: asyncio.Event
) -> None:
    """Teach the engine two weeks of ordinary life: the same engine and store, simply before the show."""
    begin = until - LEARNED_DAYS * DAY
    with progress("learning habits", LEARNED_DAYS, "day") as bar:
        for batch in simulate(homes, start=begin, end=until, seed=seed, step=DAY):
            if stop.is_set():
                return
            if len(batch):
                await asyncio.to_thread(engine.step, batch, int(batch.got[-1]))
                if len(homes) <= MANY:  # a store of many more would keep the show waiting
                    await readings.append(batch)
                bar.update((int(batch.got[-1]) - begin) // DAY - bar.n)  # a day comes in two parts
        bar.update(LEARNED_DAYS - bar.n)


async def _publish(url: str, homes: tuple[SimulatedHome, ...], clock: Clock, options: DemoOptions) -> None:
    start = clock.now()
    events = demo_events(homes, start=start, seed=options.seed)
    chunks = simulate(homes, start=start, end=start + 365 * DAY, seed=options.seed, events=events)
    await publish(url, homes, chunks, clock=clock, speed=options.speed)
