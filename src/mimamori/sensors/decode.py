"""Messages to columns: the fast path for what devices send all day, and the patient one for everything else.

May import model and the pure files of sensors. Pure: no I/O, no clock; a message never raises, it is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, repeat
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import CLOCK, HISTORICAL, ReadingBatch, Rejected, RejectReason
from mimamori.model.times import EPOCH_LOW, MINUTE, NEVER, Nanos
from mimamori.sensors.payload import read_mapped, read_payload, read_status
from mimamori.sensors.profile import Profile
from mimamori.sensors.route import Route, find_route
from mimamori.sensors.sample import MAX_PAYLOAD, Mistake, Said
from mimamori.sensors.unstamped import Unstamped
from mimamori.sensors.wave import Wave, read_wave

AHEAD = 10 * MINUTE
"""A stamp up to this far ahead of our clock is a doubtful clock, and flagged so; farther ahead it is set aside."""
CLOCK_STEP = 1_000_000
"""Ns: our clock tells whole milliseconds."""
BACK_FILL = 10 * MINUTE
"""A stamp older than this is back-fill: kept, and flagged historical."""
SCALED_DECIMALS = 6
"""A scaled value is the number that the device means: 214 at 0.1 is 21.4, not 21.400000000000002."""
CLIP = 1024  # bytes of a payload kept with a rejection


class Message(msgspec.Struct, frozen=True, gc=False):  # a dataclass, frozen, takes five times as long to make
    """One message as it came. got: ns UTC, our clock. retained: the broker kept it from an earlier time.

    mid: its packet id, -1 for QoS 0. dup: the broker says that it sent it before.
    """

    topic: str
    payload: bytes
    got: int
    retained: bool = False
    mid: int = -1
    dup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a run of messages says. `batch` and `rejected` are in order of arrival.

    retained: messages dropped because the broker kept them from an earlier time and they prove no life now.
    missing: values that are the device's own word for "no data". marks: to be stored with the batch, see `Unstamped`.
    """

    batch: ReadingBatch
    rejected: list[Rejected]
    waves: list[Wave]
    retained: int
    missing: int
    marks: bytes = b""


class _Plain(msgspec.Struct, gc=False):
    """The contract's object, as the fast path takes it. Bounds keep int64 safe; what lies outside goes the slow way."""

    v: dict[str, float]
    t: Annotated[datetime, msgspec.Meta(tz=True)] | Annotated[int, msgspec.Meta(ge=-(10**12), le=8 * 10**12)] | None = (
        None
    )
    seq: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] | None = None


@dataclass(slots=True)
class _Rows:
    """Readings as told, in order of message. msg: index of the message. taken: ns."""

    msg: NDArray[np.int64]
    names: list[str]
    value: NDArray[np.float64]
    taken: Nanos
    own_unit: NDArray[np.bool_]


@dataclass(slots=True)
class _Slow:
    """What the patient path gathers."""

    msg: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    own_unit: list[bool] = field(default_factory=list)
    mistakes: list[tuple[int, RejectReason, str]] = field(default_factory=list)
    waves: list[Wave] = field(default_factory=list)
    retained: int = 0

    def add(self, index: int, said: Said) -> None:
        """What message `index` says."""
        self.msg += [index] * len(said.names)
        self.names += said.names
        self.values += said.values
        self.taken += said.taken
        self.own_unit += said.own_unit
        self.mistakes += [(index, mistake.reason, mistake.mend) for mistake in said.mistakes]


class Decoder:
    """Knows the registry, the metrics and the profiles; `decode` may be called for one message or for thousands.

    Metrics added to the table later are unknown to it: make a new Decoder then. New households need nothing. unstamped:
    what is known of messages that came before a restart.
    """

    def __init__(
        self, homes: Homes, metrics: Metrics, profiles: Sequence[Profile], unstamped: Unstamped | None = None
    ) -> None:
        self._homes = homes
        self._metrics = metrics
        self._profiles = tuple(profiles)
        self._unstamped = Unstamped() if unstamped is None else unstamped
        self._index = {name: i for i, name in enumerate(metrics.names())}
        self._profile_row = {profile.name: i + 1 for i, profile in enumerate(profiles)}  # row 0: no profile
        self._parse = msgspec.json.Decoder(_Plain).decode
        self._routes: dict[str, Route] = {}  # of registered devices only, so bounded by the registry
        self._readings: dict[str, int] = {}  # topic of `readings` -> device row
        shape = (len(profiles) + 1, len(metrics))
        low, high = metrics.limits()
        self._low, self._high = np.tile(low, (shape[0], 1)), np.tile(high, (shape[0], 1))
        self._scale, self._offset = np.ones(shape), np.zeros(shape)
        self._no_data: list[tuple[int, int, tuple[float, ...]]] = []
        for row, profile in enumerate(profiles, 1):
            for name, measure in profile.metrics.items():
                column = self._index[name]
                self._scale[row, column] = 1.0 if measure.scale is None else measure.scale
                self._offset[row, column] = measure.offset
                self._low[row, column] = low[column] if measure.low is None else measure.low
                self._high[row, column] = high[column] if measure.high is None else measure.high
                if measure.no_data:
                    self._no_data.append((row, column, measure.no_data))

    def decode(self, messages: Sequence[Message], now: int) -> Decoded:
        """Columns and rejections of the messages, in their order. Never raises for what a message holds.

        now: ns UTC, written on rejections; readings are judged by the `got` of their own message.
        """
        self._unstamped.passed(len(messages))
        slow = _Slow()
        rows, device = self._read(messages, slow)
        mistakes = slow.mistakes
        batch, missing = self._judge(messages, rows, device, mistakes)
        seen: set[tuple[int, str]] = set()
        rejected = []
        for index, reason, mend in sorted(mistakes, key=lambda m: m[0]):
            if (index, reason) not in seen:  # one rejection for each reason of a message, however many values
                seen.add((index, reason))
                message = messages[index]
                rejected.append(
                    Rejected(
                        place=message.topic[:200], reason=reason, mend=mend, payload=message.payload[:CLIP], at=now
                    )
                )
        return Decoded(
            batch=batch, rejected=rejected, waves=slow.waves, retained=slow.retained, missing=missing,
            marks=self._unstamped.fresh(),
        )  # fmt: skip

    def _read(self, messages: Sequence[Message], slow: _Slow) -> tuple[_Rows, NDArray[np.int32]]:
        """The rows of all messages, in order, and the device row of each message (-1: none)."""
        device = np.full(len(messages), -1, np.int32)
        quick: list[int] = []
        plain: list[_Plain] = []
        devices: list[int] = []
        arrived: list[int] = []
        known, parse = self._readings, self._parse
        for index, message in enumerate(messages):
            row = known.get(message.topic)
            if row is None:
                row = self._first_time(message.topic)
            if row is not None and not message.retained and len(message.payload) <= MAX_PAYLOAD:
                try:
                    told = parse(message.payload)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    pass
                else:
                    if told.v:
                        if told.t is None:
                            arrived.append(self._unstamped.first(message, told.seq))
                        quick.append(index)
                        plain.append(told)
                        devices.append(row)
                        continue
            device[index] = self._read_slowly(index, message, slow)
        device[quick] = devices
        taken = np.fromiter(map(_taken, plain), np.int64, len(plain))
        taken[taken == NEVER] = arrived
        return _in_order(_columns(quick, plain, taken), slow), device

    def _read_slowly(self, index: int, message: Message, slow: _Slow) -> int:
        """Adds what one message says to `slow`; its device row, -1 if it has none."""
        try:
            if len(message.payload) > MAX_PAYLOAD:
                raise Mistake("too-large", f"send at most {MAX_PAYLOAD // 1024} kB in one message")  # noqa: TRY301
            route = self._routes.get(message.topic) or self._learn(message.topic)
            if route.kind == "status":
                alive = read_status(message.payload)
                if message.retained and alive:
                    slow.retained += 1  # "online" of yesterday proves nothing; "offline" is the will's last word
                else:
                    told = self._unstamped.first(message, None)
                    slow.add(index, Said(names=["heartbeat"], values=[alive], taken=[told], own_unit=[True]))
            elif message.retained:
                slow.retained += 1
            elif route.kind == "wave":
                slow.waves.append(read_wave(message.payload, route.home, route.device, message.got))
            else:
                slow.add(index, self._read_once(message, route))
        except Mistake as mistake:
            slow.mistakes.append((index, mistake.reason, mistake.mend))
            return -1
        return route.device

    def _read_once(self, message: Message, route: Route) -> Said:
        """What it says; times that hang on the arrival hang on that of its first coming."""

        def read(got: int) -> Said:
            if route.entry is not None:
                return read_mapped(message.payload, route.entry)
            return read_payload(message.payload, got, self._metrics)

        said = read(message.got)
        if said.by_arrival:
            first = self._unstamped.first(message, said.seq)
            said = said if first == message.got else read(first)
            said.taken = [first if t == NEVER else t for t in said.taken]
        return said

    def forget(self) -> None:
        """Look every topic up again: devices were retired or have come back."""
        self._routes.clear()
        self._readings.clear()

    def _first_time(self, topic: str) -> int | None:
        """Device row of a topic of readings that is heard for the first time; None for all others."""
        if topic in self._routes:
            return None
        try:
            route = self._learn(topic)
        except Mistake:
            return None  # the patient path tells it
        return route.device if route.kind == "readings" else None

    def _learn(self, topic: str) -> Route:
        route = find_route(topic, self._homes, self._profiles)
        self._routes[topic] = route
        if route.kind == "readings":
            self._readings[topic] = route.device
        return route

    def _judge(
        self,
        messages: Sequence[Message],
        rows: _Rows,
        devices: NDArray[np.int32],
        mistakes: list[tuple[int, RejectReason, str]],
    ) -> tuple[ReadingBatch, int]:
        """The rows that pass the profile's and the clock's rules as a batch; how many were "no data"."""
        n = len(rows.names)
        metric = np.fromiter(map(self._index.get, rows.names, repeat(-1)), np.int16, n)
        device = devices[rows.msg]
        got = np.fromiter((m.got for m in messages), np.int64, len(messages))[rows.msg]
        profile = self._profile_rows(devices)[rows.msg]
        factor, shift = self._scale[profile, metric], self._offset[profile, metric]
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.round(rows.value * factor + shift, SCALED_DECIMALS)
            value = np.where(rows.own_unit | ((factor == 1) & (shift == 0)), rows.value, scaled)
        taken = rows.taken
        missing = np.zeros(n, bool)
        for row, column, words in self._no_data:
            missing |= (profile == row) & (metric == column) & np.isin(rows.value, words)
        in_range = (value >= self._low[profile, metric]) & (value <= self._high[profile, metric])
        known, fresh, past = metric >= 0, taken >= EPOCH_LOW, taken - got <= AHEAD
        good = known & fresh & past & in_range & ~missing
        if not good.all():
            self._blame(rows, metric, profile, (known, missing, fresh, past, in_range), mistakes)
        ahead = taken - got >= CLOCK_STEP
        flags = np.where(ahead, CLOCK, 0) | np.where(taken < got - BACK_FILL, HISTORICAL, 0)
        batch = ReadingBatch(
            home=self._home_rows(devices)[rows.msg], device=device, metric=metric, value=value,
            taken=taken, got=got, flags=flags.astype(np.uint8),
        )  # fmt: skip
        return (batch if good.all() else batch.take(good)), int((missing & known).sum())

    def _blame(
        self,
        rows: _Rows,
        metric: NDArray[np.int16],
        profile: NDArray[np.int64],
        masks: tuple[NDArray[np.bool_], ...],
        mistakes: list[tuple[int, RejectReason, str]],
    ) -> None:
        """Says what is wrong with each row that did not pass; the first rule it breaks is the one named."""
        known, missing, fresh, past, in_range = masks
        for i in np.flatnonzero(~(known & fresh & past & in_range)):
            name, index = rows.names[i][:64], int(rows.msg[i])
            if not known[i]:
                mend = f'metric "{name}" is not known; correct the name, or declare it in the profile'
                mistakes.append((index, "unknown-metric", mend))
            elif missing[i]:
                continue
            elif not fresh[i]:
                mistakes.append((index, "time-too-old", "set the device's clock; t is epoch milliseconds or ISO 8601"))
            elif not past[i]:
                mistakes.append((index, "time-in-future", "set the device's clock, or leave t out if it has none"))
            else:
                low, high = self._low[profile[i], metric[i]], self._high[profile[i], metric[i]]
                unit = self._metrics[int(metric[i])].unit
                mend = f"{name} lies between {low:g} and {high:g} {unit}; check the unit and the sensor"
                mistakes.append((index, "out-of-range", mend))

    def _profile_rows(self, devices: NDArray[np.int32]) -> NDArray[np.int64]:
        profile_of, row_of = self._homes.profile_of, self._profile_row
        return np.fromiter(
            (row_of.get(profile_of[d], 0) if d >= 0 else 0 for d in devices.tolist()), np.int64, len(devices)
        )

    def _home_rows(self, devices: NDArray[np.int32]) -> NDArray[np.int32]:
        home_of = self._homes.device_home
        return np.fromiter((home_of[d] if d >= 0 else -1 for d in devices.tolist()), np.int32, len(devices))


def _columns(quick: list[int], plain: list[_Plain], taken: Nanos) -> _Rows:
    counts = np.fromiter((len(p.v) for p in plain), np.int64, len(plain))
    n = int(counts.sum())
    return _Rows(
        msg=np.repeat(np.array(quick, np.int64), counts),
        names=list(chain.from_iterable(p.v for p in plain)),
        value=np.fromiter(chain.from_iterable(p.v.values() for p in plain), np.float64, n),
        taken=np.repeat(taken, counts),
        own_unit=np.zeros(n, bool),
    )


def _taken(plain: _Plain) -> int:
    t = plain.t
    if t.__class__ is int:
        return t * 1_000_000
    # Exact: a double holds microseconds of our centuries to a quarter of one.
    return NEVER if t is None else round(t.timestamp() * 1e6) * 1000  # type: ignore[union-attr]


def _in_order(rows: _Rows, slow: _Slow) -> _Rows:
    """Both paths' rows together, in order of message; rows of one message keep theirs."""
    if not slow.msg:
        return rows
    msg = np.concatenate((rows.msg, np.array(slow.msg, np.int64)))
    order = np.argsort(msg, kind="stable")
    names = rows.names + slow.names
    return _Rows(
        msg=msg[order],
        names=[names[i] for i in order.tolist()],
        value=np.concatenate((rows.value, np.array(slow.values, np.float64)))[order],
        taken=np.concatenate((rows.taken, np.array(slow.taken, np.int64)))[order],
        own_unit=np.concatenate((rows.own_unit, np.array(slow.own_unit, bool)))[order],
    )
