"""The desk: the one meeting point between the loop and the web. The loop publishes views, the web sends commands.

May import model only (and the Records protocol). One event loop, no locks; never reads a clock, never touches a store.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeVar

from mimamori.model.alert import Alert, Priority
from mimamori.model.commands import Command, CommandError
from mimamori.model.times import NEVER
from mimamori.web.records import Records

TileState = Literal["ok", "watch", "alert", "unknown", "absent"]
Doing = Literal["in-bed", "up", "out", "unknown"]
Absent = Literal["", "away", "awaited"]
"""As declared: at home, away, or due home and not seen yet."""

Cause = Literal["service", "broker", "devices", "learning", "nobody"]
"""Why nobody watches: we did not run, no broker, no device speaks, rules still learn, nobody could be called."""

COALESCE_S = 0.12  # at most so long after the change before it
ANSWER_S = 10.0
_STATE_RANK = {"alert": 0, "watch": 1, "unknown": 2, "ok": 3, "absent": 4}
_PRIORITY_RANK = {"high": 0, "medium": 1, "low": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One household on the wall.

    priority: of its worst open alert, None without one. values: (metric, value, unit, taken in ns). last_sign: ns,
    NEVER if none. coverage: share of the last 24 h that was watched, 0..1, NaN = not known yet. absent_until: ns,
    of the absence that holds; NEVER: until further notice, or none holds.
    """

    household: str
    code: str
    room: str
    state: TileState
    doing: Doing
    priority: Priority | None
    headline_ja: str
    headline_en: str
    values: tuple[tuple[str, float, str, int], ...]
    last_sign: int
    coverage: float
    absence: Absent = ""
    absent_until: int = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which a household was not watched. begins, ends: ns; ends is NEVER while it goes on."""

    cause: Cause
    begins: int
    ends: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Whether one part of the service works, in words. since: ns, when it last changed."""

    name: str
    ok: bool
    text_ja: str
    text_en: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that the consoles show at one tick. now: ns of the loop's clock, which may run `speed` times as fast.

    alerts: every one that is not resolved, and those resolved lately. gaps: of the last 24 h, newest
    first, by household.
    """

    now: int
    zone: str
    speed: float
    tiles: tuple[Tile, ...]
    alerts: tuple[Alert, ...]
    lights: tuple[Light, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    gaps: Mapping[str, tuple[Gap, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What differs from the view numbered `since` (0: everything). `view` is the newest; its lists are the whole."""

    seq: int
    since: int
    view: View
    tiles: tuple[Tile, ...]
    alerts: tuple[Alert, ...]


EMPTY = View(now=NEVER, zone="Asia/Tokyo", speed=1.0, tiles=(), alerts=(), lights=())


Rank = tuple[int, int, int, tuple[tuple[int, str], ...]]


def rank(tile: Tile) -> Rank:
    """Where a tile stands on the wall: by state, priority, longest without a sign of life in an alert, then room."""
    longest = tile.last_sign if tile.state == "alert" else 0
    place = _natural(f"{tile.room} {tile.code} {tile.household}")
    return (_STATE_RANK[tile.state], _PRIORITY_RANK.get(tile.priority or "", 3), longest, place)


def worst_first(tiles: tuple[Tile, ...]) -> list[Tile]:
    """Alerts by priority and longest without a sign of life, then watch, unknown, ok, absent, each by room."""
    return sorted(tiles, key=rank)


@lru_cache(maxsize=20_000)  # asked for every household at each change of the wall
def _natural(text: str) -> tuple[tuple[int, str], ...]:
    """Room 102 before room 1001."""
    return tuple((int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", text))


def queue_order(alerts: tuple[Alert, ...]) -> list[Alert]:
    """What needs a hand first: open before acknowledged before resolved, then by priority, then the oldest.

    Resolved ones come newest first.
    """
    rank = {"open": 0, "acknowledged": 1, "resolved": 2}

    def key(alert: Alert) -> tuple[int, int, int]:
        if alert.state == "resolved":
            return (2, 0, -alert.resolved_at)
        return (rank[alert.state], _PRIORITY_RANK[alert.priority], alert.opened)

    return sorted(alerts, key=key)


class Desk:
    """Holds the newest view, numbers its changes, and carries commands to the loop.

    `commands` holds (command, answer): the loop sets the answer's result to None, or a CommandError as its exception.
    It must pass over a command whose answer is already done: the person was told that it failed.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        self.commands: asyncio.Queue[tuple[Command, asyncio.Future[None]]] = asyncio.Queue()
        self.seq = 0
        self.ticks = 0
        self.closed = False
        self.entered = asyncio.Event()  # set when an administrator has entered something; the loop's side clears it
        self._view = EMPTY
        self._tiles: dict[str, tuple[int, Tile]] = {}
        self._alerts: dict[str, tuple[int, Alert]] = {}
        self._wake = asyncio.Event()

    @property
    def view(self) -> View:
        """The newest view; empty with now = NEVER before the first tick."""
        return self._view

    def tile(self, household: str) -> Tile | None:
        """The household's tile in the newest view."""
        found = self._tiles.get(household)
        return found[1] if found else None

    def alert(self, alert: str) -> Alert | None:
        """The alert in the newest view."""
        found = self._alerts.get(alert)
        return found[1] if found else None

    def publish(self, view: View) -> None:
        """Called by the loop after each tick. Wakes subscribers only if something that people see has changed."""
        self.ticks += 1
        seq = self.seq + 1
        moved = self._take_tiles(view.tiles, seq)
        alerts = {a.id: _numbered(self._alerts.get(a.id), a, seq) for a in view.alerts}
        changed = (
            moved
            or any(n == seq for n, _ in alerts.values())
            or alerts.keys() != self._alerts.keys()
            or (view.lights, view.speed, view.zone) != (self._view.lights, self._view.speed, self._view.zone)
        )
        self._view, self._alerts = view, alerts
        if changed:
            self.seq = seq
            self._rouse()

    def _take_tiles(self, tiles: tuple[Tile, ...], seq: int) -> bool:
        """Numbers the tiles that changed; whether any did. Only those are touched where the households are the same."""
        before = self._view.tiles
        if tiles is before:
            return False
        others = [(held, t) for held, t in zip(before, tiles, strict=False) if held is not t]
        if len(before) == len(tiles) and all(held.household == t.household for held, t in others):
            fresh = {t.household: _numbered(self._tiles[t.household], t, seq) for _, t in others}
            self._tiles |= fresh
            return any(n == seq for n, _ in fresh.values())
        fresh = {t.household: _numbered(self._tiles.get(t.household), t, seq) for t in tiles}
        moved = fresh.keys() != self._tiles.keys() or any(n == seq for n, _ in fresh.values())
        self._tiles = fresh
        return moved

    def touch(self, alerts: list[str]) -> None:
        """Count these alerts as changed: something that belongs to them (what was sent) is new in the ledger."""
        known = [a for a in alerts if a in self._alerts]
        if known:
            self.seq += 1
            self._alerts |= {a: (self.seq, self._alerts[a][1]) for a in known}
            self._rouse()

    def changes(self, since: int) -> Change:
        """What differs between view number `since` and now; everything for 0 or a number from another life."""
        start = since if 0 <= since <= self.seq else 0
        return Change(
            seq=self.seq,
            since=start,
            view=self._view,
            tiles=tuple(t for n, t in self._tiles.values() if n > start),
            alerts=tuple(a for n, a in self._alerts.values() if n > start),
        )

    async def subscribe(self, since: int = 0) -> AsyncIterator[Change]:
        """Each change since `since`, at once and then at most every 120 ms; ends when the desk is closed."""
        while not self.closed:
            if self.seq == since:
                await self._wake.wait()
                continue
            change = self.changes(since)
            since = change.seq
            yield change
            await asyncio.sleep(COALESCE_S)

    async def send(self, command: Command) -> None:
        """Hand a command to the loop and wait for its answer. Raises CommandError on refusal or when none comes."""
        if self.closed:
            raise CommandError("the service is stopping; nothing was changed, try again in a minute")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.commands.put_nowait((command, answer))
        try:
            async with asyncio.timeout(ANSWER_S):
                await answer
        except TimeoutError:
            raise CommandError("the engine did not answer in 10 s; nothing was changed, try again") from None

    def close(self) -> None:
        """End every subscription, so that a server with open streams can stop at once."""
        self.closed = True
        self._rouse()

    def _rouse(self) -> None:
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()


T = TypeVar("T", Tile, Alert)


def _numbered(before: tuple[int, T] | None, now: T, seq: int) -> tuple[int, T]:
    if before and before[1] is now:
        return before
    # repr as the second opinion: two NaN are the same to a reader
    if before and (before[1] is now or before[1] == now or repr(before[1]) == repr(now)):
        return (before[0], now)
    return (seq, now)
