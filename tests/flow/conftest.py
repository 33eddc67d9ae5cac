"""The whole service, really running: broker, loop, stores, console and API; and a device that speaks MQTT to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest

from mimamori.app import serve
from mimamori.model.homes import Homes
from mimamori.model.times import MINUTE, SECOND, parse_instant
from mimamori.rules.engine import Engine
from mimamori.sensors.broker import Broker
from mimamori.settings import Settings
from mimamori.site import Site, load_site
from mimamori.store.ledger import Ledger
from mimamori.store.records import Device, Resident, Role, Staff
from mimamori.stream.clock import Clock
from mimamori.web.sign_in import hash_password

CHECKOUT = Path(__file__).parents[2]
START = parse_instant("2026-11-24T10:00:00+09:00")  # a working day: the day shift has nurses on call
SPEED = 120.0
PASSWORD = "asagao-2026"
HASH = hash_password(PASSWORD)
STAFF: tuple[tuple[str, Role], ...] = (
    ("N-01", "nurse"), ("N-02", "nurse"), ("N-03", "nurse"), ("N-04", "on-call"), ("N-05", "on-call"),
    ("N-06", "on-call"), ("AD-1", "administrator"),
)  # fmt: skip
BED = "mimamori/v1/H001/bed1/readings"


async def until(true: Callable[[], Awaitable[Any]], within: float = 20.0) -> Any:
    """What the condition gives once it is true of it; fails the test after `within` wall seconds."""
    async with asyncio.timeout(within):
        while not (found := await true()):  # noqa: ASYNC110 - the condition lies behind HTTP or in another process
            await asyncio.sleep(0.05)
    return found


@pytest.fixture(name="until")
def _until() -> object:
    return until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def site() -> Site:
    return load_site(CHECKOUT)


async def registered(ledger: Ledger, homes: Homes | None = None, home_phone: str = "") -> None:
    """One household with a bed sensor, and the staff."""
    for number, (staff, role) in enumerate(STAFF, 1):
        phone = f"+8190000000{number:02d}"
        await ledger.put_staff(Staff(id=staff, name=f"職員 {number}", role=role, phone=phone, password_hash=HASH))
    await ledger.put_resident(Resident(household="H001", code="A-01", area="浪岡", room="101", phone=home_phone))
    await ledger.put_device(Device(household="H001", device="bed1", profile="bed-sensor"))
    if homes is not None:
        homes.add_device("H001", "bed1", "bed-sensor")


@pytest.fixture
def register() -> Callable[[Ledger], Awaitable[None]]:
    return registered


class Api:
    """A person's program at the HTTP API."""

    def __init__(self, port: int, staff: str = "AD-1") -> None:
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", auth=(staff, PASSWORD), timeout=10)

    async def get(self, what: str, **query: Any) -> Any:
        answer = await self.client.get(f"/{what}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def act(self, alert: str, action: str, **doing: Any) -> httpx.Response:
        return await self.client.post(f"/alerts/{alert}/{action}", json=doing)

    async def up(self) -> bool:
        """Whether the service answers, its loop ticks and it has its broker."""
        try:
            status = await self.get("status")
        except httpx.TransportError:
            return False
        lights = {light["name"]: light["ok"] for light in status["lights"]}
        return bool(status["counts"].get("ticks")) and lights.get("broker", False)

    async def count(self, name: str) -> int:
        return int((await self.get("status"))["counts"].get(name, 0))


@pytest.fixture
async def api_at() -> AsyncIterator[Callable[..., Api]]:
    made: list[Api] = []

    def make(port: int, staff: str = "AD-1") -> Api:
        made.append(Api(port, staff))
        return made[-1]

    yield make
    for api in made:
        await api.client.aclose()


@dataclass
class Service:
    """One running service, the way to stop it, and the world it lives in."""

    clock: Clock
    stop: asyncio.Event
    task: asyncio.Task[None]
    api: Api
    port: int
    device: Bed

    async def end(self) -> float:
        """Stop it in order. Wall seconds it took; raises what the service raised."""
        began = asyncio.get_running_loop().time()
        self.stop.set()
        await asyncio.wait_for(self.task, 10)
        return asyncio.get_running_loop().time() - began

    async def passes(self, span: int) -> None:
        """Returns when the service's own clock has gone on by `span` ns and it still ticks."""
        end, ticks = self.clock.now() + span, await self.api.count("ticks")
        await self.clock.sleep_until(end)
        await until(lambda: _more(self.api, ticks))


async def _more(api: Api, ticks: int) -> bool:
    return await api.count("ticks") > ticks


@dataclass
class Bed:
    """The bed sensor of H001, with a connection of its own."""

    client: aiomqtt.Client
    clock: Clock

    async def tell(self, values: Mapping[str, float]) -> None:
        payload = json.dumps({"t": self.clock.now() // 1_000_000, "v": values})
        await self.client.publish(BED, payload, qos=1)

    async def tells(self, values: Mapping[str, float], span: int) -> None:
        """The same every ten seconds of service time, for `span` ns."""
        begun = self.clock.now()
        for at in range(begun, begun + span, 10 * SECOND):
            await self.clock.sleep_until(at)
            await self.tell(values)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with Broker() as broker:
        yield broker


Start = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def service(tmp_path: Path, site: Site, broker: Broker, api_at: Callable[..., Api]) -> Start:
    """The service on the test's data folder, for `async with`; stopped at the end."""
    known = asyncio.Event()

    @asynccontextmanager
    async def started(
        *, start: int = START, phone: str = "", port: int = 0, speed: float = SPEED, leap: int = 0, **more: Any
    ) -> AsyncIterator[Service]:
        """leap: ns by which the clock is set forward between the catching up and the first tick."""

        async def prepare(ledger: Ledger, homes: Homes, engine: Engine, clock: Clock, _: object) -> None:
            await registered(ledger, homes, phone)
            clock.restart(clock.now() + leap)
            known.set()

        port, stop, clock = port or free_port(), asyncio.Event(), Clock(speed=speed, start=start)
        settings = Settings(data=tmp_path / "data", broker=broker.url, port=port, **more)
        task = asyncio.create_task(serve(site, settings, clock=clock, stop=stop, prepare=prepare))
        api = api_at(port)
        try:
            await until(lambda: _up(task, known, api))
            async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                yield Service(
                    clock=clock, stop=stop, task=task, api=api, port=port, device=Bed(client=client, clock=clock)
                )
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)

    return started


async def _up(task: asyncio.Task[None], known: asyncio.Event, api: Api) -> bool:
    if task.done():
        task.result()
    return known.is_set() and await api.up()  # asking before the staff is known would count as guessing passwords


FAST = {"in_bed": 1.0, "heart_rate": 140.0, "body_movement": 20.0}
"""Somebody in bed whose heart is far too fast."""


@pytest.fixture
def alarmed() -> Callable[[Service], Awaitable[dict[str, Any]]]:
    async def raise_one(running: Service) -> dict[str, Any]:
        """Nine minutes of a fast heart; the alert it ends in."""

        async def told() -> list[dict[str, Any]]:
            return [a for a in await running.api.get("alerts") if a["rule"] == "heart-rate"]

        await running.device.tells(FAST, 9 * MINUTE)
        return (await until(told))[0]

    return raise_one
