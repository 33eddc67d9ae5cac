"""The family's letter: habits in words, help that was given, nothing measured; and outings from door and quiet."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from mimamori.model.alert import Outcome
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.web.letter import month_of, of_nights, span_of
from mimamori.web.past import Night, outings_of
from mimamori.web.words import about

M = MINUTE


def night(n: int, bed: float, rise: float, stays: int = 1) -> Night:
    """Evening of day n, bed and rise in hours after that day's midnight."""
    base = n * DAY
    began, ended = base + round(bed * HOUR), base + round(rise * HOUR)
    cut = [began + (ended - began) * k // stays for k in range(stays + 1)]
    return Night(day=date(1970, 1, 1) + timedelta(days=n), began=began, ended=ended, stays=tuple(pairwise(cut)))


def test_habits_are_told_in_words_and_only_when_enough_is_known() -> None:
    regular = [night(n, 22 + n % 2 / 4, 30.25) for n in range(20)]  # to bed about ten, up at a quarter past six
    told = of_nights(regular, "ja")
    assert told[0] == "床に就かれるのは夜10時ごろが多く、ほとんどの日が同じころでした。"
    assert told[1] == "起きられるのは朝6時ごろが多く、ほとんどの日が同じころでした。"
    assert "落ち着いて" in told[2]
    wide = of_nights([night(n, 19 + n % 5 * 1.5, 30, 4) for n in range(20)], "ja")
    assert "日によってかなり違いました" in wide[0]
    assert "夜中に3回ほど" in wide[2]
    assert len(of_nights(regular[:4], "ja")) == 1


@pytest.mark.parametrize(
    ("minutes", "ja", "en"),
    [(22 * 60, "夜10時ごろ", "about 10 pm"), (26 * 60 + 20, "夜中の2時半ごろ", "about 2:30 am"),
     (24 * 60, "夜中の0時ごろ", "about 12 am"),
     (12 * 60, "昼の12時ごろ", "about 12 pm"), (6 * 60 + 40, "朝6時半ごろ", "about 6:30 am")],
)  # fmt: skip
def test_a_time_of_day_as_people_say_it(minutes: float, ja: str, en: str) -> None:
    assert (about("ja", minutes), about("en", minutes)) == (ja, en)


def test_an_outing_needs_the_door_at_both_ends_and_half_an_hour() -> None:
    signs = [0, 5 * M, 10 * M, 100 * M, 105 * M, 200 * M, 220 * M, 400 * M]
    assert outings_of([15 * M, 95 * M], signs, 5 * M) == [(15 * M, 95 * M)]
    assert outings_of([15 * M], signs, 5 * M) == []  # went out and never came in: a visitor, or a quiet afternoon
    assert outings_of([95 * M], signs, 5 * M) == []
    assert outings_of([205 * M, 215 * M], signs, 5 * M) == []  # twenty minutes
    assert outings_of([], signs, 5 * M) == []


def test_months_turn_at_local_midnight() -> None:
    now = parse_instant("2026-01-31T23:59:00+09:00")
    assert [month_of(now, "Asia/Tokyo", n) for n in (0, 1, 13)] == [
        date(2026, 1, 1),
        date(2025, 12, 1),
        date(2024, 12, 1),
    ]
    assert span_of(date(2026, 2, 1), "Asia/Tokyo") == (
        parse_instant("2026-02-01T00:00:00+09:00"), parse_instant("2026-03-01T00:00:00+09:00"),
    )  # fmt: skip


async def closed(ward: Any, event: Any, outcome: Outcome) -> None:
    end = replace(event, kind="resolved", by="N-01", outcome=outcome, at=event.at + HOUR)
    await ward.ledger.commit(events=[event, end], notices=[], now=end.at)


async def test_the_letter_counts_no_good_end_where_there_was_none(ward: Any, opened_event: Any) -> None:
    home = await ward.live_days(1)
    first = replace(opened_event(home), at=parse_instant("2026-11-20T03:00:00+09:00"))
    await closed(ward, first, "help-given")
    page = (await (await ward.sign_in("N-01")).get(f"/households/{home}/letter")).text
    assert "気にかけて確かめたことが1回ありました。" in page
    assert "そのうち" not in page


async def test_the_letter_tells_help_and_leaves_out_what_was_measured(ward: Any, opened_event: Any) -> None:
    home = await ward.live_days(9)
    first = replace(opened_event(home), at=parse_instant("2026-11-20T03:00:00+09:00"), title_ja="心拍数が範囲外",
                    why_ja="心拍数は144です")  # fmt: skip
    await closed(ward, first, "help-given")
    await closed(ward, replace(first, alert=f"{home}/x/2", at=first.at + DAY), "false-alarm")
    await closed(ward, replace(first, alert=f"{home}/x/0", at=first.at - 40 * DAY), "true-emergency")
    client = await ward.sign_in("N-01")
    page = (await client.get(f"/households/{home}/letter")).text
    letter = re.sub(r"<[^>]*>", "", page[page.index("<article") : page.index("</article>")])
    assert "11/20(金) ふだんと違うご様子があり、お声がけやお手伝いをして落ち着かれました" in letter
    assert "2回あり、そのうち1回は" in letter
    assert "急ぎの対応" not in letter  # of another month
    assert "床に就かれる" in letter
    assert "この手紙には、心拍や呼吸などの測定値" in letter
    assert "144" not in letter
    assert "範囲外" not in letter
    csrf = client.headers["x-csrf-token"]
    done = await client.post(f"/households/{home}/letter?month=2026-11", data={"text": "お元気です。", "csrf": csrf})
    assert done.status_code == 422  # of a household that nobody registered, nothing is written
    done = await client.post("/households/H001/letter?month=2026-11", data={"text": "お元気です。", "csrf": csrf})
    assert done.status_code == 303
    own = (await client.get("/households/H001/letter?month=2026-11")).text
    assert "お元気です。" in own
    assert "山田 トメ様のご家族の皆さまへ" in own
    assert "お元気です。" not in (await client.get("/households/H001")).text  # a letter is no note
    assert (await client.get("/households/H001/letter?month=2020-01")).status_code == 404
