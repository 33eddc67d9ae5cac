"""Webhooks against a real HTTP server that fails, is slow, says that it is gone; the outbox and the ledger are real."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response

from mimamori.model.notice import WEBHOOK
from mimamori.model.times import MINUTE, SECOND
from mimamori.notify.outbox import Outbox
from mimamori.notify.webhook import PATIENCE, WebhookLedger, Webhooks
from mimamori.store.ledger import Ledger
from mimamori.store.records import Access, Webhook

NOW = 1_795_000_000 * SECOND
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Receiver:
    """Another program: answers as told, checks every signature as the specification says, keeps what came."""

    def __init__(self) -> None:
        self.app, self.answers, self.got = FastAPI(), [], []
        self.hold = asyncio.Event()
        self.app.post("/hook")(self.take)

    async def take(self, request: Request) -> Response:
        body, head = await request.body(), request.headers
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
        right = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
        assert head["webhook-signature"] == f"v1,{right}"
        status = self.answers.pop(0) if self.answers else 204
        self.got.append((head["webhook-id"], json.loads(body)["n"], status))
        if status == 0:
            await self.hold.wait()
        return Response(status_code=status or 204)


@pytest.fixture
async def receiver(local_server: Any) -> AsyncIterator[tuple[Receiver, str]]:
    one = Receiver()
    server, task, url = await local_server(one.app)
    yield one, f"{url}/hook"
    one.hold.set()
    server.should_exit = True
    await task


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    found = await Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield found
    await found.close()


def told(notice: Any, url: str, n: int, **more: Any) -> Any:
    body = json.dumps({"n": n})
    return notice(n, recipient=f"{WEBHOOK}h1", channel="webhook", kind="event", address=url, text=body, due=NOW, **more)


async def hooked(ledger: Ledger, url: str) -> tuple[Webhooks, Outbox]:
    hook = Webhook(id="h1", url=url, secret=SECRET, by="AD-1", added=NOW)
    await ledger.enter(Access(who="AD-1", whose="", what="webhook", at=NOW), hook)
    sender = Webhooks(ledger, lambda: NOW, seconds=0.5)
    return sender, Outbox(WebhookLedger(ledger), {"webhook": sender}, backoff=PATIENCE, orderly=True)


async def statuses(ledger: Ledger) -> list[tuple[str, str]]:
    return [(s.status, s.detail) for s in reversed(await ledger.notices(recipient=f"{WEBHOOK}h1"))]


async def test_it_is_tried_again_in_order_until_it_is_taken(ledger: Ledger, receiver: Any, notice: Any) -> None:
    server, url = receiver
    server.answers = [500, 0, 302, 204, 204]
    sender, outbox = await hooked(ledger, url)
    await ledger.commit(events=[], notices=[told(notice, url, n) for n in (1, 2)], now=NOW)
    now, runs = NOW, []
    for _ in range(4):
        runs.append(await outbox.run_once(now))
        now += 2 * MINUTE
    await sender.close()
    assert [(r.retried, r.sent) for r in runs] == [(1, 0), (1, 0), (1, 0), (0, 2)]
    assert [n for _, n, _ in server.got] == [1, 1, 1, 1, 2]
    assert len({key for key, _, _ in server.got[:4]}) == 1  # one change, one id, however often it is told
    assert [status for status, _ in await statuses(ledger)] == ["sent", "sent"]


async def test_410_switches_it_off_and_nothing_more_is_sent(ledger: Ledger, receiver: Any, notice: Any) -> None:
    server, url = receiver
    server.answers = [410]
    sender, outbox = await hooked(ledger, url)
    await ledger.commit(events=[], notices=[told(notice, url, n) for n in (1, 2)], now=NOW)
    assert (await outbox.run_once(NOW)).failed == 2
    await sender.close()
    assert len(server.got) == 1
    (hook,) = await ledger.webhooks()
    assert (hook.active, hook.detail) == (False, "410")
    assert "answered 410" in (await ledger.accesses())[0].what
    assert any("answered 410" in detail for _, detail in await statuses(ledger))


async def test_a_receiver_that_is_away_fails_at_last_and_says_why(ledger: Ledger, notice: Any) -> None:
    url = "http://127.0.0.1:9/hook"
    sender, outbox = await hooked(ledger, url)
    await ledger.commit(events=[], notices=[told(notice, url, 1)], now=NOW)
    now = NOW
    for _ in range(PATIENCE.tries):
        await outbox.run_once(now)
        now += PATIENCE.longest
    await sender.close()
    ((status, detail),) = await statuses(ledger)
    assert (status, "given up after 24 tries" in detail) == ("failed", True)


async def test_people_and_programs_never_wait_for_each_other(ledger: Ledger, notice: Any) -> None:
    url = "http://127.0.0.1:9/hook"
    await hooked(ledger, url)
    await ledger.commit(events=[], notices=[told(notice, url, 1), notice(2, due=NOW)], now=NOW)
    assert [s.notice.channel for s in await ledger.due_notices(NOW)] == ["sms"]
    assert [s.notice.channel for s in await ledger.due_webhooks(NOW)] == ["webhook"]
    assert [s.notice.channel for s in await ledger.notices()] == ["sms"]  # pages about people show people
