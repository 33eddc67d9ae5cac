"""Random kill -9 and network cuts against the outbox, its real ledger and the stand-in Twilio. Prints JSON.

    python tests/notify/outbox_rounds.py --rounds 1000 --seed 1

Each round commits some notices, starts a sender in a process of its own, and kills it or cuts its network (or both)
at a random moment; the next one goes on from the ledger. At the end one sender is left alone until nothing waits.
Lost: in the ledger but never at the stand-in. Doubled: at the stand-in more often than once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from mimamori.model.notice import Notice
from mimamori.model.times import SECOND
from mimamori.notify.outbox import Backoff, Outbox
from mimamori.notify.sms import TwilioSms
from mimamori.notify.standin import Line, StandIn
from mimamori.store.ledger import Ledger
from mimamori.stream.clock import stopwatch, wall

ACCOUNT, TOKEN, OURS = "AC" + "0" * 32, "not-a-secret", "+815012345678"
PEOPLE, EACH = 4, 16
BACKOFF = Backoff(first=SECOND // 10, longest=SECOND // 2, tries=10_000)


def notices(number: int, now: int) -> list[Notice]:
    """The notices of one round; every text is another."""
    return [
        Notice(
            alert=f"A-{number:04d}/inactivity/20261124T000000Z", step=0, recipient=f"N-{i % PEOPLE}", channel="sms",
            round=i, kind="first", priority="high", address=f"+8190000000{i % PEOPLE:02d}",
            text=f"【見守り】高 A-{number:04d} 動きがない {i}", due=now, reason="escalated: first call",
        )
        for i in range(EACH)
    ]  # fmt: skip


async def send(ledger_url: str, network: str, number: int, *, drain: bool) -> None:
    """The process that dies: commits a round's notices and sends until nothing waits."""
    ledger = await Ledger.open(ledger_url)
    sms = TwilioSms(account=ACCOUNT, token=TOKEN, sender=OURS, base_url=network, seconds=2.0)
    outbox = Outbox(ledger, {"sms": sms}, backoff=BACKOFF, clock=wall)
    if not drain:
        await ledger.commit(events=[], notices=notices(number, wall()), now=wall())
    while {"planned", "sending"} & (await ledger.notice_counts()).keys():
        await outbox.run_once(wall())
        await asyncio.sleep(0.01)
    await sms.close()
    await ledger.close()


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def nursery() -> None:
    """Imports are paid once: each order on standard input forks a sender; its id, then its end, are told."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            asyncio.run(send(**order))
            os._exit(0)
        tell(str(child))
        os.waitpid(child, 0)
        tell("ended")


class Cable:
    """The network between sender and stand-in, which can be cut: every connection breaks, new ones are refused."""

    def __init__(self, port: int) -> None:
        self.port, self.down = port, False
        self.open: set[asyncio.StreamWriter] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        there, out = await asyncio.open_connection("127.0.0.1", self.port)
        self.open |= {writer, out}
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self._copy(reader, out), self._copy(there, writer))
        self.open -= {writer, out}

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()

    async def cut(self, seconds: float) -> None:
        self.down = True
        for writer in list(self.open):
            writer.transport.abort()
        await asyncio.sleep(seconds)
        self.down = False


async def rounds(count: int, seed: int, folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    standin = StandIn(account=ACCOUNT, token=TOKEN, clock=lambda: "", usual=Line(reports=()))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(standin.app, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    cable = Cable(listening.getsockname()[1])
    between = await asyncio.start_server(cable.carry, "127.0.0.1", 0)
    order = {
        "ledger_url": f"sqlite:///{folder / 'ledger.sqlite'}",
        "network": f"http://127.0.0.1:{between.sockets[0].getsockname()[1]}",
    }
    maker = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--nursery", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert maker.stdin is not None
    assert maker.stdout is not None

    async def start(number: int, *, drain: bool) -> int:
        maker.stdin.write((json.dumps({**order, "number": number, "drain": drain}) + "\n").encode())  # type: ignore[union-attr]
        return int(await maker.stdout.readline())  # type: ignore[union-attr]

    async def taken_or_ended(messages: int, ended: asyncio.Task[bytes]) -> None:
        while len(standin.messages) < messages and not ended.done():  # noqa: ASYNC110 - told by another process
            await asyncio.sleep(0.001)
        await asyncio.wait([ended], timeout=rng.uniform(0, 0.01))

    began, killed, cuts = stopwatch(), 0, 0
    for number in range(count):
        child = await start(number, drain=False)
        ended = asyncio.create_task(maker.stdout.readline())
        what = rng.choice(["kill", "cut", "both"], p=[0.5, 0.2, 0.3])
        # By messages, not by the clock, so that a fast or a slow machine is struck in the midst of sending as well.
        strikes = len(standin.messages) + rng.integers(0, EACH, 2)
        if what != "kill":
            await taken_or_ended(int(strikes[0]), ended)
            await cable.cut(rng.uniform(0.01, 0.2))
            cuts += 1
        if what != "cut":
            await taken_or_ended(int(strikes[1]), ended)
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(child, signal.SIGKILL)
                    killed += 1
        await ended
    await start(count, drain=True)
    async with asyncio.timeout(120):
        await maker.stdout.readline()
    maker.stdin.close()
    await maker.wait()
    ledger = await Ledger.open(order["ledger_url"], recover=False)
    states = await ledger.notices(limit=count * EACH + 1)
    await ledger.close()
    server.should_exit = True
    between.close()
    await serving
    taken = Counter((m.to, m.body) for m in standin.messages)
    committed = {(s.notice.address, s.notice.text) for s in states}
    return {
        "rounds": count, "seed": seed, "killed": killed, "cuts": cuts, "notices": len(states),
        "retried": sum(s.tries > 1 for s in states), "not_sent": sum(s.status != "sent" for s in states),
        "lost": len(committed - taken.keys()), "doubled": sum(n - 1 for n in taken.values()),
        "seconds": (stopwatch() - began) // SECOND,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nursery", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.nursery:
        nursery()
    else:
        with tempfile.TemporaryDirectory(prefix="mimamori-rounds-") as scratch:
            tell(json.dumps(asyncio.run(rounds(chosen.rounds, chosen.seed, Path(scratch)))))
