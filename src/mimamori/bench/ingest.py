"""`mimamori bench ingest`: messages a second from a real mosquitto to the disk, and what they cost.

May import everything from app down. Either the service's inlet alone (take, decode, append, acknowledge), or the whole
service with its rules, ledger and console, in this process; the broker and the load are processes of their own, and
their processor time is told apart.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mimamori.app import serve
from mimamori.bench.metered import Metered, instants
from mimamori.compile import compile_rules
from mimamori.influxd import Influxd
from mimamori.model.homes import Homes
from mimamori.model.times import EPOCH_HIGH, SECOND
from mimamori.mosquitto import Mosquitto, free_port
from mimamori.rules.engine import Engine
from mimamori.sensors.collector import Collector
from mimamori.sensors.decode import Decoder
from mimamori.service.loop import Loop
from mimamori.settings import Settings
from mimamori.site import Site
from mimamori.store.embedded import FILE, EmbeddedReadings
from mimamori.store.influx import InfluxReadings
from mimamori.store.influxql import Server
from mimamori.store.ledger import Ledger
from mimamori.store.readings import ReadingStore
from mimamori.stream.clock import Clock, stopwatch

WAIT_S = 0.05  # as the loop waits
DRAIN_S = 60.0  # without a message, after the load has ended, until what is missing is called left over
SAVED_S = (
    5.0  # after which a killed broker has saved what it had acknowledged: two saves, one of which may take a while
)
CLIENT = "mimamori-collector"
METRICS = 4  # readings a message of the load


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of it. away: seconds the collector is gone, up to the load's end; kill: and the broker dies then.

    whole: the whole service; else its inlet alone. start: so many of the seconds are told apart, in which every device
    is heard for the first time. influx: into an InfluxDB started for it; influx_url: into that one.
    """

    rate: int
    seconds: int
    households: int
    influx: bool = False
    influx_url: str = ""
    whole: bool = False
    start: int = 0
    away: int = 0
    kill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """What was measured. cores: processor seconds a second of load. *_ms: stamp at the device to return from the disk.

    start_*: of the first seconds, if they are told apart; a_second, p50_ms, p99_ms and cores are then of the rest.
    p99_by_10s: of each ten seconds in which something came, the start's among them.
    acknowledged: messages the broker has acknowledged to the devices. left_over: of them not stored in the end, though
    `drained_s` was waited after the load had ended. redelivered: of them stored twice, until they are sealed. waiting:
    readings durable, but not in their final place when all were stored. sent_on_s: then until InfluxDB had them.
    influx_*: of the InfluxDB started for it.
    memory_mb, by_minute: resident size of this process at the end, and each minute. ticks: of the whole service.
    """

    messages: int
    seconds: float
    acknowledged: int
    a_second: float
    p50_ms: float
    p99_ms: float
    start_s: int = 0
    start_p50_ms: float = float("nan")
    start_p99_ms: float = float("nan")
    start_cores: float = float("nan")
    p99_by_10s: list[float] = field(default_factory=list)
    service_cores: float
    broker_cores: float
    load_cores: float
    left_over: int
    redelivered: int
    drained_s: float
    waiting: int
    sent_on_s: float
    memory_mb: float
    by_minute: list[float] = field(default_factory=list)
    broker_memory_mb: float
    influx_cores: float = 0.0
    influx_memory_mb: float = 0.0
    ticks: int = 0


async def measure(site: Site, load: Load, folder: Path | None = None) -> Ingest:
    """The figures of one run. Raises OSError if mosquitto is not installed or a port cannot be had."""
    with tempfile.TemporaryDirectory(prefix="mimamori-ingest-", dir=folder) as name:
        broker = Mosquitto(site, Path(name))
        influx = Influxd(site, Path(name) / "influx") if load.influx else None
        try:
            await broker.start()
            if influx is not None:
                await influx.start()
                load = replace(load, influx_url=influx.url)
            run = _whole if load.whole else _inlet
            figures = await run(site, load, Path(name), broker)
            if influx is None:
                return figures
            cores = round(influx.cpu() / (figures.seconds + figures.drained_s + figures.sent_on_s), 3)
            return replace(figures, influx_cores=cores, influx_memory_mb=influx.peak_mb())
        finally:
            await broker.stop()
            if influx is not None:
                await influx.stop()


async def _inlet(site: Site, load: Load, folder: Path, broker: Mosquitto) -> Ingest:
    homes, clock = Homes(), Clock()
    _register(homes, load)
    store = await _open(site, load, folder / "readings", homes)
    metered = Metered(store, clock.now)
    decoder = Decoder(homes, site.metrics, site.profiles)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        inlet = _Inlet(metered, decoder, broker.url, clock)
        await inlet.come()
        stack.push_async_callback(inlet.go)
        return await _drive(load, broker, metered, inlet, folder)


class _Inlet:
    """The collector and what the loop does with its messages; it can go and come again."""

    def __init__(self, store: Metered, decoder: Decoder, url: str, clock: Clock) -> None:
        self._store, self._decoder, self._url, self._clock = store, decoder, url, clock
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def come(self) -> None:
        """Returns when connected; takes in until `go`. Raises OSError if the broker does not answer."""
        self._stop.clear()
        connected = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._take_in(connected))
        if not await connected:
            raise OSError("mosquitto did not answer within 30 s")

    async def go(self) -> None:
        """As a service that is stopped."""
        self._stop.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _take_in(self, connected: asyncio.Future[bool]) -> None:
        async with Collector(url=self._url, client_id=CLIENT, clock=self._clock.now) as collector:
            connected.set_result(await collector.wait_connected(30))
            while not self._stop.is_set():
                await collector.wait(WAIT_S)
                delivery = collector.take()
                if len(delivery):
                    told = self._decoder.decode(delivery.messages, self._clock.now())
                    await self._store.append(told.batch, told.marks)
                    collector.done(delivery)


async def _whole(site: Site, load: Load, folder: Path, broker: Mosquitto) -> Ingest:
    compile_rules(site)
    settings = Settings(data=folder, broker=broker.url, port=free_port(), influx_url=load.influx_url)
    stop, clock, found = asyncio.Event(), Clock(), list[Ingest]()

    async def prepare(_ledger: Ledger, homes: Homes, _engine: Engine, _clock: Clock, _: object) -> None:
        _register(homes, load)

    async def with_loop(loop: Loop) -> None:
        metered = Metered(loop.readings, clock.now)
        loop.inlet.readings = metered
        try:
            if not await loop.collector.wait_connected(30):
                raise OSError("mosquitto did not answer within 30 s")
            while not loop.counts["ticks"]:  # noqa: ASYNC110 - the loop tells nobody when it ticks
                await asyncio.sleep(WAIT_S)
            ticks = loop.counts["ticks"]
            figures = await _drive(load, broker, metered, None, folder)
            found.append(replace(figures, ticks=loop.counts["ticks"] - ticks))
        finally:
            stop.set()

    await serve(site, settings, clock=clock, stop=stop, prepare=prepare, with_loop=with_loop)
    return found[0]


async def _drive(load: Load, broker: Mosquitto, store: Metered, inlet: _Inlet | None, folder: Path) -> Ingest:
    """The load, the outage asked for, and the count. Works beside whatever takes the messages in."""
    begin, others = _Used.until_now(broker), _cpu(resource.RUSAGE_CHILDREN)
    steady, minutes = begin, list[float]()
    watching = asyncio.create_task(_watch(minutes))
    words = (broker.port, load.rate, load.seconds, load.households)
    if load.start:
        store.steady = EPOCH_HIGH  # all is the start until that is over
    blast = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mimamori.simulator.blast", *map(str, words), stdout=asyncio.subprocess.PIPE
    )
    try:
        if load.start:
            async with asyncio.timeout(DRAIN_S):
                await store.came.wait()
            await asyncio.sleep(load.start)
            steady, store.steady = _Used.until_now(broker), store.now()
        if inlet is not None and load.away:
            await asyncio.sleep(max(0, load.seconds - load.away))
            await inlet.go()
        sent = json.loads((await blast.communicate())[0])
        ended, loads = stopwatch(), _cpu(resource.RUSAGE_CHILDREN) - others
        if inlet is not None and load.away:
            if load.kill:
                await asyncio.sleep(SAVED_S)
                await broker.stop(kill=True)
                await broker.start()
            await inlet.come()
        drained = await _drained(store, METRICS * sent["acknowledged"])
        used = _Used.until_now(broker)
        memory, waiting, drained_at = _memory(), store.counts.waiting, stopwatch()
        if isinstance(store.inner, InfluxReadings):
            await store.inner.flush()
        sent_on = (stopwatch() - drained_at) / SECOND
    finally:
        watching.cancel()
    stored, redelivered = await _stored(load, folder)
    took, all_took = (ended - steady.at) / SECOND, (ended - begin.at) / SECOND
    at_first = steady.service + steady.broker - begin.service - begin.broker
    return Ingest(
        messages=load.rate * load.seconds, seconds=round(took, 1), acknowledged=sent["acknowledged"],
        a_second=round(sent["sent"] / sent["seconds"]), p50_ms=store.late_ms(0.5), p99_ms=store.late_ms(0.99),
        start_s=load.start, start_p50_ms=store.late_ms(0.5, start=True), start_p99_ms=store.late_ms(0.99, start=True),
        start_cores=round(at_first / load.start, 3) if load.start else float("nan"), p99_by_10s=store.by_span,
        service_cores=round((used.service - steady.service) / took, 3),
        broker_cores=round((used.broker - steady.broker) / took, 3), load_cores=round(loads / all_took, 3),
        left_over=sent["acknowledged"] - stored, redelivered=redelivered,
        drained_s=round(drained, 1), waiting=waiting, sent_on_s=round(sent_on, 1), memory_mb=memory,
        by_minute=minutes, broker_memory_mb=broker.peak_mb(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Used:
    """Processor seconds of this process and of the broker so far, and when that was (ns)."""

    at: int
    service: float
    broker: float

    @classmethod
    def until_now(cls, broker: Mosquitto) -> _Used:
        return cls(stopwatch(), _cpu(resource.RUSAGE_SELF), broker.cpu())


async def _drained(store: Metered, owed: int) -> float:
    """Seconds until so many readings came, or none did for DRAIN_S."""
    begun = newest = stopwatch()
    before = store.rows
    while store.rows < owed and stopwatch() - newest < DRAIN_S * SECOND:
        await asyncio.sleep(WAIT_S)
        if store.rows > before:
            before, newest = store.rows, stopwatch()
    return (stopwatch() - begun) / SECOND


async def _stored(load: Load, folder: Path) -> tuple[int, int]:
    """(different messages, repeated ones) that the store holds: each has one heart rate."""
    if not load.influx_url:
        return await asyncio.to_thread(instants, folder / "readings" / FILE, "heart_rate")
    server = Server(url=load.influx_url, bucket="mimamori")
    try:
        tables = (await server.ask("SELECT count(heart_rate) FROM readings"))[0]
    finally:
        await server.close()
    return (int(tables[0][2][0][1]) if tables else 0), 0


async def _watch(minutes: list[float]) -> None:
    while True:
        await asyncio.sleep(60)
        minutes.append(_memory())


def _register(homes: Homes, load: Load) -> None:
    for i in range(load.households):
        homes.add_device(f"H{i:06}", "bed1", "bed-sensor")


async def _open(site: Site, load: Load, folder: Path, homes: Homes) -> ReadingStore:
    if load.influx_url:
        server = Server(url=load.influx_url, bucket="mimamori")
        return await InfluxReadings.open(folder, server, homes=homes, metrics=site.metrics)
    return await EmbeddedReadings.open(folder, homes=homes, metrics=site.metrics)


def _cpu(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def _memory() -> float:
    """Resident MB now on Linux, else the largest so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return round(int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


def told(figures: Ingest) -> str:
    """As JSON, one figure a line."""
    return json.dumps(asdict(figures), indent=1)
