"""A real console for the tests: real SQLite ledger, desk and uvicorn, and a small loop that obeys commands."""

from __future__ import annotations

import asyncio
import math
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
import uvicorn

from mimamori.alerts.fold import fold
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.commands import CommandError
from mimamori.model.homes import Homes
from mimamori.model.notice import Notice
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND, parse_instant
from mimamori.rehearsals import Rehearsals
from mimamori.settings import Settings
from mimamori.simulator.days import simulate
from mimamori.simulator.households import households
from mimamori.site import load_site
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger
from mimamori.store.records import Absence, Access, Contact, Device, Note, Resident, Staff
from mimamori.web.app import create_web
from mimamori.web.desk import Desk, Gap, Light, Tile, View
from mimamori.web.sign_in import WebSettings, hash_password

NOW = parse_instant("2026-11-23T06:40:05+09:00")
SITE = load_site(Path(__file__).parents[2])
PASSWORD = "asagao-2026"
HASH = hash_password(PASSWORD)


def tile_of(i: int, state: str = "ok", now: int = NOW, **more: object) -> Tile:
    room = f"{1 + i // 20}{i % 20 + 1:02d}"
    values = (
        ("heart_rate", 58.0 + i % 17, "1/min", now - (4 + i % 30) * SECOND),
        ("respiration_rate", 14.0 + i % 6, "1/min", now - (4 + i % 30) * SECOND),
        ("temperature", 19.5 + i % 5, "Cel", now - (i % 50) * MINUTE),
    )
    tile = Tile(
        household=f"H{i + 1:03d}", code=f"C-{i + 1:03d}", room=room, state=state,  # type: ignore[arg-type]
        doing=("in-bed", "up", "out", "unknown")[i % 4], priority=None, headline_ja="", headline_en="",
        values=values, last_sign=now - (1 + i * 7 % 50) * MINUTE, coverage=math.nan if i == 3 else 0.97 - i % 7 / 50,
    )  # fmt: skip
    return replace(tile, **more)  # type: ignore[arg-type]


def opened(household: str, priority: str = "high", at: int = NOW - 4 * MINUTE, rule: str = "inactivity") -> AlertEvent:
    return AlertEvent(
        alert=f"{household}/{rule}/20261122T213605Z", kind="opened", at=at, by="engine",
        reason="evidence over threshold",
        household=household, rule=rule, priority=priority, since=at - 90 * MINUTE,  # type: ignore[arg-type]
        title_ja="動きがありません", title_en="No activity",
        why_ja="05:10から動きがありません。この方はいつもこの時間に17回ほど反応がありますが、今朝は0回です。",
        why_en="No sign of life since 05:10; this resident usually shows about 17 by now, this morning none.",
        evidence={"evidence": 13.3, "threshold": 9.0, "expected": 16.7, "bed": 9.1, "power": 4.2, "score": 13.3},
    )  # fmt: skip


def notice_of(alert: str, **more: object) -> Notice:
    notice = Notice(
        alert=alert, step=0, recipient="N-01", channel="sms", round=0, kind="first", priority="high",
        address="+819012345678", text="【見守り】高 101 動きがありません 05:10から1時間30分 返信1=対応 2=交代",
        due=NOW, reason="first step of policy-high",
    )  # fmt: skip
    return replace(notice, **more)  # type: ignore[arg-type]


@dataclass
class Ward:
    """The console under test, and the loop's side of it."""

    url: str
    desk: Desk
    ledger: Ledger
    alerts: dict[str, Alert] = field(default_factory=dict)
    tiles: dict[str, Tile] = field(default_factory=dict)
    clock: int = NOW
    refuse: str = ""
    seen: list[object] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    errors: list[object] = field(default_factory=list)
    readings: EmbeddedReadings | None = None
    homes: Homes = field(default_factory=Homes)
    rehearsals: Rehearsals | None = None

    async def live_days(self, days: int) -> str:
        """A simulated household's last days in the store; its id."""
        home = next(
            h for h in households(SITE.scene, count=12, seed=1) if any(d.profile == "bed-sensor" for d in h.devices)
        )
        for device in home.devices:
            self.homes.add_device(home.id, device.id, device.profile)
        for batch in simulate((home,), start=NOW - days * DAY, end=NOW, seed=1, step=DAY, order="taken"):
            await self.readings.append(batch)
        self.tiles[home.id] = tile_of(0, household=home.id, code="C-900", room="900")
        self.publish()
        return home.id

    async def furnish(self, household: str) -> None:
        """A device that was never heard, a note, an absence, somebody to call, and two gaps in the watch."""
        line = Access(who="AD-1", whose=household, what="furnished", at=NOW)
        await self.ledger.enter(
            line,
            Device(household=household, device="door1", profile="door-sensor", claimed_at=NOW - DAY),
            Note(id="n1", household=household, at=NOW - HOUR, by="N-01", text="よく眠れたとのこと。膝が痛む。"),
            Absence(id="a1", household=household, kind="stay", start=NOW + HOUR, by="N-01", note="娘宅"),
            Contact(id="c1", household=household, name="山田 太郎", relation="family", phone="+819022223333"),
        )
        gaps = (Gap(cause="devices", begins=NOW - HOUR, ends=NEVER), Gap(cause="service", begins=NOW - DAY, ends=NOW))
        self.publish(gaps={household: gaps})

    def broke(self, error: object) -> None:
        """A page's script failed; the fixture lets no test pass that way."""
        self.errors.append(error)

    def publish(self, **more: object) -> None:
        lights = (
            Light(name="broker", ok=True, text_ja="ブローカー(測定値の受け口)", text_en="Broker", since=NOW - HOUR),
            Light(name="sms", ok=True, text_ja="SMSの送信", text_en="Text messages", since=NOW - HOUR),
        )
        view = View(
            now=NOW, zone="Asia/Tokyo", speed=1.0, tiles=tuple(self.tiles.values()),
            alerts=tuple(self.alerts.values()), lights=lights, counts={"readings": 12345, "ticks": 99},
        )  # fmt: skip
        self.desk.publish(replace(view, **more))  # type: ignore[arg-type]

    async def tell(self, event: AlertEvent, *notices: Notice) -> None:
        """An event as the loop does it: committed, then shown."""
        await self.ledger.commit(events=[event], notices=notices, now=NOW)
        self.alerts[event.alert] = fold(self.alerts.get(event.alert), event)
        tile = self.tiles.get(event.household)
        if tile and event.kind == "opened":
            self.tiles[event.household] = replace(
                tile, state="alert", priority=event.priority, headline_ja=event.title_ja, headline_en=event.title_en
            )
        self.publish()

    async def obey(self) -> None:
        """The loop's hand: takes commands and answers them, until cancelled."""
        kinds = {"acknowledge": "acknowledged", "note": "note", "resolve": "resolved", "reopen": "reopened", "shelve": "shelved"}  # fmt: skip  # noqa: E501
        while True:
            command, answer = await self.desk.commands.get()
            if answer.done():
                continue
            self.seen.append(command)
            self.came.set()
            alert = self.alerts.get(command.alert)
            if self.refuse or alert is None:
                answer.set_exception(CommandError(self.refuse or "there is no such alert; reload the page"))
                continue
            event = AlertEvent(
                alert=alert.id, kind=kinds[command.action], at=NOW, by=command.by, reason=command.text,  # type: ignore[arg-type]
                household=alert.household, rule=alert.rule, outcome=command.outcome, until=command.until,
            )  # fmt: skip
            await self.tell(event)
            answer.set_result(None)

    async def obeyed(self, commands: int) -> None:
        """Returns when so many commands have come; fails after 5 s."""
        async with asyncio.timeout(5):
            while len(self.seen) < commands:
                self.came.clear()
                await self.came.wait()

    async def client(self, **more: object) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.url, timeout=10, **more)  # type: ignore[arg-type]
        self.clients.append(client)
        return client

    async def sign_in(self, staff: str, password: str = PASSWORD) -> httpx.AsyncClient:
        """A browser's client of this person, with the CSRF header set."""
        client = await self.client()
        form = await client.get("/login")
        data = {"staff": staff, "password": password, "csrf": csrf_of(form.text), "next": "/"}
        answer = await client.post("/login", data=data)
        assert answer.status_code == 303, answer.text
        if answer.headers["location"] == "/":
            client.headers["x-csrf-token"] = csrf_of((await client.get("/")).text)
        return client


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" (?:content|value)="(\w+)"', page)
    assert found, page[:400]
    return found[1]


async def until(true: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - conditions of a page or a server have no event to wait for
            await asyncio.sleep(0.01)


@pytest.fixture(name="until")
def _until() -> object:
    return until


@pytest.fixture
def opened_event() -> Callable[..., AlertEvent]:
    return opened


@pytest.fixture
def notice_for() -> Callable[..., Notice]:
    return notice_of


@pytest.fixture
def a_tile() -> Callable[..., Tile]:
    return tile_of


async def staffed(ledger: Ledger) -> None:
    people = (("N-01", "佐藤 花子", "nurse"), ("N-02", "鈴木 一郎", "on-call"), ("AD-1", "田中 管理", "administrator"), ("AU-1", "監査 太郎", "auditor"))  # fmt: skip  # noqa: E501
    for id_, name, role in people:
        await ledger.put_staff(Staff(id=id_, name=name, role=role, phone="+819012345678", password_hash=HASH))  # type: ignore[arg-type]
    await ledger.put_staff(Staff(id="N-99", name="退職者", role="nurse", password_hash=HASH, active=False))
    await ledger.put_resident(
        Resident(household="H001", code="C-001", name="山田 トメ", area="北", room="101", note="耳が遠い。大きな声で。")
    )


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    ledger = await Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    await staffed(ledger)
    desk = Desk(ledger)
    listening = socket.create_server(("127.0.0.1", 0))
    ward = Ward(url=f"http://127.0.0.1:{listening.getsockname()[1]}", desk=desk, ledger=ledger)
    ward.tiles = {t.household: t for t in (tile_of(i) for i in range(12))}
    ward.readings = await EmbeddedReadings.open(tmp_path / "readings", homes=ward.homes, metrics=SITE.metrics)
    settings = WebSettings(secret=b"s" * 32, secure=False)
    ward.rehearsals = Rehearsals(SITE, Settings(data=tmp_path))
    app = create_web(
        desk, ledger, settings=settings, clock=lambda: ward.clock, site=SITE, readings=ward.readings,
        rehearser=ward.rehearsals,
    )  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    obeying = asyncio.create_task(ward.obey())
    await until(lambda: server.started)
    ward.publish()
    yield ward
    for client in ward.clients:
        await client.aclose()
    await ward.rehearsals.aclose()
    desk.close()
    server.should_exit = True
    await serving
    obeying.cancel()
    with suppress(asyncio.CancelledError):
        await obeying
    await ledger.close()
    await ward.readings.close()
    assert ward.errors == []
