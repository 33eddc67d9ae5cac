"""Declared absences through the running service: entered, held by the engine, told when they go wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from mimamori.model.declared import as_of
from mimamori.model.times import DAY, HOUR, MINUTE, iso, parse_instant
from mimamori.store.ledger import Ledger
from mimamori.store.records import Absence, Device, Resident

SPEED = 6000.0
MORNING = parse_instant("2026-11-24T06:00:00+09:00")
HOMES = ("AWAY", "QUIET", "VISITED")


async def entered(running: Any, what: str, method: str = "POST", **said: Any) -> Any:
    answer = await running.api.client.request(method, f"/admin/{what}", json={"reason": "ご家族から電話", **said})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def registered(ledger: Ledger) -> None:
    for household in HOMES:
        await ledger.put_resident(Resident(household=household, code=household))
        await ledger.put_device(Device(household=household, device="hall", profile="motion-sensor"))


async def away(running: Any, household: str, span: int) -> Any:
    now = running.clock.now()
    start, end = (iso(at, "Asia/Tokyo") for at in (now, now + span))
    return await entered(running, "absences", household=household, kind="stay", start=start, end=end)


async def life(running: Any, moving: set[str]) -> None:
    """Every sensor is heard; of the homes in `moving` it sees somebody. Until it is cancelled."""
    while True:
        for household in HOMES:
            now = running.clock.now() // 1_000_000
            values = {"motion": 1.0} if household in moving else {"heartbeat": 1.0}
            topic = f"mimamori/v1/{household}/hall/readings"
            await running.device.client.publish(topic, json.dumps({"t": now, "v": values}), qos=1)
        await running.clock.sleep_until(running.clock.now() + 5 * MINUTE)


async def alerts(running: Any) -> set[tuple[str, str]]:
    return {(a["household"], a["rule"]) for a in await running.api.get("alerts") if a["household"] in HOMES}


async def test_absences_hold_the_watch_and_are_told_when_they_go_wrong(
    service: Any, until: Any, tmp_path: Path
) -> None:
    moving, url = set(HOMES), f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}"
    ledger = await Ledger.open(url)
    await registered(ledger)
    async with service(speed=SPEED, start=MORNING) as running:
        living = asyncio.create_task(life(running, moving))
        await running.passes(HOUR)
        left = await away(running, "AWAY", 9 * HOUR)
        await away(running, "VISITED", 2 * DAY)

        async def heard() -> bool:
            return {"AWAY", "VISITED"} <= {d.household for d in await ledger.declarations()}

        await until(heard)

        async def gone() -> bool:
            tile = await running.api.get("households/AWAY")
            return (tile["state"], tile["absence"], tile["absent_until"]) == ("absent", "away", left["end"])

        await until(gone)
        moving -= {"AWAY", "QUIET", "VISITED"}
        await running.passes(3 * HOUR)
        moving.add("VISITED")  # hours after the beginning: not somebody who leaves late

        async def both() -> bool:
            return {("QUIET", "inactivity"), ("VISITED", "unexpected-presence")} <= await alerts(running)

        await until(both)
        assert ("AWAY", "inactivity") not in await alerts(running)
        living.cancel()
        await running.end()
        ended = running.clock.now()

    (entry,) = [a for a in await ledger.absences() if a.id == left["id"]]
    said = await ledger.declarations()
    assert as_of(said, ended)["AWAY"] == ((entry.start, entry.end),)
    assert entry.start <= min(d.at for d in said)
    gone = Absence(id="while-down", household="QUIET", kind="hospital", start=ended)
    await ledger.put_absence(gone)

    async with service(speed=SPEED, start=ended + 20 * MINUTE) as running:
        living = asyncio.create_task(life(running, moving))

        async def missed() -> bool:
            return ("AWAY", "not-returned") in await alerts(running)

        await until(missed)
        assert running.clock.now() > entry.end + 3 * HOUR
        assert ("AWAY", "inactivity") not in await alerts(running)
        living.cancel()
        await running.end()
    assert as_of(await ledger.declarations(), 2**62)["QUIET"] == ((gone.start, gone.end),)
    await ledger.close()
