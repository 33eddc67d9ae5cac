"""The vendors' kit: a device that keeps the contract passes, and each way to break it is found by its own check."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from click.testing import CliRunner

from mimamori.cli import main
from mimamori.listen import listen, read_recording, write_recording
from mimamori.model.metrics import Metrics
from mimamori.model.times import MINUTE, SECOND, parse_instant
from mimamori.sensors.checks import CHECKS
from mimamori.sensors.conformance import examine, worst
from mimamori.sensors.heard import Heard
from mimamori.sensors.profile import Profile
from mimamori.stream.clock import wall

T0 = parse_instant("2026-11-23T06:00:00+09:00")
TOPIC = "mimamori/v1/h001/bed1/"
MS = 1_000_000


def reading(k: int, **more: Any) -> Heard:
    """The k-th message of a bed sensor, every 10 s, arriving 0.2 s after its time."""
    empty = 20 <= k < 30
    values: dict[str, Any] = {"body_movement": 0 if empty else 5, "in_bed": 0 if empty else 1}
    values |= {} if empty else {"heart_rate": 62, "respiration_rate": 14.5}
    told = {"t": (T0 + k * 10 * SECOND) // MS, "seq": k, "v": values} | more
    return Heard(topic=TOPIC + "readings", payload=json.dumps(told).encode(), got=T0 + k * 10 * SECOND + SECOND // 5,
                 qos=1, retained=False)  # fmt: skip


def status(word: bytes, at: int, *, retained: bool = True) -> Heard:
    return Heard(topic=TOPIC + "status", payload=word, got=at, qos=1, retained=retained)


def good() -> list[Heard]:
    """Online, twenty minutes, a break of the line with back-fill, and the end of it."""
    late = [reading(k) for k in range(120, 241)]
    parts = [json.loads(h.payload) for h in late]
    back = T0 + 2400 * SECOND + SECOND // 5
    fills = [
        replace(late[0], payload=json.dumps(parts[i : i + 40]).encode(), got=back + SECOND + i)
        for i in range(0, 121, 40)
    ]
    return [
        status(b"online", T0), *(reading(k) for k in range(120)), status(b"offline", T0 + 1230 * SECOND),
        status(b"online", back), *fills, *(reading(k) for k in range(241, 361)),
        status(b"offline", T0 + 3700 * SECOND),
    ]  # fmt: skip


STANDING = {TOPIC + "status": b"offline"}


@pytest.fixture
def bed(profiles: tuple[Profile, ...]) -> Profile:
    # a bed that lost its line for twenty minutes: silent for longer than a bed sensor may be, so the limit is loosened
    return next(p for p in profiles if p.name == "bed-sensor").model_copy(update={"silent_after": 30 * MINUTE})


def verdicts(heard: list[Heard], bed: Profile, standing: dict[str, bytes] | None = STANDING) -> dict[str, str]:
    reports, strays = examine(heard, standing, bed, Metrics())
    assert not strays
    assert [(r.household, r.device) for r in reports] == [("h001", "bed1")]
    return {f.check: f.verdict for f in reports[0].findings}


def test_a_device_that_keeps_the_contract_passes_every_check(bed: Profile) -> None:
    assert verdicts(good(), bed) == dict.fromkeys(CHECKS, "pass")


Change = Callable[[list[Heard]], list[Heard]]


def readings(change: Callable[[int, Heard], Heard | None]) -> Change:
    """Change or drop the k-th reading."""

    def all_of(heard: list[Heard]) -> list[Heard]:
        k, made = 0, []
        for h in heard:
            if not h.topic.endswith("readings"):
                made.append(h)
                continue
            new = change(k, h)
            k += 1
            made += [] if new is None else [new]
        return made

    return all_of


def values(**more: Any) -> Change:
    """Every thirtieth reading says these values too."""

    def change(k: int, h: Heard) -> Heard:
        told = json.loads(h.payload)
        if isinstance(told, list) or k % 30:
            return h
        told["v"] |= more
        return replace(h, payload=json.dumps(told).encode())

    return readings(change)


def shifted(by: Callable[[int], float]) -> Change:
    """The device's clock is `by(seconds since the start)` seconds ahead."""

    def change(_: int, h: Heard) -> Heard:
        told = json.loads(h.payload)
        for entry in told if isinstance(told, list) else [told]:
            entry["t"] += round(by((entry["t"] * MS - T0) // SECOND) * 1000)
        return replace(h, payload=json.dumps(told).encode())

    return readings(change)


def statuses(change: Callable[[Heard], Heard | None]) -> Change:
    def all_of(heard: list[Heard]) -> list[Heard]:
        return [n for h in heard if (n := change(h) if h.topic.endswith("status") else h) is not None]

    return all_of


def payloads(change: Callable[[int, bytes], bytes]) -> Change:
    return readings(lambda k, h: replace(h, payload=change(k, h.payload)))


def reversed_arrays(_: int, payload: bytes) -> bytes:
    told = json.loads(payload)
    return json.dumps(told[::-1]).encode() if isinstance(told, list) else payload


def swapped(heard: list[Heard]) -> list[Heard]:
    at = [i for i, h in enumerate(heard) if h.payload.startswith(b"[")]
    heard[at[0]], heard[at[1]] = heard[at[1]], heard[at[0]]
    return heard


FAULTS: list[tuple[str, Change, str, str]] = [
    ("no JSON", payloads(lambda k, p: b"hr=62" if k == 7 else p), "payload", "fail"),
    ("too large", payloads(lambda k, p: p + b" " * 300_000 if k == 7 else p), "size", "fail"),
    ("rather large", payloads(lambda k, p: p + b" " * 100_000 if k == 7 else p), "size", "warn"),
    ("a pulse of 999", values(heart_rate=999), "units and ranges", "fail"),
    ("a pulse as text", values(heart_rate="62"), "units and ranges", "fail"),
    ("an unknown name", values(puls=62), "units and ranges", "fail"),
    ("more than the profile names", values(temperature=21), "units and ranges", "warn"),
    ("less than the profile names", payloads(lambda _, p: p.replace(b'"respiration_rate": 14.5', b'"heart_rate": 62')),
     "units and ranges", "warn"),
    ("a pulse from an empty bed", payloads(lambda _, p: p.replace(b'"in_bed": 0', b'"in_bed": 0, "heart_rate": 75')),
     "empty bed", "warn"),
    ("nobody leaves", payloads(lambda _, p: p.replace(b'"in_bed": 0', b'"in_bed": 1')), "empty bed", "unseen"),
    ("no birth", statuses(lambda h: None if h.payload == b"online" else h), "birth", "pass"),  # the broker kept offline
    ("a birth nobody keeps", statuses(lambda h: replace(h, retained=h.payload != b"online")), "birth", "fail"),
    ("a late birth", lambda heard: [*heard[1:4], heard[0], *heard[4:]] if heard[0] else heard, "birth", "pass"),
    ("no death", statuses(lambda h: None if h.payload == b"offline" else h), "death", "unseen"),
    ("a death nobody keeps", statuses(lambda h: replace(h, retained=h.payload == b"online")), "death", "fail"),
    ("a long silence", readings(lambda k, h: None if k > 130 else h), "cadence", "pass"),
    ("three times too slow", readings(lambda k, h: h if k % 3 == 0 else None), "cadence", "warn"),
    ("a clock a minute and a half ahead", shifted(lambda _: 90), "clock", "fail"),
    ("a clock ten seconds slow", shifted(lambda _: -10), "clock", "warn"),
    ("a clock that gains a minute a day", shifted(lambda s: s * 60 / 86_400), "clock", "warn"),
    ("a clock that stands in 1970", shifted(lambda _: -T0 / SECOND), "clock", "fail"),
    ("newest first", payloads(reversed_arrays), "back-fill", "fail"),
    ("back-fill in disorder", swapped, "back-fill", "warn"),
    ("no back-fill", readings(lambda _, h: None if h.payload.startswith(b"[") else h), "back-fill", "unseen"),
    ("everything twice", lambda heard: [m for h in heard for m in (h, h)], "duplicates", "fail"),
    ("some twice", lambda heard: [m for i, h in enumerate(heard) for m in ((h, h) if i in {9, 19} else (h,))],
     "duplicates", "warn"),
    ("messages lost", readings(lambda k, h: None if k % 20 == 3 else h), "sequence", "fail"),
    ("one message lost", readings(lambda k, h: None if k == 33 else h), "sequence", "warn"),
    ("no numbers", payloads(lambda _, p: p.replace(b'"seq"', b'"n"')), "sequence", "unseen"),
    ("QoS 0", readings(lambda _, h: replace(h, qos=0)), "quality of service", "fail"),
    ("nobody knows the QoS", lambda heard: [replace(h, qos=None) for h in heard], "quality of service", "unseen"),
    ("readings kept by the broker", readings(lambda k, h: replace(h, retained=k == 5)), "retained readings", "fail"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "check", "verdict"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS])
def test_each_fault_is_found_by_its_own_check(bed: Profile, change: Change, check: str, verdict: str) -> None:
    assert verdicts(change(good()), bed)[check] == verdict


def test_the_readme_describes_every_check() -> None:
    text = (Path(__file__).parents[2] / "sensors" / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{check}` |" in text for check in CHECKS)


def test_silence_beyond_the_profile_is_a_fault(profiles: tuple[Profile, ...]) -> None:
    bed = next(p for p in profiles if p.name == "bed-sensor")
    assert verdicts(good(), bed)["cadence"] == "fail"


@pytest.mark.parametrize(("pause", "verdict"), [(0, "warn"), (4, "pass")])
def test_a_period_too_long_is_told_by_the_longest_pause(bed: Profile, pause: int, verdict: str) -> None:
    """A reading each ten seconds where the profile says a minute; with a pause of 40 s they may be events between."""
    slow = bed.model_copy(update={"period": MINUTE})
    heard = [reading(k) for k in range(60) if not 30 <= k < 30 + pause - 1]
    assert verdicts(heard, slow)["cadence"] == verdict
    assert verdicts(heard[:12], slow)["cadence"] == "pass"  # too short a watch to know


@pytest.mark.parametrize(
    ("standing", "check", "verdict"),
    [
        pytest.param({}, "death", "fail", id="the broker keeps no word of its death"),
        pytest.param({TOPIC + "status": b"online"}, "death", "fail", id="the broker still says online"),
        pytest.param(None, "death", "pass", id="nobody asked the broker"),
    ],
)
def test_what_the_broker_keeps_counts(
    bed: Profile, standing: dict[str, bytes] | None, check: str, verdict: str
) -> None:
    assert verdicts(good(), bed, standing)[check] == verdict


def test_readings_before_the_birth_and_after_the_death(bed: Profile) -> None:
    heard = [reading(k) for k in range(3)] + [status(b"online", T0 + 25 * SECOND)] + [reading(k) for k in range(3, 9)]
    assert verdicts(heard, bed, None)["birth"] == "warn"
    heard.append(status(b"offline", T0 + 85 * SECOND))
    heard += [reading(k) for k in range(10, 12)]
    assert verdicts(heard, bed, None)["death"] == "fail"
    assert verdicts([reading(k) for k in range(5)], bed, {})["birth"] == "fail"


def test_a_topic_that_nobody_reads_fails_the_watch(bed: Profile) -> None:
    heard = [*good(), replace(reading(0), topic="mimamori/v1/h001/bed1/data")]
    reports, strays = examine(heard, STANDING, bed, Metrics())
    assert [h.topic for h in strays] == ["mimamori/v1/h001/bed1/data"]
    assert worst(reports, strays) == "fail"
    assert worst(reports, []) == "pass"
    assert worst([], []) == "fail"


def test_a_vendors_own_topics_are_read_by_the_profile(bed: Profile) -> None:
    heard = [
        Heard(topic="bedco/h001/bed1/vitals", got=T0 + k * 10 * SECOND + SECOND // 5, qos=1, retained=False,
              payload=json.dumps({"ts": (T0 + k * 10 * SECOND) // MS, "vital": {"hr": 62, "rr": 14}, "act": 3,
                                  "bed": "on"}).encode())
        for k in range(60)
    ]  # fmt: skip
    found = verdicts(heard, bed, {})
    assert {found[c] for c in ("payload", "units and ranges", "cadence", "clock", "quality of service")} == {"pass"}
    assert found["birth"] == "unseen"


class TestCommand:
    def run(self, *words: str) -> Any:
        return CliRunner().invoke(main, ["conform", "--profile", "bed-sensor", *words])

    def test_a_recording_is_judged_the_same_after_a_round_trip(self, tmp_path: Path) -> None:
        file, page = tmp_path / "heard.jsonl", tmp_path / "page.html"
        heard = [*good()[:121], status(b"offline", T0 + 1230 * SECOND)]
        write_recording(file, [*heard, replace(heard[3], payload=b"\xff\x00")])
        assert read_recording(file)[:-1] == heard
        assert read_recording(file)[-1].payload == b"\xff\x00"
        write_recording(file, heard)
        told = self.run("--recording", str(file), "--json", "--report", str(page))
        assert told.exit_code == 0, told.output
        record = json.loads(told.stdout)
        assert record["verdict"] == "unseen"  # no back-fill happened
        assert [c["check"] for c in record["devices"][0]["checks"]] == list(CHECKS)
        text = page.read_text(encoding="utf-8")
        assert all(check in text for check in CHECKS)
        assert "<script" not in text

    def test_a_failed_check_is_exit_status_1_with_its_mend(self, tmp_path: Path) -> None:
        file = tmp_path / "heard.jsonl"
        write_recording(file, [replace(h, qos=0) for h in good()[:50]])
        told = self.run("--recording", str(file))
        assert told.exit_code == 1
        assert "-> publish with QoS 1" in told.output
        assert self.run("--recording", str(file), "--device", "other").exit_code == 1  # nothing was heard

    def test_a_device_of_another_kind_is_named_as_such(self, tmp_path: Path) -> None:
        file = tmp_path / "heard.jsonl"
        meter = [
            replace(h, topic=h.topic.replace("bed1", "meter1"), payload=b'{"v": {"power": 80}}')
            for h in good() if h.topic.endswith("readings")
        ]  # fmt: skip
        write_recording(file, sorted([*good(), *meter], key=lambda h: h.got))
        lines = self.run("--recording", str(file)).output.splitlines()
        [said] = [line for line in lines if "nothing of this profile, but power" in line]
        assert lines.index(said) > next(i for i, line in enumerate(lines) if line.startswith("h001/meter1: "))
        assert lines[-1].startswith("2 devices: ")

    def test_what_mosquitto_sub_prints_is_a_recording(self, tmp_path: Path) -> None:
        file = tmp_path / "sub.jsonl"
        lines = [
            {"tst": "2026-11-23T06:00:00.100000Z+0900", "topic": TOPIC + "status", "qos": 1, "retain": 1,
             "payloadlen": 6, "payload": "online"},
            {"tst": "2026-11-23T06:00:00.300000Z+0900", "topic": TOPIC + "readings", "qos": 1, "retain": 0,
             "payloadlen": 9, "payload": reading(0).payload.decode()},
        ]  # fmt: skip
        file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        kept, live = read_recording(file)
        assert kept.kept
        assert (live.got, live.retained, live.payload) == (T0 + 300 * MS, None, reading(0).payload)

    @pytest.mark.parametrize(
        ("words", "status", "says"),
        [
            ((), 2, "either --broker URL or --recording FILE"),
            (("--recording", "README.md", "--broker", "mqtt://x"), 2, "either --broker URL or --recording FILE"),
            (("--recording", "README.md"), 1, "README.md:1"),
            (("--recording", "README.md", "--profile", "bed"), 1, 'no profile "bed"'),
            (("--broker", "http://x"), 1, "is no broker"),
            (("--broker", "mqtt://127.0.0.1:9"), 1, "needs a broker with MQTT 5"),
        ],
    )
    def test_mistakes_are_named(self, words: tuple[str, ...], status: int, says: str) -> None:
        told = self.run(*words)
        assert told.exit_code == status
        assert says in told.output


@pytest.mark.server
class TestBroker:
    """Devices on a real mosquitto, watched as a vendor would."""

    async def play(self, mosquitto: Any, device: Callable[[Any], Any], bed: Profile) -> tuple[dict[str, str], int]:
        ready = asyncio.Event()
        async with asyncio.timeout(20), mosquitto() as server, asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(listen(server.url, ["mimamori/v1/#"], 1.5, wall, ready=ready.set))
            await ready.wait()
            await device(server)
            heard, standing = await watch
        reports, strays = examine(heard, standing, bed, Metrics())
        assert not strays
        return {f.check: f.verdict for f in reports[0].findings}, reports[0].messages

    def client(self, server: Any, will: aiomqtt.Will | None) -> aiomqtt.Client:
        return aiomqtt.Client("127.0.0.1", server.port, will=will, identifier="bed1", keepalive=5)

    async def test_a_good_device_that_loses_its_line(self, mosquitto: Any, bed: Profile) -> None:
        async def device(server: Any) -> None:
            will = aiomqtt.Will(TOPIC + "status", b"offline", qos=1, retain=True)
            with contextlib.suppress(aiomqtt.MqttError):
                async with self.client(server, will) as client:
                    await client.publish(TOPIC + "status", b"online", qos=1, retain=True)
                    for k in range(5):
                        told = {"t": wall() // MS - 5 + k, "seq": k, "v": {"heart_rate": 60, "in_bed": 1}}
                        await client.publish(TOPIC + "readings", json.dumps(told), qos=1)
                    client._client.socket().shutdown(2)  # the line breaks; nobody says goodbye
                    await client._disconnected

        found, messages = await self.play(mosquitto, device, bed)
        assert messages == 7
        names = (
            "payload",
            "birth",
            "death",
            "clock",
            "duplicates",
            "sequence",
            "quality of service",
            "retained readings",
        )
        assert {n: found[n] for n in names} == dict.fromkeys(names, "pass")

    async def test_a_bad_one(self, mosquitto: Any, bed: Profile) -> None:
        async def device(server: Any) -> None:
            async with self.client(server, None) as client:
                await client.publish(TOPIC + "status", b"online", qos=0)
                for k in range(5):
                    told = {"t": wall() // MS + 120_000 + k, "seq": 3 * k, "v": {"heart_rate": 10}}
                    await client.publish(TOPIC + "readings", json.dumps(told), qos=0, retain=True)

        found, _ = await self.play(mosquitto, device, bed)
        names = ("birth", "clock", "units and ranges", "sequence", "quality of service", "retained readings")
        assert {n: found[n] for n in names} == dict.fromkeys(names, "fail")
        assert found["death"] == "unseen"
