"""What becomes of one alert: each story in the book's own events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mimamori.alerts.book import Book
from mimamori.alerts.line import line
from mimamori.model.commands import CommandError
from mimamori.model.findings import Level, Verdict
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND


def kinds(ward: Any) -> list[str]:
    return [e.kind for e in ward.log]


def test_a_finding_opens_one_alert_and_calls_at_once(ward: Any) -> None:
    alert = ward.fire()
    assert alert.id == "A-12/inactivity/20261123T174005Z"
    assert kinds(ward) == ["opened", "escalated"]
    assert ward.log[0].evidence == {"expected": pytest.approx(16.7), "score": pytest.approx(13.3)}
    assert "16.7" in alert.why_ja
    assert "16.7" in alert.why_en
    ward.fire()
    assert len(ward.book.alerts()) == 1
    assert kinds(ward) == ["opened", "escalated"]


def test_a_device_has_its_own_alert(ward: Any) -> None:
    ward.fire(rule="device-silent", level=Level.MEDIUM, device="bed-1")
    ward.fire(rule="device-silent", level=Level.MEDIUM)
    assert {a.id for a in ward.book.alerts()} == {
        "A-12/device-silent/bed-1/20261123T174005Z", "A-12/device-silent/20261123T174005Z",
    }  # fmt: skip


def test_steps_follow_and_begin_anew_until_a_human_answers(ward: Any) -> None:
    ward.fire()
    seen = []
    for _ in range(16 * 5):
        seen += [(e.step, e.reason) for e in ward.wait(MINUTE)]
    assert [s for s, _ in seen[:6]] == [1, 2, 0, 1, 2, 0]
    assert seen[0][1] == "no acknowledgement after 5m"
    assert seen[2][1] == "again: no acknowledgement after 5m"


def test_after_many_rounds_it_goes_on_more_slowly_but_never_stops(ward: Any) -> None:
    alert = ward.fire()
    for _ in range(24 * 12):
        ward.wait(5 * MINUTE)
    late = [e.at for e in ward.log if e.kind == "escalated" and e.step == 0][-3:]
    assert late[2] - late[1] == 40 * MINUTE  # two steps of 5m, then 30m
    assert ward.book.alert(alert.id).round > 12


def test_an_acknowledgement_stops_the_steps_and_expires(ward: Any) -> None:
    alert = ward.fire()
    ward.do("acknowledge", alert.id, by="N-03")
    taken = ward.book.alert(alert.id)
    assert (taken.state, taken.owner, taken.ack_until) == ("acknowledged", "N-03", ward.now + 20 * MINUTE)
    assert ward.wait(19 * MINUTE) == []
    again = ward.wait(MINUTE)
    assert [(e.kind, e.reason) for e in again] == [
        ("ack-expired", "acknowledged 20m ago by N-03, no result"), ("escalated", "first call"),
    ]  # fmt: skip
    assert ward.book.alert(alert.id).round == 1


@pytest.mark.parametrize(
    ("rule", "level", "acknowledged", "state", "outcome"),
    [
        ("inactivity", Level.HIGH, False, "open", None),  # unacknowledged: stays visible
        ("inactivity", Level.MEDIUM, False, "open", None),
        ("inactivity", Level.LOW, False, "resolved", "ended"),
        ("inactivity", Level.HIGH, True, "resolved", "ended"),
        ("device-silent", Level.HIGH, False, "resolved", "ended"),
        ("fall", Level.HIGH, True, "acknowledged", None),  # only a person may close it
        ("fall", Level.LOW, False, "open", None),
    ],
)
def test_when_the_condition_ends(
    ward: Any, *, rule: str, level: Level, acknowledged: bool, state: str, outcome: Any
) -> None:
    alert = ward.fire(rule=rule, level=level)
    if acknowledged:
        ward.do("acknowledge", alert.id)
    ward.now += 3 * MINUTE
    ward.says(Verdict.CLEAR, rule=rule)
    after = ward.book.alert(alert.id)
    assert (after.state, after.outcome, after.returned_at) == (state, outcome, ward.now)
    told = line(after, "Asia/Tokyo")
    assert told["resolved"] == "2026-11-24T02:43:05.000+09:00"
    ward.now += 2 * HOUR
    assert not [e for e in ward.step() if e.kind == "escalated"]


def test_looking_at_what_had_ended_closes_it(ward: Any) -> None:
    alert = ward.fire()
    ward.says(Verdict.CLEAR)
    ward.do("acknowledge", alert.id, by="N-02")
    closed = ward.book.alert(alert.id)
    assert (closed.state, closed.outcome, closed.owner) == ("resolved", "ended", "N-02")


def test_no_data_never_ends_anything(ward: Any) -> None:
    alert = ward.fire()
    (note,) = ward.says(Verdict.UNKNOWN)
    assert (note.kind, note.reason) == ("note", "no data since 2026-11-24 02:40")
    ward.says(Verdict.PENDING)
    assert ward.book.alert(alert.id).state == "open"
    assert [e.kind for e in ward.wait(5 * MINUTE)] == ["escalated"]


def test_worse_calls_anew_even_if_acknowledged(ward: Any) -> None:
    alert = ward.fire(level=Level.MEDIUM)
    ward.do("acknowledge", alert.id)
    ward.fire(level=Level.HIGH)
    assert kinds(ward)[-2:] == ["worsened", "escalated"]
    worse = ward.book.alert(alert.id)
    assert (worse.priority, worse.state, worse.owner, worse.step) == ("high", "open", "", 0)


def test_better_is_on_record_but_the_priority_people_were_told_stays(ward: Any) -> None:
    alert = ward.fire(level=Level.HIGH)
    ward.fire(level=Level.LOW)
    assert ward.log[-1].kind == "eased"
    assert ward.book.alert(alert.id).priority == "high"


def test_the_same_again_soon_is_the_same_alert(ward: Any) -> None:
    alert = ward.fire()
    ward.says(Verdict.CLEAR)
    ward.now += 10 * MINUTE
    assert ward.fire().id == alert.id
    assert [e.kind for e in ward.log[-2:]] == ["reopened", "escalated"]
    assert line(ward.book.alert(alert.id), "Asia/Tokyo")["resolved"] is None


def test_the_same_again_later_is_another_alert_and_ends_the_first(ward: Any) -> None:
    first = ward.fire()
    ward.says(Verdict.CLEAR)
    returned = ward.now
    ward.now += 10 * MINUTE + 1
    second = ward.fire()
    assert second.id != first.id
    closed = ward.book.alert(first.id)
    assert (closed.state, closed.outcome, closed.returned_at) == ("resolved", "ended", returned)


def test_chatter_within_a_second_keeps_one_id(ward: Any) -> None:
    ids = set()
    for _ in range(3):
        ids.add(ward.fire(rule="device-silent", level=Level.LOW).id)
        ward.says(Verdict.CLEAR, rule="device-silent")
    assert len(ids) == 1


def test_a_person_who_closed_it_is_not_contradicted_by_the_same_episode(ward: Any) -> None:
    since = ward.now - HOUR
    alert = ward.fire(since=since)
    ward.do("resolve", alert.id, outcome="false-alarm")
    ward.says(Verdict.UNKNOWN)
    ward.now += MINUTE
    ward.fire(since=since)
    assert len(ward.book.alerts()) == 1
    assert ward.log[-1].kind == "note"
    ward.now += MINUTE
    ward.fire(since=ward.now)  # another beginning: another alert
    assert len(ward.book.alerts()) == 2


def test_what_got_worse_after_it_was_closed_opens_again(ward: Any) -> None:
    since = ward.now - HOUR
    alert = ward.fire(level=Level.MEDIUM, since=since)
    ward.do("resolve", alert.id, outcome="no-action")
    ward.now += MINUTE
    assert ward.fire(level=Level.HIGH, since=since).id != alert.id


def test_shelving_keeps_quiet_for_its_time_only(ward: Any) -> None:
    alert = ward.fire()
    ward.do("shelve", alert.id, until=ward.now + 30 * MINUTE)
    assert ward.wait(29 * MINUTE) == []
    assert [e.kind for e in ward.wait(MINUTE)] == ["unshelved", "escalated"]


def test_passing_on_calls_the_next_person_at_once(ward: Any) -> None:
    alert = ward.fire()
    (event,) = ward.do("release", alert.id, by="N-04")
    assert (event.kind, event.step, event.by) == ("escalated", 1, "N-04")


def test_giving_back_begins_the_calls_anew(ward: Any) -> None:
    alert = ward.fire()
    ward.do("acknowledge", alert.id)
    ward.do("release", alert.id)
    assert [e.kind for e in ward.step()] == ["escalated"]


@pytest.mark.parametrize(
    ("before", "command", "text"),
    [
        ([], {"action": "resolve"}, "say how it ended"),
        ([], {"action": "resolve", "outcome": "ended"}, "say how it ended"),
        ([], {"action": "note", "text": "  "}, "empty"),
        ([], {"action": "reopen"}, "not closed"),
        ([], {"action": "shelve", "until": 5}, "1h at most"),
        ([], {"action": "shelve", "until": 9_000_000_000 * SECOND}, "1h at most"),
        ([], {"action": "acknowledge", "until": 5}, "time in the future"),
        ([], {"action": "note", "alert": "X/y/z", "text": "a"}, "no alert X/y/z"),
        (["resolve"], {"action": "acknowledge"}, "reopen it first"),
        (["resolve"], {"action": "shelve"}, "reopen it first"),
        (["shelve"], {"action": "release"}, "calling nobody"),
    ],
)
def test_commands_that_cannot_be_carried_out(ward: Any, before: list[str], command: dict[str, Any], text: str) -> None:
    alert = ward.fire()
    for action in before:
        ward.do(action, alert.id, **({"outcome": "test"} if action == "resolve" else {}))
    events = len(ward.log)
    with pytest.raises(CommandError, match=text):
        ward.do(**{"alert": alert.id, **command})
    assert len(ward.log) == events


def test_reopening_needs_that_no_newer_one_is_there(ward: Any) -> None:
    first = ward.fire()
    ward.do("resolve", first.id, outcome="false-alarm")
    ward.now += HOUR
    second = ward.fire()
    with pytest.raises(CommandError, match=second.id):
        ward.do("reopen", first.id)
    ward.do("note", first.id, text="looked at the recording")  # a note on an old one changes no order
    ward.now += MINUTE
    assert ward.fire().id == second.id


def test_reopened_calls_again(ward: Any) -> None:
    alert = ward.fire()
    ward.do("resolve", alert.id, outcome="help-given")
    ward.do("reopen", alert.id)
    assert [e.kind for e in ward.step()] == ["escalated"]
    assert ward.book.alert(alert.id).outcome is None


def test_closed_alerts_leave_memory(ward: Any) -> None:
    alert = ward.fire()
    ward.do("resolve", alert.id, outcome="test")
    ward.wait(24 * HOUR - 1)
    assert ward.book.alert(alert.id)
    ward.wait(1)
    assert ward.book.alerts() == ()


def test_a_low_alert_waits_for_the_end_of_quiet_hours(ward: Any) -> None:
    ward.fire(level=Level.LOW)  # at 02:40; its telephone step is due at 06:40, quiet until 07:00
    assert ward.wait(4 * HOUR) == []
    (event,) = ward.wait(20 * MINUTE)
    assert (event.kind, event.step) == ("escalated", 1)


def test_a_rule_that_cannot_explain_still_raises_its_alert(ward: Any) -> None:
    alert = ward.fire(rule="odd", level=Level.HIGH)
    assert (alert.why_ja, alert.title_en) == ("室温", "room")
    assert "KeyError" in ward.log[0].reason


def test_downtime_sends_no_burst(ward: Any, content: Any) -> None:
    ward.fire()
    book = Book(ward.book.rules, content)
    book.restore(ward.log)
    ward.book, ward.now = book, ward.now + 5 * HOUR
    assert [e.step for e in ward.step()] == [1]
    assert [e.step for e in ward.wait(5 * MINUTE)] == [2]


def test_the_alert_line_is_json_with_the_fixed_keys(ward: Any) -> None:
    told = line(ward.fire(), "Asia/Tokyo")
    assert json.loads(json.dumps(told, ensure_ascii=False)) == told
    assert {"id", "household", "rule", "category", "priority", "opened", "resolved", "why", "evidence"} <= set(told)
    assert told["opened"] == "2026-11-24T02:40:05.000+09:00"


def test_a_beginning_nobody_knows_is_the_time_of_the_finding(ward: Any) -> None:
    assert ward.fire(since=NEVER).since == ward.now
