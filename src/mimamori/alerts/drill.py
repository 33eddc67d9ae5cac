"""The weekly test of every telephone: when it is due, and its messages.

May import model and the pure parts beside it. Pure: `now` is an argument; asking twice plans the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import get_args

from mimamori.alerts.plan import Person
from mimamori.alerts.policy import Drill, Weekday
from mimamori.alerts.text import Texts, drill_text, voice_answer
from mimamori.model.notice import HOME, Notice
from mimamori.model.times import HOUR, SECOND, Zone, from_datetime, to_datetime

WINDOW = HOUR
"""A service that was down at the hour still tests within this time; later it waits for the next week."""
APART = 3 * SECOND
"""Between two calls to homes, so that one line can carry them."""


def due(drill: Drill | None, zone: Zone, now: int) -> int | None:
    """The time of the test that is due at `now`, None outside its hour."""
    if drill is None:
        return None
    local = to_datetime(now, zone.name)
    back = (local.weekday() - get_args(Weekday).index(drill.day)) % 7
    day = local - timedelta(days=back)
    hour, minute = (int(part) for part in drill.at.split(":"))
    at = from_datetime(day.replace(hour=hour, minute=minute, second=0, microsecond=0))
    return at if at <= now < at + WINDOW else None


def drill_messages(  # noqa: PLR0917 - what a test is made of
    drill: Drill, texts: Texts, people: Mapping[str, Person], homes: Mapping[str, str], zone: Zone, at: int
) -> list[Notice]:
    """One text to each member of staff, one call to each home with a telephone. homes: telephone by household."""
    name = f"ward/drill/{to_datetime(at, zone.name):%Y%m%d}"
    said = drill_text(texts, zone, at)

    def one(recipient: str, channel: str, address: str, text: str, when: int) -> Notice:
        return Notice(
            alert=name, step=0, recipient=recipient, channel=channel, round=0, kind="test", priority="low",  # type: ignore[arg-type]
            address=address, text=text, due=when, reason="the weekly test of every telephone",
        )  # fmt: skip

    staff = [p for p in people.values() if p.phone] if "staff" in drill.whom else []
    called = sorted(homes.items()) if "homes" in drill.whom else []
    question = voice_answer(texts, "test")
    return [one(p.id, "sms", p.phone, said, at) for p in staff] + [
        one(f"{HOME}{home}", "voice", phone, question, at + i * APART) for i, (home, phone) in enumerate(called)
    ]
