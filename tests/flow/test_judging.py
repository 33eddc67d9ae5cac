"""A step of the engine runs beside everything else, one at a time, and nobody changes the engine under it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mimamori.service.judging import Judging


async def test_the_loop_goes_on_while_a_step_is_under_way() -> None:
    judging, go = Judging[int](), threading.Event()

    def step() -> int:
        assert go.wait(10)
        return 7

    over = asyncio.Event()
    await judging.begin(step, over.set)  # returns though the step is not over
    assert (judging.begun, judging.busy, judging.done) == (True, True, False)
    changing = asyncio.create_task(judging.still.acquire())
    await asyncio.sleep(0)
    assert not changing.done()
    assert not over.is_set()
    go.set()
    await asyncio.wait_for(over.wait(), 5)
    held: list[bool] = []
    assert await judging.end(lambda: held.append(not changing.done())) == 7
    assert held == [True]  # what belongs to the step is done before anybody else may change something
    assert await asyncio.wait_for(changing, 5)
    judging.still.release()
    assert (judging.busy, judging.begun) == (False, False)
    judging.close()


async def test_a_step_that_raises_is_told_and_holds_nothing() -> None:
    judging = Judging[int]()
    await judging.begin(lambda: 1 // 0, lambda: None)
    with pytest.raises(ZeroDivisionError):
        await judging.end(lambda: None)
    assert not judging.busy
    await judging.begin(lambda: 3, lambda: None)
    assert await judging.end(lambda: None) == 3
    judging.close()
