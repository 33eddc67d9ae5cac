"""Messages that do not arrive, the resident asked first, what one cause holds back, the weekly test, the proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mimamori.alerts.book import Book
from mimamori.alerts.drill import drill_messages, due
from mimamori.alerts.follow import Ways, follow
from mimamori.alerts.policy import Inhibit
from mimamori.alerts.proof import prove
from mimamori.model.findings import Level, Verdict
from mimamori.model.notice import HOME, Notice, NoticeState
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND, parse_instant

WAYS = Ways(open={"sms", "voice"}, reporting={"sms", "voice"}, within=MINUTE)


def state(notice: Notice, status: Any = "sent", **more: Any) -> NoticeState:
    made = NoticeState(
        notice=notice, status=status, planned_at=notice.due, sent_at=notice.due, delivered_at=NEVER, tries=1,
        provider_id="SM1", detail="the handset is off (Twilio 30003)" if status == "failed" else "",
    )  # fmt: skip
    return replace(made, **more)


def turn(ward: Any, states: list[NoticeState], ways: Ways = WAYS) -> tuple[list[Notice], list[Any]]:
    notices, events = follow(states, ward.book, ward.people, ways, ward.now)
    ward._took(events)
    return notices, events


def test_undelivered_goes_by_voice_once_and_then_to_the_next_person(ward: Any) -> None:
    ward.fire()
    (sms,) = ward.sms()
    (voice,), events = turn(ward, [state(sms, "failed")])
    assert (voice.channel, voice.recipient, voice.step, events) == ("voice", sms.recipient, 0, [])
    assert "優先度、高。A、1、2。動きがない" in voice.text
    assert "did not arrive (the handset is off" in voice.reason
    assert turn(ward, [state(sms, "failed"), state(voice)]) == ([], []), "the voice may still answer"
    notices, events = turn(ward, [state(sms, "failed"), state(voice, "failed", detail="nobody answered")])
    assert notices == []
    assert [(e.kind, e.step) for e in events] == [("escalated", 1)]
    assert "nobody could be reached" in events[0].reason
    assert turn(ward, [state(sms, "failed"), state(voice, "failed")]) == ([], []), "step 0 is over: nothing twice"


def test_silence_counts_after_its_time_only_where_reports_are_to_be_had(ward: Any) -> None:
    ward.fire()
    (sms,) = ward.sms()
    assert turn(ward, [state(sms)]) == ([], [])
    ward.now += MINUTE
    assert turn(ward, [state(sms)], replace(WAYS, reporting=frozenset())) == ([], [])
    assert turn(ward, [state(sms, "delivered")]) == ([], [])
    assert turn(ward, [state(sms, read_at=ward.now)]) == ([], [])
    assert [n.channel for n in turn(ward, [state(sms)])[0]] == ["voice"]
    assert [n.channel for n in turn(ward, [state(sms, "planned", sent_at=NEVER)])[0]] == ["voice"], "service is down"
    ward.do("acknowledge", sms.alert)
    assert turn(ward, [state(sms)]) == ([], [])


@pytest.fixture
def asked(ward: Any) -> Any:
    ward.book = Book(ward.book.rules, ward.content, askable={"A-12": "+81172000001"})
    return ward


def questions(ward: Any) -> list[Notice]:
    return [n for n in ward.notices if n.kind == "ask"]


def test_the_resident_has_the_budget_of_the_priority_and_then_staff_are_told(asked: Any) -> None:
    for level, budget in ((Level.HIGH, 90 * SECOND), (Level.MEDIUM, 5 * MINUTE)):
        rule = "inactivity" if level is Level.HIGH else "fall"
        alert = asked.fire(rule=rule, level=level)
        (ask,) = [n for n in questions(asked) if n.alert == alert.id]
        assert (ask.channel, ask.recipient, ask.address) == ("voice", f"{HOME}A-12", "+81172000001")
        assert [n for n in asked.sms() if n.alert == alert.id] == []
        asked.wait(budget - SECOND)
        assert [n for n in asked.sms() if n.alert == alert.id] == []
        events = asked.wait(SECOND)
        assert [e.reason for e in events if e.alert == alert.id] == ["the resident did not answer"]
        assert [n for n in asked.sms() if n.alert == alert.id]


def test_no_answer_twice_tells_staff_at_once(asked: Any) -> None:
    asked.fire()
    for tries in (1, 2):
        assert len(questions(asked)) == tries
        asked.now += SECOND
        turn(asked, [state(n, "failed", detail="nobody answered") for n in questions(asked)])
    assert asked.sms()
    assert "the resident did not answer: nobody answered" in asked.log[-1].reason


def test_well_leaves_it_visible_and_help_calls_at_once(asked: Any) -> None:
    alert = asked.fire()
    asked.do("well", alert.id, by="resident")
    asked.wait(HOUR)
    assert asked.sms() == []
    now = asked.book.alert(alert.id)
    assert (now.state, now.returned_at != NEVER) == ("open", True)
    asked.do("help", alert.id, by="resident")
    assert asked.sms(), "help after all: even after it had ended"
    assert asked.book.alert(alert.id).returned_at == NEVER


def test_a_home_without_telephone_or_in_quiet_hours_is_not_asked(asked: Any) -> None:
    asked.book.askable = {}
    asked.fire()
    assert questions(asked) == []
    assert asked.sms()


def test_one_cause_holds_the_rest_back_until_the_watch_gap_is_too_long(ward: Any) -> None:
    inhibit = Inhibit.model_validate({"while": "odd", "hold": ["device-silent", "inactivity"], "at_most": "2h"})
    limits = ward.content.limits.model_copy(update={"inhibit": (inhibit,)})
    ward.book = Book(ward.book.rules, replace(ward.content, limits=limits))
    ward.fire(rule="odd", level=Level.LOW)
    held = ward.fire(rule="device-silent", level=Level.MEDIUM, device="bed-1")
    elsewhere = ward.fire(home="B-01", rule="device-silent", level=Level.MEDIUM, device="bed-1")
    resident = ward.fire(rule="inactivity", level=Level.HIGH)
    told = {n.alert for n in ward.sms()}
    assert told == {elsewhere.id, resident.id}, "another home and a resident's alert are never held"
    ward.wait(2 * HOUR - SECOND)
    assert held.id not in {n.alert for n in ward.sms()}
    events = [e for e in ward.wait(SECOND) if e.alert == held.id]
    assert [(e.kind, e.step) for e in events] == [("escalated", 0)]
    assert "watch gap" in events[0].reason


def test_what_was_held_calls_when_its_cause_is_over(ward: Any) -> None:
    inhibit = Inhibit.model_validate({"while": "odd", "hold": ["device-silent"], "at_most": "2h"})
    limits = ward.content.limits.model_copy(update={"inhibit": (inhibit,)})
    ward.book = Book(ward.book.rules, replace(ward.content, limits=limits))
    ward.fire(rule="odd", level=Level.LOW)
    held = ward.fire(rule="device-silent", level=Level.MEDIUM, device="bed-1")
    ward.wait(MINUTE)
    ward.says(Verdict.CLEAR, rule="odd")
    ward.wait(SECOND)
    assert held.id in {n.alert for n in ward.sms()}


def test_the_weekly_test_comes_at_its_hour_and_never_twice(content: Any) -> None:
    zone, drill = content.roster.zone, content.limits.drill
    at = parse_instant("2026-11-25T14:00:00+09:00")  # a Wednesday
    assert due(drill, zone, at - SECOND) is None
    assert {due(drill, zone, at + wait) for wait in (0, 10 * MINUTE, HOUR - SECOND)} == {at}
    assert due(drill, zone, at + HOUR) is None
    assert due(None, zone, at) is None
    from mimamori.alerts.plan import Person

    people = {"N-1": Person(id="N-1", role="nurse", phone="+81900"), "N-2": Person(id="N-2", role="nurse")}
    messages = drill_messages(drill, content.texts, people, {"H1": "+81172"}, zone, at)
    assert [(m.recipient, m.channel, m.kind) for m in messages] == [
        ("N-1", "sms", "test"),
        (f"{HOME}H1", "voice", "test"),
    ]
    again = drill_messages(drill, content.texts, people, {"H1": "+81172"}, zone, at)
    assert [m.key for m in messages] == [m.key for m in again]


def test_the_proof_names_the_first_time_of_every_link(ward: Any) -> None:
    alert = ward.fire()
    (sms,) = ward.sms()
    ward.now += MINUTE
    ward.do("acknowledge", alert.id, by=sms.recipient)
    console = next(n for n in ward.notices if n.channel == "console")
    at = sms.due
    states = [
        state(console, "sent", sent_at=at), state(sms, "delivered", planned_at=at, sent_at=at + SECOND,
        delivered_at=at + 2 * SECOND, read_at=at + MINUTE),
    ]  # fmt: skip
    proof = prove(ward.log, states)
    chain = [proof.began, proof.fired, proof.queued, proof.accepted, proof.delivered, proof.read, proof.acknowledged]
    assert chain == sorted(chain)
    assert chain[2:] == [at, at + SECOND, at + 2 * SECOND, at + MINUTE, at + MINUTE]
    assert (proof.by, [link.channel for link in proof.links]) == (sms.recipient, ["sms"])
    assert prove(ward.log[:1], []).accepted == NEVER
