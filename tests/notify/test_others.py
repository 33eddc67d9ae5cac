"""E-mail and webhooks through the real library, to a real mail server and a real web server on this machine."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from mimamori.notify.others import Mail, Others


class Letters:
    """Keeps what it is given; refuses whom it is told to."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], str]] = []
        self.refuse = False

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        if self.refuse:
            return "451 try again later"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        self.letters.append((envelope.rcpt_tos, f"{message['subject']}\n{body.get_content()}"))
        return "250 ok"


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def post_office(letters: Letters) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(letters, hostname="127.0.0.1", port=port)
    controller.start()
    yield f"mailto://127.0.0.1:{port}?mode=insecure&from=ward@example.org"
    controller.stop()


async def test_a_letter_arrives(
    post_office: str, letters: Letters, notice: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one = notice(channel="email", address="n01@example.org")
    with caplog.at_level(logging.DEBUG):
        assert (await Mail(post_office).send(one)).outcome == "ok"
    (to, text) = letters.letters[0]
    assert to == ["n01@example.org"]
    assert one.text in text
    assert "高" in text.splitlines()[0]
    ours = [r.getMessage() for r in caplog.records if r.name != "mail.log"]  # the mail server of this test writes that
    assert not [m for m in ours if "n01@" in m or one.text in m]


async def test_a_mail_server_that_refuses_or_is_away_is_tried_again(
    post_office: str, letters: Letters, notice: Any
) -> None:
    letters.refuse = True
    one = notice(channel="email", address="n01@example.org")
    assert (await Mail(post_office).send(one)).outcome == "retry"
    assert (await Mail("mailto://127.0.0.1:9?mode=insecure&from=w@example.org").send(one)).outcome == "retry"


async def test_a_webhook_and_one_that_is_away(notice: Any) -> None:
    got: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        got.append(json.loads(await request.text()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    one = notice(channel="other", recipient="ward", address="ward")
    async with asyncio.timeout(30):
        both = Others([f"json://127.0.0.1:{port}/hook", "json://127.0.0.1:9/hook"])
        assert (await both.send(one)).outcome == "ok"
        assert (await Others(["json://127.0.0.1:9/hook"]).send(one)).outcome == "retry"
    await runner.cleanup()
    assert [g["message"] for g in got] == [one.text]


def test_an_address_that_is_not_understood_is_told_without_its_password() -> None:
    with pytest.raises(ValueError, match="nonsense://") as error:
        Mail("nonsense://user:secret@example.org")
    assert "secret" not in str(error.value)
