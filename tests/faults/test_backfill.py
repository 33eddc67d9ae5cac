"""A gateway that was offline for two days tells all of it at once: mosquitto, the service, the store, the ledger."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import paho.mqtt.client as mqtt
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import HISTORICAL
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger
from mimamori.store.records import Device, Resident

from .conftest import Mosquitto, Service, wait_for

MINUTES = 2 * 24 * 60
FAST = range(600, 640)  # minutes of the outage in which the heart was far too fast
A_MESSAGE = 240


async def register(service: Service) -> None:
    ledger = await Ledger.open(f"sqlite:///{service.data / 'ledger.sqlite'}")
    await ledger.put_resident(Resident(household="H000", code="A-000"))
    await ledger.put_device(Device(household="H000", device="bed1", profile="bed-sensor"))
    await ledger.close()


def rates(begin: int) -> list[tuple[int, float]]:
    """(ms, heart rate) of each minute of the two days."""
    return [(begin + i * 60_000, 140.0 if i in FAST else 60.0 + i % 7) for i in range(MINUTES)]


class Gateway:
    """One connection; `said` returns when the broker has acknowledged all that it was told to say."""

    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "gateway")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._sent: list[mqtt.MQTTMessageInfo] = []
        self.lives = 0

    def live(self) -> None:
        """What the bed says now."""
        self._say({"t": time.time_ns() // 1_000_000, "v": {"body_movement": 12}})
        self.lives += 1

    def back_fill(self, told: list[tuple[int, float]]) -> None:
        """Arrays in order, and something live between any two."""
        for begin in range(0, len(told), A_MESSAGE):
            self._say([{"t": t, "v": {"heart_rate": v, "in_bed": 1}} for t, v in told[begin : begin + A_MESSAGE]])
            self.live()

    def _say(self, what: object) -> None:
        self._sent.append(self._client.publish("mimamori/v1/H000/bed1/readings", json.dumps(what), qos=1))

    def said(self) -> None:
        for message in self._sent:
            message.wait_for_publish(60)
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.server
def test_two_days_of_back_fill_are_stored_in_order_and_raise_no_live_alarm(service: Service, broker: Mosquitto) -> None:
    service.data.mkdir()
    asyncio.run(register(service))
    service.start()
    wait_for(service.ticking)
    gateway = Gateway(broker.port)

    def is_heard() -> bool:  # before its first subscription the broker keeps nothing for the service
        gateway.live()
        return service.waiting() > 0

    wait_for(is_heard, what="the first readings")
    told, before = rates((time.time_ns() // MINUTE - MINUTES - 30) * 60_000), gateway.lives
    gateway.back_fill(told)
    gateway.back_fill(told[:A_MESSAGE])  # a part of it again
    gateway.said()
    wait_for(lambda: service.stored() >= 2 * (MINUTES + A_MESSAGE) + gateway.lives - before, 60, "all of it")
    service.stop()
    asyncio.run(check(service, told))


async def check(service: Service, told: list[tuple[int, float]]) -> None:
    homes, metrics = Homes(), Metrics()
    store = await EmbeddedReadings.open(service.data / "readings", homes=homes, metrics=metrics)
    try:
        for _ in range(2):  # as it lies there, and sealed
            (heart,) = await store.scan("H000", NEVER, 2**62, ["heart_rate"])
            assert list(zip((heart.taken // 1_000_000).tolist(), heart.value.tolist(), strict=True)) == told
            assert (np.diff(heart.got) >= 0).all(), "in the order in which they came, the first delivery of each"
            assert (heart.flags & HISTORICAL).all()
            (movement,) = await store.scan("H000", NEVER, 2**62, ["body_movement"])
            assert not (movement.flags & HISTORICAL).any(), "what is live is told as live between them"
            for step in (MINUTE, HOUR, DAY):
                rolled = await store.rollup("H000", "heart_rate", told[0][0] * 1_000_000 - DAY, 2**62, step=step)
                assert rolled.count.sum() == len(told)
                for at, n, mean in zip(rolled.start.tolist(), rolled.count.tolist(), rolled.mean.tolist(), strict=True):
                    mine = [v for t, v in told if at <= t * 1_000_000 < at + step]
                    assert (n, mean) == (len(mine), sum(mine) / len(mine))
            await store.seal()
    finally:
        await store.close()
    ledger = await Ledger.open(f"sqlite:///{service.data / 'ledger.sqlite'}", recover=False)
    try:
        raised = {e.rule for e in await ledger.alert_events() if e.household == "H000" and e.kind == "opened"}
        assert raised == set(), "a heart that was too fast the day before yesterday calls nobody tonight"
    finally:
        await ledger.close()
