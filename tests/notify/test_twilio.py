"""The official package against the stand-in over loopback: what is sent, what its answers mean, what comes back."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from mimamori.notify.callback import genuine, newer, read_answer, read_report
from mimamori.notify.codes import CODES, judge
from mimamori.notify.outbox import Outbox
from mimamori.notify.sms import TwilioSms
from mimamori.notify.standin import Line

ACCOUNT, TOKEN, OURS = "AC" + "0" * 32, "not-a-secret", "+815012345678"
NOW = 1_795_000_000 * 1_000_000_000


def sender(network: Any, **more: Any) -> TwilioSms:
    fields = {
        "account": ACCOUNT, "token": TOKEN, "sender": OURS, "base_url": network.url,
        "status_url": f"{network.desk.url}/sms/status",
    }  # fmt: skip
    return TwilioSms(**fields | more)


async def test_a_message_is_taken_and_its_delivery_reported(network: Any, memory: Any, notice: Any) -> None:
    one = notice()
    memory.commit(one)
    sms = sender(network)
    network.expect(one)
    counts = await Outbox(memory, {"sms": sms}).run_once(NOW)
    await sms.close()
    await network.standin.settle()
    assert counts.sent == 1
    key = memory.rows[one.key].provider_id
    assert key.startswith("SM")
    assert len(key) == 34
    assert [(r.provider_id, r.status) for r in network.desk.reports] == [(key, "sent"), (key, "delivered")]
    assert network.desk.refused == 0
    assert network.standin.messages[0].sender == OURS


async def test_through_a_messaging_service(network: Any, notice: Any) -> None:
    sms = sender(network, sender="MG" + "1" * 32, status_url="")
    network.expect(notice())
    answer = await sms.send(notice())
    await sms.close()
    assert (answer.outcome, answer.detail) == ("ok", "Twilio: accepted")


@pytest.mark.parametrize(
    ("line", "outcome", "words"),
    [
        (Line(refuse=21211), "never", "not valid"), (Line(refuse=21614), "never", "cannot receive SMS"),
        (Line(refuse=21610), "never", "STOP"), (Line(refuse=20429, http=429), "retry", "too many requests"),
        (Line(refuse=20500, http=500), "retry", "HTTP 500"), (Line(refuse=30002, http=403), "retry", "suspended"),
        (Line(refuse=29999, http=400), "never", "HTTP 400"),
    ],
)  # fmt: skip
async def test_refusals_are_sorted(network: Any, notice: Any, line: Line, outcome: str, words: str) -> None:
    network.standin.lines[notice().address] = line
    sms = sender(network)
    answer = await sms.send(notice())
    await sms.close()
    assert answer.outcome == outcome
    assert words in answer.detail
    assert notice().address not in answer.detail


async def test_the_wrong_key_is_retried_until_it_is_mended(network: Any, notice: Any) -> None:
    sms = sender(network, token="wrong")
    answer = await sms.send(notice())
    await sms.close()
    assert (answer.outcome, "check the Twilio settings" in answer.detail) == ("retry", True)


@pytest.mark.parametrize(
    ("number", "text", "code"), [("090-1234", "a", 21211), ("+81900000", "a" * 1601, 21617), ("+81900000", "", 21602)]
)
async def test_the_stand_in_refuses_what_the_real_one_does(
    network: Any, notice: Any, number: str, text: str, code: int
) -> None:
    sms = sender(network)
    answer = await sms.send(notice(address=number, text=text))
    await sms.close()
    assert answer.outcome == "never"
    assert f"Twilio {code}" in answer.detail


async def test_a_service_that_stays_silent_or_is_not_there_is_tried_again(network: Any, notice: Any) -> None:
    network.standin.lines[notice().address] = Line(silent=True)
    sms = sender(network, seconds=0.2)
    answer = await sms.send(notice())
    await sms.close()
    assert (answer.outcome, "TimeoutError" in answer.detail) == ("retry", True)
    sms = sender(network, base_url="http://127.0.0.1:9")
    answer = await sms.send(notice())
    await sms.close()
    assert answer.outcome == "retry"


async def test_undelivered_says_whether_the_number_is_any_good(network: Any, notice: Any) -> None:
    network.standin.lines[notice(1).address] = Line(reports=("sent", "undelivered"), error=30006)
    network.standin.lines[notice(2).address] = Line(reports=("sent", "undelivered"), error=30003)
    sms = sender(network)
    for i in (1, 2):
        network.expect(notice(i))
        await sms.send(notice(i))
        await network.standin.settle()
    await sms.close()
    ends = [(r.status, r.chance) for r in network.desk.reports if r.status == "failed"]
    assert ends == [("failed", "never"), ("failed", "retry")]


async def test_reports_doubled_and_out_of_order_end_in_delivered(network: Any, notice: Any) -> None:
    network.standin.usual = Line(reports=("delivered", "sent", "delivered", "sending", "undelivered"))
    sms = sender(network)
    network.expect(notice())
    answer = await sms.send(notice())
    await network.standin.settle()
    await sms.close()
    assert len(network.desk.reports) == 5
    assert network.desk.latest == {answer.provider_id: "delivered"}


async def test_answers_come_back_signed_and_stop_is_kept(network: Any, notice: Any) -> None:
    one = notice()
    assert await network.standin.reply(one.address, OURS, "１ 了解") == 200
    assert await network.standin.reply(one.address, OURS, "STOP") == 200
    assert [(a.sender, a.text) for a in network.desk.answers] == [(one.address, "１ 了解"), (one.address, "STOP")]
    sms = sender(network)
    assert "START" in (await sms.send(one)).detail
    await network.standin.reply(one.address, OURS, "START")
    network.expect(one)
    assert (await sms.send(one)).outcome == "ok"
    await sms.close()


async def test_a_report_with_a_wrong_signature_is_not_believed(network: Any, notice: Any) -> None:
    network.standin.token = "another"
    network.standin.reply_url = f"{network.desk.url}/sms/reply"
    await network.standin.reply(notice().address, OURS, "1")
    assert network.desk.refused == 1
    assert network.desk.answers == []


async def test_many_people_at_once(network: Any, memory: Any, notice: Any) -> None:
    notices = [notice(i) for i in range(60)]
    memory.commit(*notices)
    network.expect(*notices)
    sms = sender(network)
    async with asyncio.timeout(20):
        assert (await Outbox(memory, {"sms": sms}).run_once(NOW)).sent == 60
        await network.standin.settle()
    await sms.close()
    assert set(network.desk.latest.values()) == {"delivered"}


async def test_neither_number_nor_text_is_logged(network: Any, notice: Any, caplog: pytest.LogCaptureFixture) -> None:
    sms = sender(network)
    network.expect(notice())
    with caplog.at_level(logging.DEBUG):
        await sms.send(notice())
    await sms.close()
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("mimamori")]
    assert not [m for m in ours if "8190" in m or TOKEN in m]


@pytest.mark.parametrize("url", ["https://ward.example.org/sms/status", "https://ward.example.org:443/sms/status"])
def test_the_signature_is_that_of_the_public_url(url: str) -> None:
    from twilio.request_validator import RequestValidator

    form = {"MessageSid": "SM1", "Body": "１ 了解"}
    for signed in ("https://ward.example.org/sms/status", "https://ward.example.org:443/sms/status"):
        signature = RequestValidator(TOKEN).compute_signature(signed, form)
        assert genuine(TOKEN, url, form, signature)
        assert not genuine(TOKEN, url, form | {"Body": "2"}, signature)
        assert not genuine("other", url, form, signature)
        assert not genuine(TOKEN, "http://ward.example.org/sms/status", form, signature)
    assert not genuine(TOKEN, url, form, "")
    assert not genuine(TOKEN, url, form, "見守り")


@pytest.mark.parametrize(
    "form", [{}, {"MessageStatus": "sent"}, {"MessageSid": "SM1"}, {"MessageSid": "SM1", "MessageStatus": "dancing"}]
)
def test_a_form_that_is_no_report(form: dict[str, str]) -> None:
    assert read_report(form) is None


def test_forms_of_other_shapes() -> None:
    report = read_report({"SmsSid": "SM1", "SmsStatus": "failed", "ErrorCode": "x"})
    assert report is not None
    assert (report.status, report.chance) == ("failed", "retry")
    assert read_answer({"From": "+81"}) is None
    assert read_answer({"Body": "1"}) is None


def test_newer_takes_each_step_once() -> None:
    order = ["sending", "sent", "failed", "delivered"]
    for i, before in enumerate(order):
        for j, report in enumerate(order):
            assert newer(before, report) == (j > i)  # type: ignore[arg-type]


def test_every_code_has_a_class_and_a_mend_without_numbers() -> None:
    assert {chance for chance, _ in CODES.values()} == {"retry", "never"}
    assert judge(30003) == ("retry", "the handset is off or out of reach (Twilio 30003)")
    assert judge(99999)[0] == "retry"
