"""From a device's MQTT message to the nurse's screen and telephone, and what bad input and restarts do to it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from mimamori.model.homes import Homes
from mimamori.model.times import DAY, MINUTE, SECOND, parse_instant
from mimamori.site import Site
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger

BED = "mimamori/v1/H001/bed1/readings"
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there

Running = Any  # conftest's Service: pytest gives no way to import it
Start = Callable[..., AbstractAsyncContextManager[Running]]
Alarm = Callable[[Running], Awaitable[dict[str, Any]]]
Until = Callable[..., Awaitable[Any]]


async def sms_of(running: Running, alert: str) -> list[dict[str, Any]]:
    return [n for n in await running.api.get("notices", alert=alert) if n["channel"] == "sms"]


async def test_a_fast_heart_reaches_the_nurse_and_is_acknowledged(
    service: Start, alarmed: Alarm, api_at: Callable[..., Any], until: Until
) -> None:
    async with service() as running:
        alert = await alarmed(running)
        assert (alert["household"], alert["category"], alert["priority"]) == ("H001", "resident", "high")
        assert (alert["state"], alert["owner"], alert["title"]) == ("open", None, "心拍数が範囲外")
        assert re.search("[ぁ-ん]", alert["why"]), alert["why"]
        assert "140" in alert["why"]
        assert alert["evidence"]
        assert [e["kind"] for e in alert["events"]][:2] == ["opened", "escalated"]

        async def arrived() -> list[dict[str, Any]]:
            return [n for n in await sms_of(running, alert["id"]) if n["status"] == "sent"]

        first = (await until(arrived))[-1]  # newest first
        assert first["kind"] == "first"
        assert first["recipient"] in {"N-01", "N-02", "N-03"}, "the day shift of a working day"
        assert first["address"].startswith("+8190"), "an administrator sees the whole number"
        assert "A-01" in first["text"]
        assert "心拍数" in first["text"]
        assert first["reason"]

        nurse = api_at(running.port, first["recipient"])
        answer = await nurse.act(alert["id"], "acknowledge", text="向かいます")
        assert answer.status_code == 200, answer.text

        async def taken() -> dict[str, Any] | None:
            now = await nurse.get(f"alerts/{alert['id']}")
            return now if now["state"] == "acknowledged" else None

        seen = await until(taken)
        assert seen["owner"] == first["recipient"]
        acknowledged = [e for e in seen["events"] if e["kind"] == "acknowledged"]
        assert [(e["by"], e["reason"]) for e in acknowledged] == [(first["recipient"], "向かいます")]

        before = {n["key"] for n in await sms_of(running, alert["id"]) if n["kind"] != "taken"}
        await running.passes(12 * MINUTE)  # two more steps would have been taken by now
        after = {n["key"] for n in await sms_of(running, alert["id"]) if n["kind"] != "taken"}
        assert after == before

        tile = await running.api.get("households/H001")
        assert tile["state"] == "alert"
        wrong = await nurse.client.get("/alerts", auth=(first["recipient"], "wrong-password-1"))
        assert wrong.status_code == 401


async def test_what_still_waits_to_be_sent_is_cancelled_by_an_acknowledgement(
    service: Start, alarmed: Alarm, api_at: Callable[..., Any], until: Until
) -> None:
    account = "AC" + "0" * 32
    away = {"twilio_account": account, "twilio_token": "t" * 32, "twilio_from": "+815000000000", "twilio_url": NOBODY}
    async with service(**away) as running:
        alert = await alarmed(running)

        async def tried() -> list[dict[str, Any]]:
            return [n for n in await sms_of(running, alert["id"]) if n["tries"]]

        waiting = (await until(tried))[0]
        assert waiting["status"] in {"planned", "sending"}
        assert (await running.api.act(alert["id"], "acknowledge")).status_code == 200

        async def withdrawn() -> bool:
            calls = [n for n in await sms_of(running, alert["id"]) if n["kind"] != "taken"]
            return bool(calls) and all(n["status"] == "cancelled" for n in calls)

        assert await until(withdrawn)
        again = await running.api.act(alert["id"], "resolve")
        assert again.status_code in {409, 422}, "a result is required"
        assert (await running.api.act(alert["id"], "resolve", outcome="false-alarm")).status_code == 200


BAD: dict[str, tuple[str, bytes, str]] = {
    "not JSON": (BED, b"{heart_rate: 62}", "not-json"),
    "plain text": (BED, b"heart_rate=62", "not-json"),  # begins like a text of CBOR, but ends elsewhere
    "empty": (BED, b"", "not-json"),
    "cut off": (BED, b'{"v": {"heart_rate": 6', "not-json"),
    "another shape": (BED, b'{"heart_rate": 62}', "bad-shape"),
    "no value": (BED, b'{"v": {}}', "bad-shape"),
    "SenML in another unit": (BED, b'[{"n": "heart_rate", "u": "W", "v": 62}]', "wrong-unit"),
    "NaN": (BED, b'{"v": {"heart_rate": NaN}}', "not-a-number"),
    "a word": (BED, b'{"v": {"heart_rate": "fast"}}', "not-a-number"),
    "out of range": (BED, b'{"v": {"heart_rate": 9000}}', "out-of-range"),
    "10 MB": (BED, b'{"v": {"heart_rate": 62' + b" " * 10_000_000 + b"}}", "too-large"),
    "unknown device": ("mimamori/v1/H001/bed9/readings", b'{"v": {"heart_rate": 62}}', "unknown-device"),
    "unknown household": ("mimamori/v1/H999/bed1/readings", b'{"v": {"heart_rate": 62}}', "unknown-device"),
    "unknown metric": (BED, b'{"v": {"heart_rat": 62}}', "unknown-metric"),
    "1970": (BED, b'{"t": 1000, "v": {"heart_rate": 62}}', "time-too-old"),
    "2100": (BED, b'{"t": "2100-01-01T00:00:00+09:00", "v": {"heart_rate": 62}}', "time-in-future"),
    "garbage": (BED, b"\x9f\x00\xfe\xff" * 700, "not-json"),
    "topic of no kind": ("mimamori/v1/H001/bed1/vitals", b'{"v": {"heart_rate": 62}}', "bad-topic"),
    "status of no kind": ("mimamori/v1/H001/bed1/status", b"perhaps", "bad-shape"),
}


async def test_bad_input_of_every_kind_is_counted_and_the_loop_goes_on(
    service: Start, site: Site, tmp_path: Path, until: Until
) -> None:
    async with service() as running:
        api, device = running.api, running.device
        for topic, payload, _ in BAD.values():
            await device.client.publish(topic, payload, qos=1)

        async def all_in() -> bool:
            return await api.count("quarantined") >= len(BAD)

        await until(all_in)
        told = await api.get("quarantine", limit=1000)
        expected: dict[str, int] = {}
        for _, _, reason in BAD.values():
            expected[reason] = expected.get(reason, 0) + 1
        assert told["counts"] == expected
        assert [(r["place"], r["reason"]) for r in reversed(told["rows"])] == [(t, r) for t, _, r in BAD.values()]
        for row in told["rows"]:
            assert len(row["mend"]) > 10, row
            assert len(row["payload"]) <= 4 * 500, "clipped, whatever it was"
        assert await api.count("readings") == 0

        await device.tell({"heart_rate": 62.0, "in_bed": 1.0})

        async def stored() -> bool:
            return await api.count("readings") == 2

        await until(stored)
        await running.passes(10 * SECOND)
        lights = {light["name"]: light["ok"] for light in (await api.get("status"))["lights"]}
        assert lights == {"broker": True, "store": True, "history": True, "ledger": True}
        assert await running.end() < 5
    assert await heart_rates(site, tmp_path) == [62.0]


async def heart_rates(site: Site, folder: Path) -> list[float]:
    """What the store holds, read without the service."""
    store = await EmbeddedReadings.open(folder / "data" / "readings", homes=Homes(), metrics=site.metrics)
    try:
        found = await store.scan("H001", parse_instant("2026-11-23T00:00:00Z"), 2**62, ["heart_rate"])
        return [value for series in found for value in series.value.tolist()]
    finally:
        await store.close()


async def test_a_stopped_service_goes_on_where_it_was(  # noqa: PLR0917 - fixtures
    service: Start, alarmed: Alarm, site: Site, tmp_path: Path, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with service() as running:
        alert = await alarmed(running)

        async def sent() -> bool:
            return any(n["status"] == "sent" for n in await sms_of(running, alert["id"]))

        await until(sent)
        await running.passes(10 * SECOND)
        tile = await running.api.get("households/H001")
        readings = await running.api.count("readings")
        assert await running.end() < 5
        ended = running.clock.now()
    before = await written(tmp_path)
    assert [v["metric"] for v in tile["values"]] == ["heart_rate"]
    rates = await heart_rates(site, tmp_path)
    assert len(rates) * 3 == readings
    assert set(rates) == {140.0}

    async with service(start=ended + 20 * SECOND) as running:
        again = await running.api.get("alerts", state="open")
        assert [(a["id"], a["opened"]) for a in again] == [(alert["id"], alert["opened"])]
        assert (await running.api.get("households/H001"))["values"] == tile["values"], "the engine's own columns"
        await running.passes(MINUTE)
        after = {n["key"]: n for n in await running.api.get("notices")}
        assert set(before) <= set(after)
        for key, (status, tries) in before.items():
            now = (after[key]["status"], after[key]["tries"])
            assert now == (status, tries) or (status == "planned" and now[1] <= 1), "said once, not again"
        assert not [k for k, n in after.items() if k not in before and n["kind"] == "first"]
        await running.device.tell({"heart_rate": 70.0})

        async def stored() -> bool:
            return await running.api.count("readings") == 1

        await until(stored)
        assert await running.end() < 5
    assert await heart_rates(site, tmp_path) == [*rates, 70.0]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("mimamori") and "snapshot" in r.message] == []


async def written(folder: Path) -> dict[str, tuple[str, int]]:
    """Status and tries of every notice in the ledger; its chain is whole and it holds the engine's mark."""
    ledger = await Ledger.open(f"sqlite:///{folder / 'data' / 'ledger.sqlite'}", recover=False)
    try:
        assert await ledger.verify() == []
        mark = await ledger.engine_mark()
        assert mark is not None
        assert len(mark.blob) > 100
        return {s.notice.key: (s.status, s.tries) for s in await ledger.notices()}
    finally:
        await ledger.close()


async def a_quiet_while(service: Start, until: Until) -> int:
    """A service that watched somebody in bed for three minutes and was stopped; when that was, ns."""
    async with service() as running:
        await running.device.tells({"in_bed": 1.0, "heart_rate": 62.0, "body_movement": 20.0}, 3 * MINUTE)

        async def stored() -> bool:
            return await running.api.count("readings") == 54

        await until(stored)
        await running.end()
        return running.clock.now()


async def test_downtime_is_not_quiet_time(service: Start, until: Until) -> None:
    """A service that was away for a day has learned nothing about anybody: no alert about a resident comes of it."""
    ended = await a_quiet_while(service, until)
    async with service(start=ended + DAY) as running:
        await running.passes(2 * MINUTE)
        assert [a for a in await running.api.get("alerts") if a["category"] == "resident"] == []


async def test_nor_is_a_slow_start_or_a_clock_set_in_it(service: Start, until: Until) -> None:
    """What passes between the catching up and the first tick was not watched: no device is silent for it."""
    ended = await a_quiet_while(service, until)
    async with service(start=ended + MINUTE, leap=DAY) as running:
        await running.passes(2 * MINUTE)
        assert await running.api.count("gaps") == 1
        raised = {a["rule"] for a in await running.api.get("alerts")}
        assert raised & {"device-silent", "gateway-silent"} == set()
        assert "pipeline-stalled" in raised, "and it is said"


async def test_two_people_may_not_both_take_an_alert_unseen(
    service: Start, alarmed: Alarm, api_at: Callable[..., Any], until: Until
) -> None:
    """Both answers come in at once; both are kept in the audit trail, and the later one is the owner."""
    async with service() as running:
        alert = await alarmed(running)
        one, two = api_at(running.port, "N-01"), api_at(running.port, "N-02")
        answers = await asyncio.gather(one.act(alert["id"], "acknowledge"), two.act(alert["id"], "acknowledge"))
        assert 200 in {a.status_code for a in answers}

        async def taken() -> dict[str, Any] | None:
            now = await one.get(f"alerts/{alert['id']}")
            return now if now["state"] == "acknowledged" else None

        seen = await until(taken)
        by = [e["by"] for e in seen["events"] if e["kind"] == "acknowledged"]
        assert len(by) == sum(a.status_code == 200 for a in answers)
        assert seen["owner"] == by[-1]
        assert json.dumps(seen).count("+8190") == 0, "no telephone number in an alert"
