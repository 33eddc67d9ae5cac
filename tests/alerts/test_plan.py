"""Who is told what, and when: plans of single alerts, crowds, and limits."""

from __future__ import annotations

from typing import Any

import pytest

from mimamori.alerts.group import GRACE, History, next_free, recall
from mimamori.alerts.plan import Person
from mimamori.alerts.policy import Limit
from mimamori.alerts.units import sms_units
from mimamori.model.findings import Level, Verdict
from mimamori.model.notice import NoticeState
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND


def told(ward: Any) -> list[tuple[str, str]]:
    return [(n.recipient, n.kind) for n in ward.sms()]


def test_the_first_call_goes_at_once_to_console_and_telephone(ward: Any) -> None:
    ward.fire()
    console, sms = ward.notices
    assert (console.recipient, console.channel, console.kind) == ("console", "console", "first")
    assert "16.7" in console.text
    assert sms.text == "【見守り】高 A-12 動きがない 02:05から35分 返信1=対応 2=交代"
    assert (sms.kind, sms.due, sms.reason) == ("first", ward.now, "escalated: first call")
    assert sms.address.startswith("+8190")
    assert sms.recipient in {"N-04", "N-05", "N-06"}  # night shift


def test_nobody_answers(ward: Any) -> None:
    ward.fire()
    ward.wait(5 * MINUTE)
    ward.wait(5 * MINUTE)
    ward.wait(5 * MINUTE)
    (first, second, lead, again) = ward.sms()
    assert [n.kind for n in ward.sms()] == ["first", "escalated", "escalated", "repeat"]
    assert lead.recipient == "N-01"
    assert again.recipient == first.recipient
    assert "未対応" in second.text
    assert "再通知" in again.text
    assert "50分" in again.text
    assert first.key in ward.cancelled  # if a dead line kept it back, the newer one goes instead


def test_an_acknowledgement_cancels_and_tells_the_others(ward: Any) -> None:
    alert = ward.fire()
    ward.wait(5 * MINUTE)
    first, second = ward.sms()
    ward.do("acknowledge", alert.id, by=first.recipient)
    plan = ward.plans[-1]
    assert set(plan.cancelled) == {first.key, second.key}
    (note,) = plan.notices
    assert (note.recipient, note.kind) == (second.recipient, "taken")
    assert note.text == f"【見守り】高 A-12 動きがない 02:45 {first.recipient}が対応します"
    ward.do("acknowledge", alert.id, by="N-03")
    assert {n.recipient for n in ward.plans[-1].notices} == {first.recipient, second.recipient}


def test_its_end_is_told_to_those_who_were_called(ward: Any) -> None:
    ward.fire()
    ward.says(Verdict.CLEAR)
    (end,) = ward.plans[-1].notices
    assert (end.kind, end.text) == ("ended", "【見守り】高 A-12 動きがない 02:40に解消 画面で確認を")


def test_closing_an_untouched_alert_tells_who_did(ward: Any) -> None:
    alert = ward.fire()
    ward.do("resolve", alert.id, by="N-02", outcome="false-alarm")
    assert [n.kind for n in ward.plans[-1].notices] == ["taken"]


def test_worse_is_a_first_call_of_its_priority(ward: Any) -> None:
    ward.fire(level=Level.MEDIUM)
    ward.fire(level=Level.HIGH)
    assert [(n.kind, n.priority) for n in ward.sms()] == [("first", "medium"), ("first", "high")]


def test_low_technical_rings_nowhere(ward: Any) -> None:
    ward.fire(rule="device-silent", level=Level.LOW)
    for _ in range(48):
        ward.wait(HOUR)
    assert {n.channel for n in ward.notices} == {"console"}


def test_a_hole_in_the_roster_goes_to_the_fallback_and_says_so(ward: Any, content: Any) -> None:
    ward.people = {k: p for k, p in ward.people.items() if k == "N-01"}
    ward.fire()
    assert [n.recipient for n in ward.sms()] == ["N-01"]
    problems = ward.plans[-1].unreached
    assert any("cannot be reached by sms" in p for p in problems)
    assert any("the fallback is told" in p for p in problems)
    assert not any("+81" in p for p in problems)
    ward.people = {"N-01": Person(id="N-01", role="nurse", email="n@example.org")}
    ward.fire("B-01")
    assert any("nobody could be told" in p for p in ward.plans[-1].unreached)
    assert [n.channel for n in ward.plans[-1].notices] == ["console"]


def crowd(new_ward: Any, n: int) -> Any:
    return new_ward(*(f"H-{i:03d}" for i in range(n)))


def rows(ward: Any, rule: str, level: Level, verdict: Verdict = Verdict.FIRING) -> Any:
    return ward.batch(*((h, rule, verdict, level) for h in ward.homes.ids))


def test_two_hundred_households_at_once_are_one_message(new_ward: Any) -> None:
    ward = crowd(new_ward, 200)
    ward.step(rows(ward, "device-silent", Level.MEDIUM))
    ward.wait(SECOND)
    sent = [n for n in ward.sms() if n.key not in ward.cancelled]
    assert len(sent) == 1
    assert sent[0].kind == "bundle"
    assert sent[0].text.startswith("【見守り】中 機器応答なし 200件 H-000,H-001")
    assert sms_units(sent[0].text) == ("UCS-2", 1)
    assert len([n for n in ward.notices if n.channel == "console"]) == 200  # each stands on the console by itself


def going(ward: Any, since: int = NEVER) -> list[Any]:
    """Text messages that leave: not cancelled before they were due."""
    gone = set(ward.cancelled)
    return [n for n in ward.sms() if n.due > since and (n.key not in gone or n.due <= n_cancelled(ward, n.key))]


def n_cancelled(ward: Any, key: str) -> int:
    """When a key was first cancelled, as the time of the plan that did it."""
    return next(t for t, p in zip(ward.times, ward.plans, strict=True) if key in p.cancelled)


def test_a_slow_wave_stays_within_ten_messages_in_ten_minutes(new_ward: Any) -> None:
    ward = crowd(new_ward, 200)
    ward.times = []
    for home in ward.homes.ids:  # one household every 3 s, ten minutes long
        ward.now += 3 * SECOND
        ward.step(ward.batch((home, "device-silent", Verdict.FIRING, Level.MEDIUM)))
        ward.times.append(ward.now)
    for _ in range(120):
        ward.wait(SECOND)
        ward.times.append(ward.now)
    by_person: dict[str, list[int]] = {}
    for notice in going(ward):
        by_person.setdefault(notice.recipient, []).append(notice.due)
    for times in by_person.values():
        assert all(sum(t - 10 * MINUTE < x <= t for x in times) <= 10 for t in times)
    reached = {n.alert for n in going(ward) if n.kind != "bundle"}
    bundled = {k.split("|")[0] for p in ward.plans for k in p.cancelled if any(n.kind == "bundle" for n in p.notices)}
    assert {a.id for a in ward.book.alerts()} <= reached | bundled  # gathered, never dropped


def test_a_first_high_alert_of_a_household_is_never_held(new_ward: Any) -> None:
    ward = crowd(new_ward, 40)
    for home in ward.homes.ids:
        ward.now += 15 * SECOND
        ward.fire(home)
        firsts = [n for n in ward.plans[-1].notices if n.channel == "sms" and n.alert.startswith(home + "/")]
        assert [(n.kind, n.due) for n in firsts] == [("first", ward.now)]


def test_beyond_the_limit_messages_are_held_then_sent_as_one(new_ward: Any) -> None:
    ward = crowd(new_ward, 4)
    for home in ward.homes.ids:
        for rule in ("inactivity", "fall"):
            ward.fire(home, rule, Level.MEDIUM)
    first = ward.now
    out = ward.sms()
    assert [n.due - first for n in out] == [0, 0, 0, *[60 * SECOND + GRACE] * 5]
    assert "held" in out[-1].reason
    assert ward.wait(59 * SECOND) == []
    assert len(ward.sms()) == 8
    ward.wait(SECOND)
    bundle = ward.sms()[-1]
    assert (bundle.kind, bundle.due) == ("bundle", ward.now)
    assert bundle.text == "【見守り】中 複数の知らせ 5件 H-001,H-002,H-003 画面で確認を"
    assert set(ward.plans[-1].cancelled) == {n.key for n in out[3:]}


def test_a_held_call_whose_alert_was_taken_is_not_bundled(new_ward: Any) -> None:
    ward = crowd(new_ward, 5)
    alerts = [ward.fire(h, "fall", Level.MEDIUM) for h in ward.homes.ids]
    held = ward.sms()[3:]
    ward.do("acknowledge", alerts[3].id, by="N-03")
    assert held[0].key in ward.plans[-1].cancelled
    assert ward.plans[-1].notices == ()  # never called: nothing to tell
    ward.wait(MINUTE)
    assert ward.plans[-1].notices == ()  # a single held call goes by itself when due
    assert held[1].due == ward.now + GRACE


def test_history_comes_back_from_the_ledger(new_ward: Any) -> None:
    ward = crowd(new_ward, 4)
    for home in ward.homes.ids:
        for rule in ("inactivity", "fall"):
            ward.fire(home, rule, Level.MEDIUM)
    states = [
        NoticeState(
            notice=n, status="sent" if n.due <= ward.now else "planned", planned_at=ward.now, sent_at=NEVER,
            delivered_at=NEVER, tries=0, provider_id="", detail="",
        )
        for n in ward.notices
    ]  # fmt: skip
    again = recall(states, ward.now)
    assert set(again.notices) == set(ward.history.notices)
    assert again.wake == ward.history.wake
    ward.history = again
    ward.wait(MINUTE)
    assert ward.plans[-1].notices[0].kind == "bundle"


def test_history_stays_bounded(ward: Any) -> None:
    ward.fire()
    sizes = []
    for _ in range(300):
        ward.wait(5 * MINUTE)
        sizes.append(len(ward.history.notices))
    assert max(sizes[100:]) <= 60
    assert ward.history != History()


@pytest.mark.parametrize(
    ("times", "free"),
    [([], 0), ([0, 0], 0), ([0, 0, 0], 60), ([-59, -30, -1], 1), ([-60, -30, -1], 0), ([-500] * 10, 100)],
)
def test_next_free(times: list[int], free: int) -> None:
    limits = (Limit(at_most=3, within="1m"), Limit(at_most=10, within="10m"))
    assert next_free([t * SECOND for t in times], limits, 0) == free * SECOND


def test_the_longest_household_code_still_fits(new_ward: Any) -> None:
    ward = new_ward("W" * 64)
    ward.fire("W" * 64)
    assert all(sms_units(n.text)[1] == 1 for n in ward.sms())
