"""The whole service with a telephone network: signed reports and answers through a proxy, other channels, the home."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from mimamori.model.times import MINUTE
from mimamori.notify.standin import Line, StandIn
from mimamori.store.ledger import Ledger

ACCOUNT, TOKEN, OURS, HOME = "AC" + "0" * 32, "not-a-secret", "+815012345678", "+81172000001"
NURSES = {f"+8190000000{n:02d}": f"N-{n:02d}" for n in range(1, 7)}

Start = Callable[..., AbstractAsyncContextManager[Any]]
Alarm = Callable[[Any], Awaitable[dict[str, Any]]]
Until = Callable[..., Awaitable[Any]]


class Network:
    """The stand-in, and a proxy in front of the service that hides its address and adds a path, as wards have it."""

    def __init__(self, standin: StandIn, url: str, service: int) -> None:
        self.standin, self.url, self.service = standin, url, service
        self.public = ""
        self.proxied: list[tuple[str, int]] = []

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "port": self.service, "twilio_account": ACCOUNT, "twilio_token": TOKEN, "twilio_from": OURS,
            "twilio_url": self.url, "public_url": self.public,
        } | more  # fmt: skip

    async def forward(self, path: str, request: Request) -> Response:
        headers = {k: v for k, v in request.headers.items() if k in {"content-type", "x-twilio-signature"}}
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.post(
                f"http://127.0.0.1:{self.service}/{path}?{request.url.query}", content=await request.body(),
                headers=headers,
            )  # fmt: skip
        self.proxied.append((path, answer.status_code))
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    def to(self, number: str) -> list[str]:
        return [m.body for m in self.standin.messages if m.to == number]


async def serve(app: FastAPI) -> tuple[uvicorn.Server, asyncio.Task[None], str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by this flag only
            await asyncio.sleep(0.01)
    return server, task, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
async def network(port: int) -> AsyncIterator[Network]:
    standin = StandIn(account=ACCOUNT, token=TOKEN, clock=lambda: "Tue, 24 Nov 2026 10:00:00 +0900")
    first = await serve(standin.app)
    net = Network(standin, first[2], port)
    proxy = FastAPI(openapi_url=None)
    proxy.post("/ward-3/{path:path}")(net.forward)
    second = await serve(proxy)
    net.public = f"{second[2]}/ward-3"
    standin.reply_url = f"{net.public}/twilio/sms/reply"
    yield net
    standin.released.set()
    await standin.settle()
    for server, task, _ in (first, second):
        server.should_exit = True
        await task


async def told(running: Any, alert: str, channel: str = "sms") -> list[dict[str, Any]]:
    return [n for n in await running.api.get("notices", alert=alert) if n["channel"] == channel]


async def test_an_answer_by_sms_takes_the_alert_and_the_others_hear_of_it(
    service: Start, alarmed: Alarm, network: Network, until: Until
) -> None:
    async with service(**network.settings()) as running:
        alert = await alarmed(running)
        await running.passes(6 * MINUTE)  # unanswered: a second person is told, too

        async def two() -> list[dict[str, Any]]:
            found = [n for n in await told(running, alert["id"]) if n["status"] == "delivered"]
            return found if len({n["recipient"] for n in found}) >= 2 else []

        calls = await until(two)
        first = next(n for n in calls if n["kind"] == "first")
        number = first["address"]
        assert await network.standin.reply(number, OURS, "１ 了解") == 200

        async def taken() -> bool:
            now = await running.api.get(f"alerts/{alert['id']}")
            return now["state"] == "acknowledged" and now["owner"] == first["recipient"]

        assert await until(taken, 2)
        assert network.standin.written[-1][0] == number
        assert "対応をお願いします" in network.standin.written[-1][1]
        others = {n["recipient"]: n["address"] for n in calls if n["recipient"] != first["recipient"]}

        async def heard() -> bool:
            return all(any(f"{first['recipient']}が対応" in b for b in network.to(a)) for a in others.values())

        assert await until(heard)
        assert not any("が対応" in body for body in network.to(number)), "who took it needs no telling"
        proof = await running.api.get(f"proof/{alert['id']}")
        chain = [proof[k] for k in ("began", "fired", "queued", "accepted", "delivered", "read", "acknowledged")]
        assert None not in chain
        assert chain == sorted(chain)
        assert proof["by"] == first["recipient"]
        reach = {(r["recipient"], r["channel"]): r for r in await running.api.get("reach")}
        assert reach[first["recipient"], "sms"]["works"]
        load = await running.api.get("load", days=1)
        assert first["recipient"] in {p["person"] for p in load["people"]}
        # a second person answers too late, and is told who has it; nothing changes
        assert await network.standin.reply(next(iter(others.values())), OURS, "了解") == 200
        assert f"すでに{first['recipient']}が対応" in network.standin.written[-1][1]
        assert await taken()
        # stop words are never an answer, and are kept
        assert await network.standin.reply(number, OURS, "STOP") == 200
        assert network.standin.written[-1][0] != number
        statuses = {status for _, status in network.proxied}
        assert statuses == {200, 204}
        # somebody else's signature, and somebody else's telephone
        written = len(network.standin.written)
        network.standin.token = "another"
        assert await network.standin.reply(number, OURS, "1") == 403
        network.standin.token = TOKEN
        assert await network.standin.reply("+819099999999", OURS, "1") == 200
        assert len(network.standin.written) == written


async def test_a_message_under_way_when_the_service_is_stopped_goes_out_once(
    service: Start, alarmed: Alarm, network: Network, until: Until, tmp_path: Path
) -> None:
    """Its answer comes after the last tick; cut off, it would have been sent again after the restart."""
    slow, taken, answered = FastAPI(openapi_url=None), asyncio.Event(), asyncio.Event()

    @slow.post("/{path:path}")
    async def forward(path: str, request: Request) -> Response:
        headers = {k: v for k, v in request.headers.items() if k in {"content-type", "authorization"}}
        async with httpx.AsyncClient(base_url=network.url, headers=headers, timeout=10) as client:
            answer = await client.post(f"/{path}", content=await request.body())
        taken.set()
        await answered.wait()
        return Response(answer.content, answer.status_code, media_type="application/json")

    network.standin.usual = Line(reports=())  # a report would tell what became of it, too
    server, serving, url = await serve(slow)
    ledger = await Ledger.open(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}", recover=False)
    async with service(**network.settings(twilio_url=url)) as running:
        await alarmed(running)
        await asyncio.wait_for(taken.wait(), 10)
        before = await ledger.engine_mark()
        assert before is not None
        running.stop.set()

        async def ended() -> bool:
            mark = await ledger.engine_mark()
            return mark is not None and mark.at > before.at

        await until(ended)
        answered.set()
        await running.end()
    calls = [n for n in await ledger.notices() if n.notice.channel == "sms" and n.tries]
    assert [(n.tries, n.status) for n in calls] == [(1, "sent")] * len(network.standin.messages)
    assert calls
    await ledger.close()
    server.should_exit = True
    await serving


async def test_an_undelivered_message_goes_by_telephone_at_once_and_a_key_answers(
    service: Start, alarmed: Alarm, network: Network, until: Until
) -> None:
    dead = Line(reports=("sent", "undelivered"), error=30003, keys=("1",))
    network.standin.lines |= dict.fromkeys(NURSES, dead)
    async with service(**network.settings()) as running:
        alert = await alarmed(running)

        async def taken() -> dict[str, Any] | None:
            now = await running.api.get(f"alerts/{alert['id']}")
            return now if now["state"] == "acknowledged" else None

        now = await until(taken)
        assert network.standin.calls
        call = network.standin.calls[0]
        assert now["owner"] == NURSES[call.to]
        assert 'language="ja-JP"' in call.twiml
        assert "優先度、高。A、0、1。心拍数" in call.heard[0]
        assert "1を" in call.heard[0]
        assert call.heard[-1] == "ありがとうございます。対応をお願いします。"
        voice = await told(running, alert["id"], "voice")
        assert "sms did not arrive" in voice[-1]["reason"]
        assert "30003" in voice[-1]["reason"]
        assert [e["step"] for e in now["events"] if e["kind"] == "escalated"] == [0], "no step was waited for"


async def test_nobody_answers_on_any_channel_so_the_next_person_is_told_at_once(
    service: Start, alarmed: Alarm, network: Network, until: Until
) -> None:
    network.standin.usual = Line(reports=("undelivered",), error=30006, call="no-answer")
    async with service(**network.settings()) as running:
        alert = await alarmed(running)

        async def passed_on() -> list[dict[str, Any]]:
            events = (await running.api.get(f"alerts/{alert['id']}"))["events"]
            return [e for e in events if e["kind"] == "escalated" and e["step"] == 1]

        event = (await until(passed_on))[0]
        assert "nobody could be reached" in event["reason"]


@pytest.mark.parametrize(("keys", "end"), [(("1",), "well"), (("2",), "help"), ((), "silence")])
async def test_the_resident_is_asked_first(  # noqa: PLR0917 - fixtures
    service: Start, alarmed: Alarm, network: Network, until: Until, keys: tuple[str, ...], end: str
) -> None:
    network.standin.lines[HOME] = Line(keys=keys)
    async with service(**network.settings(phone=HOME)) as running:
        alert = await alarmed(running)

        async def decided() -> dict[str, Any] | None:
            now = await running.api.get(f"alerts/{alert['id']}")
            return now if {"returned", "escalated"} & {e["kind"] for e in now["events"]} else None

        now = await until(decided)
        kinds = [e["kind"] for e in now["events"]]
        home = [c for c in network.standin.calls if c.to == HOME]
        assert "お変わりありませんか" in home[0].heard[0]
        assert kinds[:2] == ["opened", "asked"]
        if end == "well":
            assert now["state"] == "open", "it stays visible until a person has looked"
            await running.passes(8 * MINUTE)
            assert await told(running, alert["id"]) == []
            assert network.standin.messages == []
        else:
            await until(lambda: told(running, alert["id"]))
            assert len(home) == (1 if end == "help" else 2)
            reasons = [e["reason"] for e in now["events"] if e["kind"] == "escalated"]
            assert ("asked for help" if end == "help" else "did not answer") in reasons[0]


async def test_an_acknowledgement_anywhere_cancels_all_that_waits_everywhere(
    service: Start, alarmed: Alarm, network: Network, until: Until
) -> None:
    network.standin.lines |= dict.fromkeys(NURSES, Line(refuse=20429, http=429))  # nothing leaves: all of it waits
    async with service(**network.settings()) as running:
        alert = await alarmed(running)
        await running.passes(6 * MINUTE)

        async def waiting() -> list[dict[str, Any]]:
            found = [n for n in await running.api.get("notices", alert=alert["id"]) if n["channel"] != "console"]
            return [n for n in found if n["status"] in {"planned", "sending"} and n["kind"] != "taken"]

        assert await until(waiting)
        answer = await running.api.act(alert["id"], "acknowledge", text="向かいます")
        assert answer.status_code == 200

        async def none() -> bool:
            return not await waiting()

        await until(none, 10)
        network.standin.lines.clear()
        await running.passes(8 * MINUTE)
        assert not [m for m in network.standin.messages if "返信1" in m.body], "somebody was called after all"
