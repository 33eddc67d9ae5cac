"""The real service, mosquitto as shipped, and devices that note what the broker has acknowledged to them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from mimamori.store.ledger import Ledger
from mimamori.store.pack import LOG_ROW
from mimamori.store.records import Device, Resident, Staff

CHECKOUT = Path(__file__).parents[2]
HOUSEHOLDS = 30
FAST = 5  # of them, with a heart far too fast
METERED = 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(true: Callable[[], bool], within: float = 60.0, what: str = "") -> None:
    """Returns once it is true; fails the test after `within` seconds."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, f"not within {within} s: {what}"
        time.sleep(0.05)  # the condition lies in another process, which tells nobody


class Mosquitto:
    """The shipped configuration, but for the port and the folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self._conf = folder / "mosquitto.conf"
        shipped = (CHECKOUT / "sensors" / "mosquitto.conf").read_text(encoding="utf-8")
        self._conf.write_text(
            shipped.replace("listener 1883", f"listener {self.port}").replace("/var/lib/mosquitto/", f"{folder}/")
            + "user root\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", self._conf], stderr=subprocess.DEVNULL
        )
        wait_for(self._answers, what="mosquitto")

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(20)
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Devices(threading.Thread):
    """One bed sensor and one meter a household, over one connection; what the broker has said it has is noted.

    Times of a bed are whole milliseconds, each later than the last: (household, t) is said once. A meter has no clock,
    but a counter, and says a number only once: one message in METERED is a meter's.
    """

    def __init__(self, port: int, rate: float) -> None:
        super().__init__(name="devices", daemon=True)  # a test that fails before it begins must not keep us
        self.acknowledged: set[tuple[str, int]] = set()
        self.metered: set[tuple[str, int]] = set()  # (household, number), acknowledged too
        self.last = self.counted_from = 0  # ms; the newest stamp, and the first that must not be lost
        self.number = self.numbered_from = 0  # likewise of the meters
        self._rate, self._port = rate, port
        self._ended = threading.Event()
        self._on_way: dict[int, tuple[set[tuple[str, int]], tuple[str, int]]] = {}
        self._answered: deque[int] = deque()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "devices", clean_session=False)
        self._client.max_inflight_messages_set(5000)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._published

    def _published(self, _client: object, _data: object, mid: int, *_: object) -> None:
        self._answered.append(mid)  # no lock here: the library holds its own

    def _note(self) -> None:
        while self._answered:
            said = self._on_way.pop(self._answered.popleft(), None)
            if said is not None:
                said[0].add(said[1])

    def run(self) -> None:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        begun, sent = time.monotonic(), 0
        while not self._ended.is_set():
            owed = int((time.monotonic() - begun) * self._rate) - sent
            for _ in range(max(owed, 0)):
                if sent % METERED == 0:
                    self._meter(sent // METERED % HOUSEHOLDS)
                else:
                    self._bed((sent - sent // METERED - 1) % HOUSEHOLDS, sent)
                sent += 1
            self._note()
            self._ended.wait(0.02)

    def _bed(self, home: int, sent: int) -> None:
        # a second behind: a stamp ahead of the service's clock would be corrected
        last = self.last = max(self.last + 1, time.time_ns() // 1_000_000 - 1000)
        rate = 140 if home < FAST else 60 + sent % 10  # of a body that moves: a pulse alone may be a phantom
        text = json.dumps({"t": last, "v": {"heart_rate": rate, "body_movement": 20}})
        told = self._client.publish(f"mimamori/v1/H{home:03}/bed1/readings", text, qos=1)
        self._on_way[told.mid] = self.acknowledged, (f"H{home:03}", last)

    def _meter(self, home: int) -> None:
        number = self.number = self.number + 1
        text = json.dumps({"seq": number, "v": {"energy": number}})
        told = self._client.publish(f"mimamori/v1/H{home:03}/meter1/readings", text, qos=1)
        self._on_way[told.mid] = self.metered, (f"H{home:03}", number)

    def begin_counting(self) -> None:
        """What is said from now on must not be lost: before its first subscription the broker keeps nothing for us."""
        self.counted_from, self.numbered_from = self.last + 1, self.number + 1

    def owed(self) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        """((household, ms) of beds, (household, number) of meters) that the broker has, and that must be stored."""
        return (
            {said for said in self.acknowledged if said[1] >= self.counted_from},
            {said for said in self.metered if said[1] >= self.numbered_from},
        )

    def give_up(self) -> None:
        """Stops sending, whatever is still on its way: a test that has failed must not keep the process."""
        self._ended.set()
        self.join()
        self._client.loop_stop()

    def end(self) -> None:
        """Stops sending and waits for the last acknowledgement."""
        self._ended.set()
        self.join()

        def all_answered() -> bool:
            self._note()
            return not self._on_way

        wait_for(all_answered, 60, "the broker's last acknowledgements")
        self._client.disconnect()
        self._client.loop_stop()


class Service:
    """`mimamori run` on a site whose heart rate rule needs one minute where the shipped one needs five."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.data, self.site, self._log = folder / "data", folder / "site", folder / "log"
        self.port = free_port()
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("MIMAMORI_")} | {
            "MIMAMORI_BROKER": f"mqtt://127.0.0.1:{broker.port}", "MIMAMORI_DATA": str(self.data),
            "MIMAMORI_PORT": str(self.port), "MIMAMORI_SITE": str(self.site),
        }  # fmt: skip
        for name in ("sensors", "rules", "alerts", "simulator"):
            shutil.copytree(CHECKOUT / name, self.site / name)
        self.needs("1m", "2m")
        self.process: subprocess.Popen[bytes] | None = None

    def needs(self, hold: str, out_of: str) -> None:
        """From the next start on, that long of a fast heart, out of so long, raises an alert."""
        shipped = (CHECKOUT / "rules" / "heart-rate.toml").read_text(encoding="utf-8")
        text = shipped.replace('hold = "5m"', f'hold = "{hold}"').replace('out_of = "6m"', f'out_of = "{out_of}"')
        assert f'"{hold}"' in text
        assert f'"{out_of}"' in text
        (self.site / "rules" / "heart-rate.toml").write_text(text, encoding="utf-8")

    def start(self, *, before: Sequence[str] = (), **environment: str) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "mimamori.cli", "run"], env=self._environment | environment,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> None:
        """In order, as an administrator does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    def ticking(self) -> bool:
        """Whether it listens: the console's port opens before the first tick, and closes with the process."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def waiting(self) -> int:
        """Batches that lie in the store's log: a number that changes while readings come in."""
        return self._ask("SELECT max(id) FROM log")

    def stored(self) -> int:
        """Readings that lie anywhere in the store."""
        return self._ask(
            f"SELECT (SELECT coalesce(sum(length(body)), 0) / {LOG_ROW} FROM log)"
            " + (SELECT coalesce(sum(n), 0) FROM staged) + (SELECT coalesce(sum(n), 0) FROM chunk)"
        )

    def _ask(self, query: str) -> int:
        try:
            connection = sqlite3.connect(f"{(self.data / 'readings' / 'readings.sqlite').as_uri()}?mode=ro", uri=True)
            try:
                return int(connection.execute(query).fetchone()[0] or 0)
            finally:
                connection.close()
        except sqlite3.Error:
            return 0


async def register(service: Service) -> None:
    ledger = await Ledger.open(f"sqlite:///{service.data / 'ledger.sqlite'}")
    for home in range(HOUSEHOLDS):
        await ledger.put_resident(Resident(household=f"H{home:03}", code=f"A-{home:03}"))
        await ledger.put_device(Device(household=f"H{home:03}", device="bed1", profile="bed-sensor"))
        await ledger.put_device(Device(household=f"H{home:03}", device="meter1", profile="smart-meter"))
    for number in range(1, 7):
        role = "nurse" if number < 4 else "on-call"
        await ledger.put_staff(Staff(id=f"N-{number:02}", name="", role=role, phone=f"+81900000000{number}"))
    await ledger.close()


def pause(seconds: float) -> None:
    """Load goes on for so long; there is nothing to wait for but time."""
    ends: list[float] = [seconds / 0.05]

    def over() -> bool:
        ends[0] -= 1
        return ends[0] <= 0

    wait_for(over, seconds * 20 + 20)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def service(tmp_path: Path, broker: Mosquitto) -> Iterator[Service]:
    service = Service(tmp_path, broker)
    yield service
    if service.process is not None and service.process.poll() is None:
        service.kill()


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterator[Counter[str]]:
    """What a scenario counted; printed, so that a maintainer sees figures and not only dots."""
    counts: Counter[str] = Counter()
    yield counts
    for name, n in counts.items():
        record_property(name, n)
    print(dict(counts))  # noqa: T201 - shown by -rA or -s
