"""The event stream: who puts each event in place has the wall as drawn anew; who is held up holds up nobody else."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimamori.model.times import MINUTE
from mimamori.web import live as web_live
from mimamori.web.desk import Desk, View, worst_first
from mimamori.web.drawing import drawings
from mimamori.web.live import Live
from mimamori.web.parts import Wall

DRAWING = drawings()["ja"]
NOW = 1_790_000_000_000_000_000
RECORDS: Any = None  # the wall asks the ledger nothing
STEP = st.lists(
    st.tuples(
        st.integers(0, 6), st.sampled_from(("ok", "watch", "alert", "unknown", "absent", "gone")), st.integers(0, 3)
    ),
    max_size=4,
)


def view_of(tiles: dict[int, Any], now: int = NOW) -> View:
    return View(now=now, zone="Asia/Tokyo", speed=1.0, tiles=tuple(tiles.values()), alerts=(), lights=())


async def always() -> bool:
    return True


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=8), joins=st.sets(st.integers(0, 7)))
async def test_a_follower_has_the_wall_as_it_is(steps: list[Any], joins: set[int], a_tile: Any) -> None:
    desk, wall = Desk(RECORDS), Wall(DRAWING)
    tiles, order, items, since = {0: a_tile(0)}, [], {}, 0
    for n, step in enumerate(steps):
        for i, state, sign in step:
            if state == "gone":
                tiles.pop(i, None)
            else:
                tiles[i] = a_tile(
                    i, state, priority="high" if state == "alert" else None, last_sign=NOW - sign * MINUTE
                )
        desk.publish(view_of(tiles))
        if n in joins:  # somebody else's first event comes between
            await wall(desk.changes(0))
        told = json.loads(await wall(desk.changes(since)))
        order = order if told["order"] is None else told["order"]
        items |= told["items"]
        since = desk.seq
        placed = worst_first(desk.view.tiles)
        assert order == [t.household for t in placed]
        assert [items[h] for h in order] == [DRAWING.tile(t, desk.view) for t in placed]


class Line:
    """A console's connection that can be held up, as a full socket does. `came`: what was told, in order."""

    def __init__(self) -> None:
        self.came: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fresh = asyncio.Event()

    async def send(self, message: Any) -> None:
        await self.open.wait() if not self.open.is_set() else None
        self.came.append(message.get("body", b""))
        self.fresh.set()

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def has(self, text: str) -> None:
        async with asyncio.timeout(5):
            while not any(text.encode() in body for body in self.came):
                self.fresh.clear()
                await self.fresh.wait()


async def test_a_line_that_is_held_up_gets_all_in_order_and_holds_up_nobody(a_tile: Any) -> None:
    desk = Desk(RECORDS)
    live, wall = Live(desk), Wall(DRAWING)
    live.offer("wall.ja", wall)
    desk.publish(view_of({0: a_tile(0)}))
    slow, quick = Line(), Line()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(live.run())
        for line in (slow, quick):
            tasks.create_task(live.serve("wall.ja", may=always, since="", receive=line.receive, send=line.send))
        for line in (slow, quick):
            await line.has("H001")
        slow.open.clear()
        for n in range(3):
            desk.publish(view_of({0: a_tile(0, headline_ja=f"報せ{n}")}))
            await quick.has(f"報せ{n}")
        assert not any("報せ".encode() in body for body in slow.came)
        slow.open.set()
        await slow.has("報せ2")
        told = [json.loads(body.split(b"data: ")[1])["items"] for body in slow.came if b"event: change" in body]
        heads = [next(n for n in (2, 1, 0) if f"報せ{n}" in items["H001"]) for items in told[1:]]
        assert heads == [0, 1, 2]
        desk.close()


async def test_a_line_that_stays_held_up_is_ended(a_tile: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(web_live, "_BACKLOG", 2)
    monkeypatch.setattr("mimamori.web.desk.COALESCE_S", 0.0)
    desk = Desk(RECORDS)
    live = Live(desk)
    live.offer("wall.ja", Wall(DRAWING))
    desk.publish(view_of({0: a_tile(0)}))
    slow, quick = Line(), Line()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(live.run())
        serving = [
            tasks.create_task(live.serve("wall.ja", may=always, since="", receive=line.receive, send=line.send))
            for line in (slow, quick)
        ]
        for line in (slow, quick):
            await line.has("H001")
        slow.open.clear()
        for n in range(6):
            desk.publish(replace(view_of({0: a_tile(0, headline_ja=f"報せ{n}")}), now=NOW + n))
            await quick.has(f"報せ{n}")
        slow.open.set()
        async with asyncio.timeout(5):
            await serving[0]
        assert slow.came[-1] == b""
        assert not serving[1].done()
        desk.close()
