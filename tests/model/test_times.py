"""Durations, instants and the table of a zone's offsets, held against zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimamori.model.times import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    SECOND,
    format_duration,
    from_datetime,
    iso,
    iso_or_none,
    parse_duration,
    parse_instant,
    to_datetime,
    zone_table,
)

moments = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.integers(0, 10**9))
def test_a_duration_in_words_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds * SECOND)) == seconds * SECOND


@pytest.mark.parametrize(
    ("text", "span"),
    [("35m", 35 * MINUTE), ("1h30m", 90 * MINUTE), ("1 h 30 m", 90 * MINUTE), ("1.5h", 90 * MINUTE), ("2D", 2 * DAY),
     ("1w", 7 * DAY), ("250ms", SECOND // 4), ("0s", 0)],
)  # fmt: skip
def test_durations(text: str, span: int) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize("text", ["", "m", "35", "35 minutes", "1h30", "-5m", "5x", "five m"])
def test_what_is_no_duration_is_refused_with_a_mend(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write a number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize("value", [35, 1.5, None, True])
def test_a_bare_number_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match='such as "35m"'):
        parse_duration(value)


@pytest.mark.parametrize(("span", "text"), [(0, "0s"), (5400 * SECOND, "1h30m"), (-90 * SECOND, "-1m30s"), (DAY, "1d")])
def test_formatted(span: int, text: str) -> None:
    assert format_duration(span) == text


@given(moments)
def test_an_instant_survives_datetime_and_text(moment: datetime) -> None:
    at = from_datetime(moment)
    assert to_datetime(at) == moment
    assert parse_instant(moment.isoformat()) == at
    assert parse_instant(iso(at, "Asia/Tokyo")) == at // 10**6 * 10**6


def test_instants_as_numbers_and_never() -> None:
    one = 1_795_000_000
    assert parse_instant(one) == parse_instant(str(one)) == parse_instant(float(one)) == one * SECOND
    assert parse_instant(f"{one}.5") == one * SECOND + SECOND // 2
    assert parse_instant("2026-11-23T06:40:05+09:00") == parse_instant("2026-11-22T21:40:05Z")
    assert (iso_or_none(NEVER), iso_or_none(one * SECOND)) == (None, iso(one * SECOND))


@pytest.mark.parametrize(
    ("text", "match"), [("2026-11-23T06:40:05", "has no offset; add one"), ("soon", "is not a time; write ISO 8601")]
)
def test_what_is_no_instant_is_refused_with_a_mend(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_instant(text)


@pytest.mark.parametrize("name", ["Asia/Tokyo", "Europe/Berlin", "America/St_Johns", "UTC"])
@given(moment=moments)
def test_local_time_is_that_of_zoneinfo(name: str, moment: datetime) -> None:
    zone, at = zone_table(name), from_datetime(moment)
    here = to_datetime(at, name)
    assert zone.local(at) == at + (here.utcoffset() or timedelta()) // timedelta(microseconds=1) * 1000
    clock = here.hour * HOUR + here.minute * MINUTE + here.second * SECOND + here.microsecond * 1000
    assert zone.time_of_day(at) == clock
    assert zone.local_many(np.array([at, NEVER])).tolist() == [zone.local(at), NEVER]


def test_summer_time_begins_and_ends_to_the_second() -> None:
    zone = zone_table("Europe/Berlin")
    for change, before, after in (("2026-03-29T01:00:00Z", 1, 2), ("2026-10-25T01:00:00Z", 2, 1)):
        at = parse_instant(change)
        assert zone.local(at - 1) - (at - 1) == before * HOUR
        assert zone.local(at) - at == after * HOUR


def test_tokyo_has_one_offset() -> None:
    assert zone_table("Asia/Tokyo").offsets.tolist() == [9 * HOUR]


def test_a_zone_that_does_not_exist() -> None:
    with pytest.raises(KeyError):
        zone_table("Asia/Atlantis")
