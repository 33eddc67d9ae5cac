"""For the notify tests: a ledger in memory that keeps the outbox's contract, and the stand-in telephone network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from mimamori.model.notice import Notice, NoticeState, Status
from mimamori.model.times import NEVER, SECOND
from mimamori.notify.callback import Answer, Report, genuine, newer, read_answer, read_report
from mimamori.notify.standin import StandIn

ACCOUNT, TOKEN, OURS = "AC" + "0" * 32, "not-a-secret", "+815012345678"
NOW = 1_795_000_000 * SECOND


class Memory:
    """A whole ledger as far as the outbox sees it, without a disk. Transitions are those the protocol describes."""

    def __init__(self) -> None:
        self.rows: dict[str, NoticeState] = {}
        self.retry_at: dict[str, int] = {}
        self.marks: list[tuple[str, str]] = []
        self.withdrawn: set[str] = set()

    def commit(self, *notices: Notice) -> None:
        for notice in notices:
            self.rows.setdefault(notice.key, NoticeState(
                notice=notice, status="planned", planned_at=notice.due, sent_at=NEVER, delivered_at=NEVER, tries=0,
                provider_id="", detail="",
            ))  # fmt: skip

    def cancel(self, key: str) -> None:
        if self.rows[key].status == "planned":
            self.rows[key] = replace(self.rows[key], status="cancelled")
        if self.rows[key].status == "sending":
            self.withdrawn.add(key)

    async def due_notices(self, now: int, limit: int) -> list[NoticeState]:
        due = [
            s for k, s in self.rows.items()
            if s.status == "sending"
            or (s.status == "planned" and max(s.notice.due, self.retry_at.get(k, NEVER)) <= now)
        ]  # fmt: skip
        return sorted(due, key=lambda s: (s.notice.due, s.notice.key))[:limit]

    async def mark_notice(
        self, key: str, *, status: Status, now: int, provider_id: str = "", detail: str = "", retry_at: int = NEVER
    ) -> bool:
        state = self.rows[key]
        self.marks.append((key, status))
        if state.status == "cancelled":
            return False
        if status == "planned" and key in self.withdrawn:
            status = "cancelled"
        self.retry_at[key] = retry_at
        self.rows[key] = replace(
            state, status=status, tries=state.tries + (status == "sending"),
            sent_at=now if status == "sent" else state.sent_at, provider_id=provider_id or state.provider_id,
            detail=detail,
        )  # fmt: skip
        return status != "cancelled"

    async def claimed(self, provider_ids: Sequence[str]) -> set[str]:
        return {s.provider_id for s in self.rows.values()} & set(provider_ids)

    def status(self, notice: Notice) -> str:
        return self.rows[notice.key].status


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def new_memory() -> type[Memory]:
    return Memory


def make(number: int = 0, **more: Any) -> Notice:
    fields: dict[str, Any] = {
        "alert": f"A-{number:02d}/inactivity/20261123T174005Z", "step": 0, "recipient": f"N-{number:02d}",
        "channel": "sms", "round": 0, "kind": "first", "priority": "high", "address": f"+8190000000{number:02d}",
        "text": f"【見守り】高 A-{number:02d} 動きがない", "due": NOW, "reason": "escalated: first call",
    }  # fmt: skip
    return Notice(**fields | more)


@pytest.fixture
def notice() -> Callable[..., Notice]:
    return make


async def serve(app: FastAPI) -> tuple[uvicorn.Server, asyncio.Task[None], str]:
    """A real server on a free port of this machine: (server, its task, base URL)."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by this flag only
            await asyncio.sleep(0)
    return server, task, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def local_server() -> Any:
    return serve


class Desk:
    """Our side of the callbacks, as the web part will have it: checks the signature, keeps what it believes."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.answers: list[Answer] = []
        self.refused = 0
        self.latest: dict[str, Status] = {}
        self.url = ""
        self.app = FastAPI(openapi_url=None)
        self.app.post("/sms/{what}")(self._take)

    async def _take(self, what: str, request: Request) -> Response:
        form = {k: str(v) for k, v in (await request.form()).items()}
        url = f"{self.url}/sms/{what}" + (f"?{request.url.query}" if request.url.query else "")
        if not genuine(TOKEN, url, form, request.headers.get("X-Twilio-Signature", "")):
            self.refused += 1
            return Response(status_code=403)
        report, answer = read_report(form), read_answer(form)
        if what == "status" and report:
            self.reports.append(report)
            if newer(self.latest.get(report.provider_id, "sending"), report.status):
                self.latest[report.provider_id] = report.status
        if what == "reply" and answer:
            self.answers.append(answer)
        return Response(status_code=200)


class Network:
    """The stand-in and our desk, both running. A test says what it expects; anything else that was sent fails it."""

    def __init__(self, standin: StandIn, desk: Desk, url: str) -> None:
        self.standin, self.desk, self.url = standin, desk, url
        self.expected: list[tuple[str, str]] = []

    def expect(self, *notices: Notice) -> None:
        self.expected += [(n.address, n.text) for n in notices]


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    standin = StandIn(account=ACCOUNT, token=TOKEN, clock=lambda: "Tue, 24 Nov 2026 02:40:05 +0900")
    desk = Desk()
    running = [await serve(standin.app), await serve(desk.app)]
    desk.url = running[1][2]
    standin.reply_url = f"{desk.url}/sms/reply"
    net = Network(standin, desk, running[0][2])
    yield net
    standin.released.set()
    await standin.settle()
    for server, task, _ in running:
        server.should_exit = True
        await task
    assert sorted((m.to, m.body) for m in standin.messages) == sorted(net.expected), "an unexpected message was sent"
    assert standin.unposted == []
