"""The event stream over a real socket: in time, once each, with catching up, and never holding the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from mimamori.web import app as web_app
from mimamori.web import live as web_live


class Ear:
    """Collects a stream's events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any, str]] = []
        self.ended = False

    async def listen(self, answer: httpx.Response) -> None:
        kind = number = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                number = value
            elif name == "data":
                self.events.append((kind, json.loads(value), number))
        self.ended = True

    def kinds(self, kind: str) -> list[Any]:
        return [data for k, data, _ in self.events if k == kind]


@asynccontextmanager
async def listening(client: httpx.AsyncClient, path: str, **more: Any) -> AsyncIterator[Ear]:
    ear = Ear()
    async with client.stream("GET", path, **more) as answer:
        assert answer.status_code == 200
        task = asyncio.create_task(ear.listen(answer))
        yield ear
        task.cancel()


async def test_an_alert_reaches_every_console_within_a_second(ward: Any, until: Any, opened_event: Any) -> None:
    one, two = await ward.sign_in("N-01"), await ward.sign_in("N-02")
    async with listening(one, "/api/v1/live") as program, listening(two, "/live/queue") as console:
        await until(lambda: program.kinds("change") and console.kinds("change"))
        assert program.kinds("change")[0]["full"]
        await ward.tell(opened_event("H001"))
        await until(lambda: len(program.kinds("change")) > 1 and len(console.kinds("change")) > 1, 1)
        told, shown = program.kinds("change")[-1], console.kinds("change")[-1]
        assert (told["alerts"][0]["household"], told["order"][0], told["full"]) == ("H001", "H001", False)
        assert [h["household"] for h in told["households"]] == ["H001"]
        assert shown["sound"] == [["H001/inactivity/20261122T213605Z", "high"]]
        assert "05:10から動きがありません" in shown["items"]["H001/inactivity/20261122T213605Z"]


async def test_coming_back_tells_only_what_was_missed(ward: Any, until: Any, opened_event: Any) -> None:
    client = await ward.sign_in("N-01")
    async with listening(client, "/live/wall") as ear:
        await until(lambda: ear.kinds("change"))
        assert len(ear.kinds("change")[0]["items"]) == 12
        number = ear.events[0][2]
    await ward.tell(opened_event("H005"))
    async with listening(client, "/live/wall", headers={"last-event-id": number}) as ear:
        await until(lambda: ear.kinds("change"))
        assert list(ear.kinds("change")[0]["items"]) == ["H005"]
    async with listening(client, "/live/wall", params={"since": "other.3"}) as ear:
        await until(lambda: ear.kinds("change"))
        assert len(ear.kinds("change")[0]["items"]) == 12


async def test_a_beat_tells_that_the_line_is_alive(ward: Any, until: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(web_live, "BEAT_S", 0.05)
    client = await ward.sign_in("N-01")
    async with listening(client, "/live/bar") as ear:
        await until(lambda: len(ear.kinds("beat")) >= 3)
        assert ear.kinds("beat")[0]["now"] == ward.desk.view.now // 1_000_000
    assert web_live.BEAT_S < 5


async def test_a_stream_ends_with_the_session(ward: Any, until: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(web_live, "BEAT_S", 0.02)
    client = await ward.sign_in("N-01")
    async with listening(client, "/live/bar") as ear:
        await until(lambda: ear.kinds("beat"))
        await client.post("/logout")
        await until(lambda: ear.ended)
        assert ear.kinds("out") == [{}]


async def test_what_became_of_a_message_reaches_the_card(
    ward: Any, until: Any, opened_event: Any, notice_for: Any, monkeypatch: Any
) -> None:
    event = opened_event("H001")
    await ward.tell(event, notice_for(event.alert))
    client = await ward.sign_in("N-01")
    async with listening(client, "/live/queue") as ear:
        await until(lambda: ear.kinds("change"))
        assert "送信待ち" in ear.kinds("change")[0]["items"][event.alert]
        key = notice_for(event.alert).key
        for status in ("sending", "sent", "delivered"):
            await ward.ledger.mark_notice(key, status=status, now=ward.clock)
        await until(lambda: "届いた" in ear.kinds("change")[-1]["items"].get(event.alert, ""), 4)
    assert web_app.OUTBOX_LOOK_S <= 1


async def test_closing_the_desk_ends_every_stream(ward: Any, until: Any) -> None:
    client = await ward.sign_in("N-01")
    async with listening(client, "/live/wall") as ear:
        await until(lambda: ear.kinds("change"))
        ward.desk.close()
        await until(lambda: ear.ended, 3)


async def test_the_order_is_told_again_only_when_it_has_changed(
    ward: Any, until: Any, opened_event: Any, a_tile: Any
) -> None:
    one, two = await ward.sign_in("N-01"), await ward.sign_in("N-02")
    async with listening(one, "/live/wall") as ear:
        await until(lambda: ear.kinds("change"))
        assert len(ear.kinds("change")[0]["order"]) == 12
        for sign in (1, 2):
            ward.tiles["H003"] = a_tile(2, last_sign=ward.desk.view.now - sign)
            ward.publish()
            await until(lambda sign=sign: len(ear.kinds("change")) > sign)
        assert ear.kinds("change")[-1]["order"] is None
        async with listening(two, "/live/wall") as later:  # whoever comes now gets it whole
            await until(lambda: later.kinds("change"))
            assert len(later.kinds("change")[0]["order"]) == 12
            await ward.tell(opened_event("H005"))
            await until(lambda: later.kinds("change")[-1]["order"] and ear.kinds("change")[-1]["order"])
            assert later.kinds("change")[-1]["order"][0] == ear.kinds("change")[-1]["order"][0] == "H005"


async def test_many_consoles_get_one_drawing(ward: Any, until: Any, opened_event: Any) -> None:
    client = await ward.sign_in("N-01")
    ears = [Ear() for _ in range(40)]

    async def console(ear: Ear) -> None:
        async with client.stream("GET", "/live/wall", timeout=None) as answer:
            await ear.listen(answer)

    client_limits = await ward.client(limits=httpx.Limits(max_connections=60), cookies=client.cookies)
    client = client_limits
    tasks = [asyncio.create_task(console(ear)) for ear in ears]
    await until(lambda: all(ear.kinds("change") for ear in ears), 10)
    await ward.tell(opened_event("H002"))
    await until(lambda: all(len(ear.kinds("change")) > 1 for ear in ears), 2)
    bodies = {json.dumps(ear.kinds("change")[-1]) for ear in ears}
    assert len(bodies) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
