"""What was heard of a device under test, and what its messages say.

May import model and the pure files of sensors. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mimamori.model.homes import ID, Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import Rejected
from mimamori.model.times import NEVER, Nanos
from mimamori.sensors.decode import Decoder, Message
from mimamori.sensors.payload import read_mapped, read_payload, read_status
from mimamori.sensors.profile import TOPIC_ROOT, Profile
from mimamori.sensors.sample import MAX_PAYLOAD, Mistake, Said

Verdict = Literal["pass", "warn", "fail", "unseen"]
WORST: tuple[Verdict, ...] = ("pass", "unseen", "warn", "fail")
Standing = Mapping[str, bytes] | None
"""Topic -> payload that the broker kept at the end of the watch; None if nobody asked it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message as it was published. got: ns UTC, ours. qos: 0-2, None if unknown.

    retained: published with the retain flag, None if unknown. kept: came from the broker's memory at the start of the
    watch, not from a device now.
    """

    topic: str
    payload: bytes
    got: int
    qos: int | None = None
    retained: bool | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's outcome. seen: what was observed. mend: what the vendor should do ("" when nothing)."""

    check: str
    verdict: Verdict
    seen: str
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One device under test. findings: in the order of CHECKS."""

    household: str
    device: str
    messages: int
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its checks."""
        return max((f.verdict for f in self.findings), key=WORST.index)


@dataclass(slots=True)
class Device:
    """What was heard of one device. told: (message, what its payload says) of readings, own topics and the vendor's."""

    household: str
    name: str
    profile: Profile
    metrics: Metrics
    heard: list[Heard] = field(default_factory=list)
    told: list[tuple[Heard, Said]] = field(default_factory=list)
    status: list[tuple[Heard, float]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    broken: int = 0
    missing: int = 0

    def times(self) -> tuple[Nanos, Nanos]:
        """(as told, got) of every message of readings that gives one time, (n,) each. Arrays tell of a past."""
        pairs = [(s.taken[0], h.got) for h, s in self.told if len(set(s.taken)) == 1 and s.taken[0] != NEVER]
        both = np.array(pairs, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]


def place_of(topic: str, profile: Profile) -> tuple[str, str, str] | None:
    """(household, device, kind) of a topic of the contract or of the profile's own; None for any other."""
    parts = topic.split("/")
    if "/".join(parts[:2]) == TOPIC_ROOT:
        good = len(parts) == 5 and parts[4] in {"readings", "status", "wave"}
        return (parts[2], parts[3], parts[4]) if good and all(ID.match(p) for p in parts[2:4]) else None
    for entry in profile.mapping:
        match = entry.pattern.fullmatch(topic)
        if match is not None:
            return match["household"], match["device"], "mapped"
    return None


def read(device: Device, profile: Profile, metrics: Metrics) -> None:
    """Fills in what the messages say, by the very code that will read them in the service."""
    homes = Homes()
    homes.add_device(device.household, device.name, profile.name)
    decoder = Decoder(homes, metrics, [profile])
    live = [h for h in device.heard if not h.kept]
    decoded = decoder.decode([Message(topic=h.topic, payload=h.payload, got=h.got) for h in live], 0)
    device.rejected, device.missing = decoded.rejected, decoded.missing
    entries = {e.topic: e for e in profile.mapping}
    for message in live:
        kind = message.topic.rsplit("/", 1)[-1] if message.topic.startswith(TOPIC_ROOT) else "mapped"
        try:
            if len(message.payload) > MAX_PAYLOAD or kind == "wave":
                continue
            if kind == "status":
                device.status.append((message, read_status(message.payload)))
            elif kind == "mapped":
                entry = next(e for e in entries.values() if e.pattern.fullmatch(message.topic))
                device.told.append((message, read_mapped(message.payload, entry)))
            else:
                device.told.append((message, read_payload(message.payload, message.got, metrics)))
                device.seqs += _seqs(message.payload)
        except Mistake:
            device.broken += 1


def _seqs(payload: bytes) -> list[int]:
    try:
        document: Any = json.loads(payload)
    except ValueError:
        return []
    entries = document if isinstance(document, list) else [document]
    return [e["seq"] for e in entries if isinstance(e, dict) and isinstance(e.get("seq"), int)]
