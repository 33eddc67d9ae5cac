"""The desk: changes are numbered and coalesced, commands get the loop's answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mimamori.model.commands import Command, CommandError
from mimamori.web import desk as module
from mimamori.web.desk import Change, Desk, Tile, View, worst_first

A_TILE = Callable[..., Tile]


def view_of(*tiles: Tile) -> View:
    return View(now=1, zone="Asia/Tokyo", speed=1.0, tiles=tiles, alerts=(), lights=())


@pytest.fixture
def desk() -> Desk:
    records: Any = None  # the desk hands the ledger on and never calls it
    return Desk(records)


def test_worst_comes_first_and_rooms_count_as_numbers(a_tile: A_TILE) -> None:
    tiles = (
        a_tile(0, "ok", room="1001"), a_tile(1, "ok", room="102"), a_tile(2, "absent"), a_tile(3, "unknown"),
        a_tile(4, "alert", priority="low"), a_tile(5, "alert", priority="high", last_sign=20),
        a_tile(6, "alert", priority="high", last_sign=10), a_tile(7, "watch"),
    )  # fmt: skip
    order = [t.household for t in worst_first(tiles)]
    assert order == ["H007", "H006", "H005", "H008", "H004", "H002", "H001", "H003"]


def test_only_what_changed_is_told(desk: Desk, a_tile: A_TILE) -> None:
    desk.publish(view_of(a_tile(0), a_tile(1)))
    first = desk.seq
    assert {t.household for t in desk.changes(0).tiles} == {"H001", "H002"}
    desk.publish(view_of(a_tile(0), a_tile(1, state="watch")))
    change = desk.changes(first)
    assert [t.household for t in change.tiles] == ["H002"]
    assert len(change.view.tiles) == 2


def test_a_view_that_looks_the_same_wakes_nobody(desk: Desk, a_tile: A_TILE) -> None:
    desk.publish(view_of(a_tile(3, coverage=math.nan)))
    desk.publish(replace(view_of(a_tile(3, coverage=float("nan"))), now=2))
    assert (desk.seq, desk.ticks, desk.view.now) == (1, 2, 2)


def test_a_number_from_another_life_gets_everything(desk: Desk, a_tile: A_TILE) -> None:
    desk.publish(view_of(a_tile(0)))
    assert len(desk.changes(99).tiles) == 1


def test_a_household_that_left_is_a_change(desk: Desk, a_tile: A_TILE) -> None:
    desk.publish(view_of(a_tile(0), a_tile(1)))
    seq = desk.seq
    desk.publish(view_of(a_tile(0)))
    assert desk.seq > seq
    assert [t.household for t in desk.changes(seq).view.tiles] == ["H001"]


async def test_changes_are_coalesced(desk: Desk, a_tile: A_TILE) -> None:
    told: list[Change] = []

    async def listen() -> None:
        told.extend([change async for change in desk.subscribe()])

    listening = asyncio.create_task(listen())
    start = asyncio.get_running_loop().time()
    for i in range(200):
        desk.publish(view_of(a_tile(0, last_sign=i)))
        await asyncio.sleep(0.001)
    await asyncio.sleep(2 * module.COALESCE_S)
    took = asyncio.get_running_loop().time() - start
    desk.close()
    await listening
    assert told[-1].view.tiles[0].last_sign == 199
    assert 2 <= len(told) <= took / module.COALESCE_S + 2


async def test_a_command_waits_for_the_answer(desk: Desk) -> None:
    command = Command(action="acknowledge", alert="H001/inactivity/1", by="N-01")
    sending = asyncio.create_task(desk.send(command))
    got, answer = await desk.commands.get()
    assert got == command
    assert not sending.done()
    answer.set_result(None)
    await sending


async def test_a_refusal_reaches_the_sender(desk: Desk) -> None:
    sending = asyncio.create_task(desk.send(Command(action="resolve", alert="x", by="N-01")))
    _, answer = await desk.commands.get()
    answer.set_exception(CommandError("an outcome is required; choose one"))
    with pytest.raises(CommandError, match="an outcome is required"):
        await sending


async def test_a_loop_that_stands_still_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.02)
    with pytest.raises(CommandError, match="did not answer"):
        await desk.send(Command(action="note", alert="x", by="N-01", text="見回り"))
    _, answer = desk.commands.get_nowait()
    assert answer.cancelled()  # so that the loop passes over it
