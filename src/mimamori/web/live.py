"""The event stream: each change of the view is encoded once for all consoles that look at the same part.

May import the desk, guard, shapes and drawing. Raw ASGI answers; never holds the loop: a slow console is dropped and
catches up when it comes back with its last event's number.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mimamori.model.times import NEVER
from mimamori.web.desk import Change, Desk
from mimamori.web.guard import Caller, Web

BEAT_S = 2.0  # a console that hears nothing for 5 s says so
RECHECK = 15  # beats between two looks at whether the sign-in still holds
_BACKLOG = 64
_BEAT = b"event: beat\n"

_LOG = logging.getLogger(__name__)

Encode = Callable[[Change], Awaitable[str]]
"""A change as the JSON text of one event; awaited once for all who look at this part."""

May = Callable[[], Awaitable[bool]]
"""Whether the sign-in that opened a connection still holds."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(slots=True, eq=False)
class _Listener:
    """One console: messages that wait for its own task, None to end it; and its connection, for what need not wait."""

    send: Send
    waiting: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_BACKLOG))
    follows: bool = False  # has been told what it missed, so that what comes next may be told

    def tell(self, message: bytes | None) -> None:
        """At once if the connection takes it, else when its task gets to it.

        To wake the tasks of two hundred consoles eight times a second costs more than all that they then do.
        """
        if message is None or not self.follows or not self.waiting.empty() or not self._taken(message):
            self.wait(message)

    def wait(self, message: bytes | None) -> None:
        """Leave it to the task; a console that does not keep up is ended, and comes back for what it missed."""
        if self.waiting.full():
            while not self.waiting.empty():
                self.waiting.get_nowait()
            message = None
        self.waiting.put_nowait(message)

    def _taken(self, message: bytes) -> bool:
        """Whether the connection took it without waiting.

        If it had to wait after it was told, it is told twice, which harms nobody: an event says how things are.
        """
        sending = _write(self.send, message)
        try:
            sending.send(None)
        except StopIteration:
            return True
        except Exception:  # noqa: BLE001 - its own task meets the same and ends; the others are still to be told
            return False
        sending.close()
        return False


@dataclass(slots=True, eq=False)
class _Part:
    """One way of looking at the view, and who looks at it that way."""

    encode: Encode
    listeners: set[_Listener] = field(default_factory=set)
    whole: tuple[tuple[int, int], bytes] = ((-1, NEVER), b"")  # after an outage every console asks for it at once


class Live:
    """Fans changes out. `serve` is one console's connection; `run` is the one task that feeds them all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.failures = 0
        self._parts: dict[str, _Part] = {}
        self._life = f"{id(self):x}"  # numbers from another life of the service mean nothing in this one

    def listened(self) -> bool:
        """Whether any console is connected."""
        return any(part.listeners for part in self._parts.values())

    def offer(self, name: str, encode: Encode) -> None:
        """Add a part."""
        self._parts[name] = _Part(encode)

    async def run(self) -> None:
        """Feed every listener until the desk is closed."""
        beating = asyncio.create_task(self._beats(), name="beats")
        try:
            await self._changes()
        finally:
            beating.cancel()

    async def _beats(self) -> None:
        """One timer and one message for all: a timer for each of two hundred consoles costs more than messages."""
        while True:
            await asyncio.sleep(BEAT_S)
            message = self._beat()
            for part in self._parts.values():
                for listener in part.listeners:
                    listener.wait(message)

    async def _changes(self) -> None:
        async for change in self._desk.subscribe(self._desk.seq):
            for part in self._parts.values():
                if part.listeners:
                    message = await self._message(part, change)
                    for listener in part.listeners:
                        listener.tell(message)
        for part in self._parts.values():
            for listener in part.listeners:
                listener.wait(None)

    async def _message(self, part: _Part, change: Change) -> bytes | None:
        try:
            return self._event(change, await part.encode(change))
        except OSError as error:  # the ledger is away: end these listeners, whose consoles then say that they are lost
            self.failures += 1
            _LOG.warning("live: a part could not be drawn (%s)", type(error).__name__)
            return None

    async def serve(self, name: str, *, may: May, since: str, receive: Receive, send: Send) -> None:
        """Answer one connection: what it missed, then changes as they come, and a beat every 2 s, while it `may`."""
        part, listener = self._parts[name], _Listener(send)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        part.listeners.add(listener)
        gone = asyncio.create_task(_gone(receive, listener))
        try:
            await _write(send, await self._missed(part, since))
            listener.follows = True
            await self._feed(listener, may)
        except OSError:
            return  # the console went away in the middle of a message
        finally:
            part.listeners.discard(listener)
            gone.cancel()
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _missed(self, part: _Part, since: str) -> bytes:
        change = self._desk.changes(self._known(since))
        if change.since:
            return self._event(change, await part.encode(change))
        newest = (change.seq, change.view.now)
        if part.whole[0] != newest:
            part.whole = (newest, self._event(change, await part.encode(change)))
        return part.whole[1]

    async def _feed(self, listener: _Listener, may: May) -> None:
        beats = 0
        while (message := await listener.waiting.get()) is not None and not self._desk.closed:
            if message.startswith(_BEAT):
                beats += 1
                if beats % RECHECK == 0 and not await may():
                    await _write(listener.send, b"event: out\ndata: {}\n\n")
                    return
            await _write(listener.send, message)

    def _event(self, change: Change, body: str) -> bytes:
        return f"id: {self._life}.{change.seq}\nevent: change\ndata: {body}\n\n".encode()

    def _beat(self) -> bytes:
        view = self._desk.view
        now = None if view.now == NEVER else view.now // 1_000_000
        body = json.dumps({"now": now, "speed": view.speed, "ticks": self._desk.ticks})
        return _BEAT + f"data: {body}\n\n".encode()

    def mark(self) -> str:
        """The number that a page drawn now carries, to be told only what comes after it."""
        return f"{self._life}.{self._desk.seq}"

    def _known(self, since: str) -> int:
        life, _, number = since.partition(".")
        return int(number) if life == self._life and number.isdecimal() else 0


async def _gone(receive: Receive, listener: _Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.wait(None)


async def _write(send: Send, message: bytes) -> None:
    await send({"type": "http.response.body", "body": message, "more_body": True})


async def _still(web: Web, caller: Caller) -> bool:
    if not caller.token:
        person = await web.records.staff(caller.staff.id)
        return person is not None and person.active
    return await web.door.holder(caller.token, web.clock()) is not None


class LiveResponse(Response):
    """One console's connection, as what a route returns."""

    def __init__(self, live: Live, name: str, web: Web, caller: Caller, since: str) -> None:
        super().__init__()
        self._live, self._name, self._web, self._caller, self._since = live, name, web, caller, since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await self._live.serve(
            self._name, may=partial(_still, self._web, self._caller), since=self._since, receive=receive, send=send
        )
