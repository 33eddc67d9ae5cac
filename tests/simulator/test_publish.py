"""Publishing to a real mosquitto: all readings arrive, with births and wills; cancelling is quick and clean."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from click.testing import CliRunner
from paho.mqtt.subscribeoptions import SubscribeOptions

from mimamori.cli import main
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import HOUR, MINUTE, SECOND, parse_instant
from mimamori.sensors.conformance import examine
from mimamori.sensors.heard import Heard
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome, households
from mimamori.simulator.publish import publish
from mimamori.simulator.scene import Scene
from mimamori.site import load_site

pytestmark = pytest.mark.server
METRICS = Metrics()
START = parse_instant("2026-11-16T18:00:00+09:00")


class FastClock:
    """Time that jumps to whatever is waited for."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> int:
        return self.at

    async def sleep_until(self, at: int) -> None:
        self.at = max(self.at, at)
        await asyncio.sleep(0)


class StoppedClock(FastClock):
    """Time that passes `until` for nobody."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.until = until
        self.reached = asyncio.Event()

    async def sleep_until(self, at: int) -> None:
        if at > self.until:
            self.reached.set()
            await asyncio.Event().wait()
        await super().sleep_until(at)


class Broker:
    """mosquitto on a port of its own, started and stopped."""

    def __init__(self, folder: Path, *, users: str = "") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        lines = [f"listener {self.port} 127.0.0.1", "max_queued_messages 0", "max_inflight_messages 0"]
        lines.append(f"password_file {users}\nallow_anonymous false" if users else "allow_anonymous true")
        self.config = folder / f"mosquitto-{self.port}.conf"
        self.config.write_text("\n".join([*lines, "user root", ""]), encoding="utf-8")
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = await asyncio.create_subprocess_exec(
            program, "-c", str(self.config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(5):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    made = Broker(tmp_path)
    await made.start()
    yield made
    await made.stop()


class Listener:
    """Everything that comes under a topic filter, until a condition holds."""

    def __init__(self, broker: Broker, topics: str) -> None:
        self.broker, self.topics = broker, topics
        self.got: list[tuple[str, bytes, bool]] = []
        self.ready = asyncio.Event()

    async def run(self, enough: Callable[[list[Any]], bool]) -> None:
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
            await client.subscribe(self.topics, qos=1)
            self.ready.set()
            if enough(self.got):
                return
            async for message in client.messages:
                self.got.append((message.topic.value, bytes(message.payload), message.retain))
                if enough(self.got):
                    return


def readings_in(messages: list[tuple[str, bytes, bool]]) -> int:
    """How many readings: the payloads' names but for t, seq and v."""
    return sum(payload.count(b":") - 3 for _, payload, _ in messages)


async def retained(broker: Broker, count: int) -> dict[str, bytes]:
    """The retained statuses of all devices, once there are `count`."""
    listener = Listener(broker, "mimamori/v1/+/+/status")
    async with asyncio.timeout(5):
        await listener.run(lambda got: len(got) >= count)
    return {topic: payload for topic, payload, _ in listener.got}


def batches(homes: tuple[SimulatedHome, ...], span: int) -> list[ReadingBatch]:
    return list(simulate(homes, start=START, end=START + span, seed=5, step=10 * MINUTE))


@pytest.fixture
def homes(scene: Scene) -> tuple[SimulatedHome, ...]:
    return households(scene, count=3, seed=1)


@pytest.mark.parametrize("connections", [256, 2])
async def test_every_reading_arrives_once_in_order(
    broker: Broker, homes: tuple[SimulatedHome, ...], connections: int
) -> None:
    chunks = batches(homes, HOUR)
    batch = concat(chunks)
    listener = Listener(broker, "mimamori/v1/+/+/readings")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run(lambda got: readings_in(got) >= len(batch)))
        await listener.ready.wait()
        sent = await publish(broker.url, homes, chunks, clock=FastClock(), speed=60, connections=connections)
    assert sent == len(listener.got)
    rows, seqs = [], defaultdict(list)
    for topic, payload, _ in listener.got:
        _, _, home, device, _ = topic.split("/")
        told = json.loads(payload)
        seqs[home, device].append(told["seq"])
        rows += [(home, device, m, told["t"] * 1_000_000, float(v)) for m, v in told["v"].items()]
    devices = [(h.id, d.id) for h in homes for d in h.devices]
    expected = [
        (*devices[d], METRICS[m].name, int(t), float(v))
        for d, m, t, v in zip(batch.device, batch.metric, batch.taken, batch.value, strict=True)
    ]
    assert sorted(rows) == sorted(expected)
    assert all(numbers == list(range(len(numbers))) for numbers in seqs.values())


async def test_the_collectors_registry_knows_every_device(homes: tuple[SimulatedHome, ...]) -> None:
    registry = Homes()
    rows = [registry.add_device(home.id, d.id, d.profile) for home in homes for d in home.devices]
    assert rows == list(range(len(rows)))  # the batches' device numbers are those of a fresh registry
    profiles = {path.stem for path in (Path(__file__).parents[2] / "sensors").glob("*.toml")}
    assert {d.profile for home in homes for d in home.devices} <= profiles


async def test_births_are_retained_and_so_is_the_farewell(broker: Broker, homes: tuple[SimulatedHome, ...]) -> None:
    clock = StoppedClock(START + 10 * MINUTE)
    task = asyncio.create_task(publish(broker.url, homes, batches(homes, HOUR), clock=clock, speed=60))
    count = sum(len(home.devices) for home in homes)
    async with asyncio.timeout(10):
        await clock.reached.wait()
        alive = await retained(broker, count)
    assert set(alive.values()) == {b"online"}
    assert "mimamori/v1/home-001/gateway/status" in alive
    task.cancel()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert loop.time() - begun < 1
    assert set((await retained(broker, count)).values()) == {b"offline"}


async def test_a_reading_is_never_published_before_its_time(broker: Broker, homes: tuple[SimulatedHome, ...]) -> None:
    clock = StoppedClock(START + 10 * MINUTE)
    enough = sum(int((b.taken < START + 9 * MINUTE).sum()) for b in batches(homes, HOUR))
    listener = Listener(broker, "mimamori/v1/+/+/readings")
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listener.run(lambda got: readings_in(got) >= enough))
        await listener.ready.wait()
        publishing = tasks.create_task(publish(broker.url, homes, batches(homes, HOUR), clock=clock, speed=60))
        await clock.reached.wait()
        await listening
        publishing.cancel()
    latest = max(json.loads(p)["t"] * 1_000_000 for _, p, _ in listener.got)
    assert START + 9 * MINUTE - 30 * SECOND < latest <= START + 10 * MINUTE


async def test_a_broker_that_comes_back_gets_what_it_missed(tmp_path: Path, homes: tuple[SimulatedHome, ...]) -> None:
    broker = Broker(tmp_path)
    batch = concat(batches(homes[:1], HOUR))
    messages = len(set(zip(batch.device.tolist(), batch.taken.tolist(), strict=True)))
    clock = StoppedClock(START + 2 * HOUR)
    async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(publish(broker.url, homes[:1], [batch], clock=clock, speed=60))
        while clock.now() < START + 50 * MINUTE:  # encoded, and waiting for a broker that is not there yet
            await clock.sleep_until(clock.now())
        assert not publishing.done()
        await broker.start()
        assert await publishing == messages
    await broker.stop()


def locked(tmp_path: Path) -> Broker:
    """A broker that lets in `dev` with the password `secret` only."""
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "dev", "secret"], check=True)
    return Broker(tmp_path, users=str(users))


async def test_a_broker_that_refuses_the_log_in_is_told_once(
    tmp_path: Path, homes: tuple[SimulatedHome, ...], caplog: pytest.LogCaptureFixture
) -> None:
    broker = locked(tmp_path)
    await broker.start()
    clock = StoppedClock(START + MINUTE)
    task = asyncio.create_task(
        publish(broker.url, homes, batches(homes, HOUR), clock=clock, speed=60, username="dev", password="wrong")
    )

    def told() -> list[str]:  # by us; the libraries have logs of their own
        return [r.getMessage() for r in caplog.records if r.name.startswith("mimamori.")]

    async with asyncio.timeout(10):
        while not told():  # noqa: ASYNC110 - a record of a log, which tells nobody
            await asyncio.sleep(0.01)
        await clock.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await broker.stop()
    assert len(told()) == 1
    assert "ot authori" in told()[0]


MINUTES = 20  # of simulated time that are heard before the simulator is killed
HOMES = ["--households", "6", "--days", "1", "--seed", "2"]


def taken(payload: bytes) -> int:
    return int(json.loads(payload)["t"]) * 1_000_000


class Witness:
    """All that is published, as it was (MQTT 5): until every gateway has spoken for long enough, and is dead."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.heard = process, list[Heard]()
        self.beats: Counter[str] = Counter()
        self.alive: dict[str, bytes] = {}
        self.now = parse_instant("2026-01-01T00:00:00+09:00")  # where the command begins

    def take(self, message: aiomqtt.Message) -> None:
        topic, payload = message.topic.value, bytes(message.payload)
        if topic.endswith("/readings"):
            self.now = max(self.now, taken(payload))
            self.beats[topic] += 1
        elif topic.endswith("gateway/status"):
            self.alive[topic] = payload
        got = taken(payload) if topic.endswith("/readings") else self.now
        self.heard.append(Heard(topic=topic, payload=payload, got=got, qos=message.qos, retained=message.retain))

    def enough(self) -> bool:
        gateways = [n for topic, n in self.beats.items() if topic.endswith("gateway/readings")]
        return len(gateways) == 6 and min(gateways) >= MINUTES

    def dead(self) -> bool:
        return self.process.returncode is not None and set(self.alive.values()) == {b"offline"}


async def witnessed(broker: Broker, folder: Path) -> Witness:
    """The command itself, with a log-in and a truth, killed in mid-air, and what a subscriber saw of it."""
    words = ["-m", "mimamori.cli", "simulate", "--broker", broker.url, *HOMES, "--truth", str(folder / "truth.csv")]
    env = {**os.environ, "MIMAMORI_BROKER_USER": "dev", "MIMAMORI_BROKER_PASSWORD": "secret"}
    version = aiomqtt.ProtocolVersion.V5
    async with (
        asyncio.timeout(60),
        aiomqtt.Client("127.0.0.1", broker.port, username="dev", password="secret", protocol=version) as client,
    ):
        await client.subscribe("#", options=SubscribeOptions(qos=2, retainAsPublished=True))
        process = await asyncio.create_subprocess_exec(sys.executable, *words, "--speed", "600", env=env)
        witness = Witness(process)
        async for message in client.messages:
            witness.take(message)
            if process.returncode is None and witness.enough():
                process.kill()
                await process.wait()
            if witness.dead():
                return witness
    raise AssertionError


async def test_devices_speak_as_their_profiles_say_and_die_by_their_wills(tmp_path: Path) -> None:
    """Every device against its own profile by the kit for vendors; the truth is that of a file of the same seed."""
    broker = locked(tmp_path)
    await broker.start()
    witness = await witnessed(broker, tmp_path)
    await broker.stop()
    site = load_site()
    profiles = {p.name: p for p in site.profiles}
    devices = {(h.id, d.id): d.profile for h in households(site.scene, count=6, seed=2) for d in h.devices}
    heard: dict[tuple[str, str], list[Heard]] = defaultdict(list)
    for message in witness.heard:
        root, version, home, device, _ = message.topic.split("/")
        assert (root, version) == ("mimamori", "v1")
        heard[home, device].append(message)
    assert set(heard) == set(devices)
    for key, messages in heard.items():
        reports, strays = examine(messages, None, profiles[devices[key]], site.metrics)
        found = {f.check: f for f in reports[0].findings}
        assert not strays
        assert not [f for f in reports[0].findings if f.verdict == "fail"]
        for check in ("payload", "birth", "size", "quality of service", "retained readings", "duplicates", "sequence"):
            assert found[check].verdict == "pass" or found[check].seen in {"no seq", "no reading came"}, found[check]
        if devices[key] in {"gateway", "power-meter"}:  # the others also speak when something happens
            assert found["cadence"].verdict == "pass", (key, found["cadence"])
        assert found["death"].verdict == ("pass" if key[1] == "gateway" else "unseen")  # one will a connection
        told = {name for m in messages if m.topic.endswith("/readings") for name in json.loads(m.payload)["v"]}
        assert told <= {*profiles[devices[key]].metrics, "heartbeat"}
    firsts = [taken(m.payload) % MINUTE for k, told in heard.items() if k[1] == "gateway" for m in told[1:2]]
    assert len(set(firsts)) == 6  # no two homes beat in step
    same = tmp_path / "same.csv"
    written = ["simulate", *HOMES, "--truth", str(same), "--out", str(tmp_path / "same.parquet")]
    assert CliRunner().invoke(main, written).exit_code == 0
    assert (tmp_path / "truth.csv").read_text(encoding="utf-8") == same.read_text(encoding="utf-8")
    assert same.read_text(encoding="utf-8").count("\n") > 1


async def test_cancelling_without_a_broker_is_quick(homes: tuple[SimulatedHome, ...], tmp_path: Path) -> None:
    clock = StoppedClock(START + MINUTE)
    url = Broker(tmp_path).url
    task = asyncio.create_task(publish(url, homes, batches(homes, HOUR), clock=clock, speed=60))
    async with asyncio.timeout(10):
        await clock.reached.wait()
    task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("url", "named"),
    [("http://127.0.0.1:1883", "http://127.0.0.1:1883"), ("127.0.0.1:1883", "127.0.0.1:1883"), ("mqtt://", "mqtt://"),
     ("http://dev:secret@host", "host")],
)  # fmt: skip
async def test_a_wrong_url_is_refused_with_the_mend(homes: tuple[SimulatedHome, ...], url: str, named: str) -> None:
    with pytest.raises(ValueError, match=f'^"{named}" is no broker; write mqtt://HOST:PORT'):
        await publish(url, homes, [], clock=FastClock(), speed=1)


class TurnByTurn:
    """A broker of one connection in the same event loop, which calls `then` so many turns after the first PUBACK."""

    def __init__(self, turns: int, then: Callable[[], object]) -> None:
        self.turns, self.then, self.ended = turns, then, asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                if kind >> 4 == 1:  # CONNECT
                    writer.write(b"\x20\x02\0\0")
                elif kind >> 4 == 3 and kind & 6:  # PUBLISH, QoS 1
                    topic = int.from_bytes(body[:2], "big")
                    writer.write(b"\x40\x02" + body[2 + topic : 4 + topic])
                    await self.count_down()
        except asyncio.IncompleteReadError:
            writer.close()
            self.ended.set()

    async def count_down(self) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        self.turns = 0
        self.then()


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancellation_is_not_lost_in_the_turn_of_an_acknowledgement(scene: Scene, turns: int) -> None:
    homes = households(scene, count=1, seed=3, bed_every=MINUTE)
    broker = TurnByTurn(turns, lambda: publishing.cancel())  # noqa: PLW0108 - it is not there yet
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    async with server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        waits = StoppedClock(START - MINUTE)
        publishing = asyncio.create_task(publish(url, homes, batches(homes, HOUR), clock=waits, speed=1))
        done, _ = await asyncio.wait([publishing], timeout=5)
        assert done
        await broker.ended.wait()
