"""What other programs are told: each change once for each address, with the alert line as it stands."""

from __future__ import annotations

import json
from typing import Any

from mimamori.alerts.hooks import webhook_notices
from mimamori.model.findings import Level, Verdict
from mimamori.model.times import MINUTE

HOOKS = {"h1": "https://a.example/x", "h2": "https://b.example/"}


def test_every_change_is_told_once_with_the_alert_line(ward: Any) -> None:
    alert = ward.fire(level=Level.MEDIUM)
    ward.wait(MINUTE)
    ward.do("note", alert.id, text="訪問します")
    ward.do("acknowledge", alert.id)
    ward.wait(MINUTE)
    ward.says(Verdict.CLEAR)
    notices = webhook_notices(ward.log, ward.book, HOOKS, ward.now)
    told = [(n.recipient, json.loads(n.text)["event"]) for n in notices]
    kinds = ("opened", "acknowledged", "returned", "resolved")
    assert told == [(f"webhook:{name}", kind) for kind in kinds for name in HOOKS]
    assert len({n.key for n in notices}) == len(notices)
    assert [n.key for n in webhook_notices(ward.log, ward.book, HOOKS, ward.now + MINUTE)] == [n.key for n in notices]
    line = json.loads(notices[0].text)
    assert {"id", "household", "rule", "category", "priority", "opened", "resolved", "why", "evidence"} <= line.keys()
    assert (line["id"], line["owner"], line["evidence"]["expected"]) == (alert.id, "N-01", 16.7)
    assert line["event_at"].endswith("+09:00")


def test_nobody_registered_is_nobody_told(ward: Any) -> None:
    ward.fire()
    assert webhook_notices(ward.log, ward.book, {}, ward.now) == []
