"""Text messages: their size, their words, and what people answer."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimamori.alerts.text import (
    ONE_SEGMENT,
    Language,
    bundle_text,
    clip,
    drill_text,
    longest_text,
    parse_reply,
    span_words,
)
from mimamori.alerts.units import sms_length, sms_units
from mimamori.model.times import DAY, HOUR, MINUTE, zone_table

KINDS = ("first", "repeat", "escalated", "taken", "ended", "bundle", "test")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", get_args(Language))
def test_every_shipped_template_fits_one_segment_in_its_longest_case(content: Any, kind: str, language: Any) -> None:
    text = longest_text(content.texts, kind, language)
    encoding, segments = sms_units(text)
    assert segments == 1
    assert sms_length(text) <= ONE_SEGMENT[language]
    assert encoding == {"ja": "UCS-2", "en": "GSM-7"}[language]
    assert "\N{NO-BREAK SPACE}" not in text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", ("GSM-7", 1)), ("a" * 160, ("GSM-7", 1)), ("a" * 161, ("GSM-7", 2)), ("a" * 306, ("GSM-7", 2)),
        ("a" * 307, ("GSM-7", 3)), ("見" * 70, ("UCS-2", 1)), ("見" * 71, ("UCS-2", 2)), ("見" * 134, ("UCS-2", 2)),
        ("見" * 135, ("UCS-2", 3)), ("€" * 80, ("GSM-7", 1)), ("€" * 81, ("GSM-7", 2)), ("é@Ω\n", ("GSM-7", 1)),
        ("𠮷" * 35, ("UCS-2", 1)), ("𠮷" * 36, ("UCS-2", 2)), ("ç", ("UCS-2", 1)), ("a\u00a0b", ("UCS-2", 1)),
        # 67 is odd: a pair is not cut, so two segments hold 66 pairs and not 67
        ("𠮷" * 66, ("UCS-2", 2)), ("𠮷" * 67, ("UCS-2", 3)), ("€" * 152, ("GSM-7", 2)), ("€" * 153, ("GSM-7", 3)),
    ],
)  # fmt: skip
def test_size_of_a_message(text: str, size: tuple[str, int]) -> None:
    assert sms_units(text) == size


@given(text=st.text(alphabet="aé€見𠮷[{ "))
def test_segments_agree_with_the_bytes_of_utf_16(text: str) -> None:
    encoding, segments = sms_units(text)
    if encoding == "UCS-2":
        assert sms_length(text) == len(text.encode("utf-16-be")) // 2
    longest = {"UCS-2": (70, 67), "GSM-7": (160, 153)}[encoding]
    assert segments >= -(-sms_length(text) // longest[1]) - (sms_length(text) <= longest[0])
    assert (segments == 1) == (sms_length(text) <= longest[0])


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("1", "acknowledge"), ("１", "acknowledge"), (" 1\n", "acknowledge"), ("①", "acknowledge"),
        ("了解", "acknowledge"), ("了解です。", "acknowledge"), ("1 了解", "acknowledge"), ("１　了解", "acknowledge"),
        ("1了解しました", "acknowledge"), ("対応します!", "acknowledge"), ("OK", "acknowledge"),
        ("ｏｋ", "acknowledge"),
        ("2", "pass"), ("２", "pass"), ("交代", "pass"), ("2 交代お願いします", "pass"),
        ("STOP", "stop"), ("stop", "stop"), ("ＳＴＯＰ", "stop"), ("end", "stop"), ("Start", "start"), ("yes", "start"),
        ("12", "unknown"), ("21", "unknown"), ("3", "unknown"), ("", "unknown"), ("いま行けません", "unknown"),
        ("stop it please", "unknown"), ("10時に行きます", "unknown"), ("了解できません", "unknown"),
    ],
)  # fmt: skip
def test_what_an_answer_means(text: str, action: str) -> None:
    assert parse_reply(text).action == action


@given(text=st.text())
def test_any_answer_has_a_meaning(text: str) -> None:
    assert parse_reply(text).action in {"acknowledge", "pass", "stop", "start", "unknown"}


@pytest.mark.parametrize(
    ("span", "ja", "en"),
    [
        (-MINUTE, "0分", "0m"), (35 * MINUTE, "35分", "35m"), (HOUR + 5 * MINUTE, "1時間05分", "1h05m"),
        (2 * DAY + 3 * HOUR + MINUTE, "2日3時間", "2d3h"), (5000 * DAY, "99日23時間", "99d23h"),
    ],
)  # fmt: skip
def test_spans_in_words(span: int, ja: str, en: str) -> None:
    assert (span_words(span, "ja"), span_words(span, "en")) == (ja, en)


@given(text=st.text(max_size=80), longest=st.integers(6, 30))
def test_clipping_keeps_both_ends(text: str, longest: int) -> None:
    short = clip(text, longest)
    assert len(short) <= longest
    assert short == text or (text.startswith(short.split("..")[0]) and text[-1] == short[-1])


def test_a_bundle_lists_as_many_places_as_fit(new_ward: Any) -> None:
    ward = new_ward(*(f"household-number-{i:04d}" for i in range(30)))
    alerts = [ward.fire(h) for h in ward.homes.ids]
    zone = zone_table("Asia/Tokyo")
    for some in (alerts[:2], alerts[:3], alerts):
        text = bundle_text(ward.content.texts, some, zone, ward.now)
        assert sms_units(text)[1] == 1
        assert sms_length(text) <= 66
        assert f"{len(some)}件" in text
        assert "house..-0000" in text or len(some) > 3


def test_the_test_message(content: Any) -> None:
    assert drill_text(content.texts, zone_table("Asia/Tokyo"), 0) == "【見守り】試験 09:00 返信1=届きました"
