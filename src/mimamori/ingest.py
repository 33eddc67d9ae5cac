"""`mimamori bench ingest`: messages a second from a real mosquitto to the disk, and what they cost.

May import everything from site down. The service's inlet as it runs in the loop (take, decode, append, acknowledge),
in this process; the broker and the load are processes of their own, and their processor time is told apart.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mimamori.model.homes import Homes
from mimamori.model.times import SECOND
from mimamori.sensors.collector import Collector
from mimamori.sensors.decode import Decoder
from mimamori.site import Site
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.influx import InfluxReadings
from mimamori.store.influxql import Server
from mimamori.store.readings import ReadingStore
from mimamori.stream.clock import Clock, stopwatch

WAIT_S = 0.05  # as the loop waits
DRAIN_S = 60.0  # after the load has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """What was measured. cores: processor seconds a second of load. *_ms: stamp at the device to return from the disk.

    left_over: messages not stored `drained_s` after the load ended. memory_mb: largest resident size of this process.
    waiting: readings durable, but not yet in their final place when it ended.
    """

    messages: int
    seconds: float
    stored: int
    a_second: float
    p50_ms: float
    p99_ms: float
    service_cores: float
    broker_cores: float
    load_cores: float
    left_over: int
    drained_s: float
    memory_mb: float
    memory_mb_half_way: float
    waiting: int


async def measure(
    site: Site, *, rate: int, seconds: int, households: int, influx_url: str = "", folder: Path | None = None
) -> dict[str, float]:
    """The figures of one run. Raises OSError if mosquitto is not installed or a port cannot be had."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise FileNotFoundError("mosquitto is not installed; install it with your system's package manager")
    with tempfile.TemporaryDirectory(prefix="mimamori-ingest-", dir=folder) as name:
        port = _free_port()
        conf = _configured(site, Path(name), port)
        broker = await asyncio.create_subprocess_exec(program, "-c", str(conf), stderr=asyncio.subprocess.DEVNULL)
        try:
            return asdict(await _run(site, Path(name), port, broker.pid, rate, seconds, households, influx_url))
        finally:
            broker.terminate()
            await broker.wait()


async def _run(  # noqa: PLR0917 - straight on from `measure`
    site: Site, folder: Path, port: int, broker: int, rate: int, seconds: int, households: int, influx_url: str
) -> Ingest:
    homes, clock = Homes(), Clock()
    for i in range(households):
        homes.add_device(f"H{i:06}", "bed1", "bed-sensor")
    store = await _open(site, folder, homes, influx_url)
    decoder = Decoder(homes, site.metrics, site.profiles)
    collector = Collector(url=f"mqtt://127.0.0.1:{port}", client_id="mimamori-collector", clock=clock.now)
    late: list[np.ndarray] = []
    async with collector:
        if not await collector.wait_connected(30):
            raise OSError("mosquitto did not answer within 30 s")
        load = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mimamori.simulator.blast", *map(str, (port, rate, seconds, households)),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ended = asyncio.create_task(load.communicate())
        begun, own, theirs = stopwatch(), _own_cpu(), _cpu_of(broker)
        messages, took, drained, half = rate * seconds, 0.0, 0.0, 0.0
        stored = 0
        while stored < messages:
            await collector.wait(WAIT_S)
            delivery = collector.take()
            if len(delivery):
                decoded = decoder.decode(delivery.messages, clock.now())
                await store.append(decoded.batch)
                collector.done(delivery)
                stored += len(delivery)
                late.append((clock.now() - decoded.batch.taken) // (SECOND // 1000))
            passed = (stopwatch() - begun) / SECOND
            half = half or (_memory() if passed > seconds / 2 else 0.0)
            if ended.done() and not took:
                took = passed
            if took and passed - took > DRAIN_S:
                break
            drained = passed - took if took else 0.0
        took = took or (stopwatch() - begun) / SECOND
        service, brokers = _own_cpu() - own, _cpu_of(broker) - theirs
        await ended
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    waiting = store.counts.waiting
    await store.close()
    lag = np.concatenate(late) if late else np.zeros(1)
    return Ingest(
        messages=messages, seconds=round(took, 1), stored=stored, a_second=round(stored / took),
        left_over=messages - stored,
        p50_ms=float(np.percentile(lag, 50)), p99_ms=float(np.percentile(lag, 99)),
        service_cores=round(service / took, 3), broker_cores=round(brokers / took, 3),
        load_cores=round((children.ru_utime + children.ru_stime) / took, 3), drained_s=round(drained, 1),
        memory_mb=_memory(), memory_mb_half_way=half, waiting=waiting,
    )  # fmt: skip


async def _open(site: Site, folder: Path, homes: Homes, influx_url: str) -> ReadingStore:
    if influx_url:
        server = Server(url=influx_url, bucket="mimamori")
        return await InfluxReadings.open(folder / "readings", server, homes=homes, metrics=site.metrics)
    return await EmbeddedReadings.open(folder / "readings", homes=homes, metrics=site.metrics)


def _configured(site: Site, folder: Path, port: int) -> Path:
    """The site's mosquitto.conf on this port, with its data in this folder."""
    shipped = (site.folder / "sensors" / "mosquitto.conf").read_text(encoding="utf-8")
    conf = folder / "mosquitto.conf"
    conf.write_text(
        shipped.replace("listener 1883", f"listener {port}").replace("/var/lib/mosquitto/", f"{folder}/")
        + ("user root\n" if os.geteuid() == 0 else "")
    )
    return conf


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _own_cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def _cpu_of(pid: int) -> float:
    """Processor seconds of another process, as Linux tells them; 0 elsewhere."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    words = stat.read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _memory() -> float:
    """Resident MB now on Linux, else the largest so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return round(int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


def told(figures: dict[str, float]) -> str:
    """As JSON, one figure a line."""
    return json.dumps(figures, indent=1)
