"""Metrics, homes, readings and content: the words and columns that flow between the parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from mimamori.model.content import Content, ContentError, Duration, Text, validate
from mimamori.model.homes import Homes
from mimamori.model.metrics import BASE, Metrics
from mimamori.model.readings import ReadingBatch, concat, no_readings, reading_batch
from mimamori.model.times import MINUTE

rows = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 5), st.integers(0, 4), st.floats(-9, 9), st.integers(0, 50),
        st.integers(0, 50), st.integers(0, 15),
    ),
    max_size=30,
)  # fmt: skip


def told(batch: ReadingBatch) -> list[Any]:
    return list(zip(*(getattr(batch, f).tolist() for f in ReadingBatch.__dataclass_fields__), strict=True))


class TestMetrics:
    def test_base_metrics_have_fixed_indexes(self) -> None:
        metrics = Metrics()
        assert metrics.names() == tuple(m.name for m in BASE)
        assert [metrics.index(m.name) for m in BASE] == list(range(len(BASE)))
        assert ("motion" in metrics, "mood" in metrics, metrics.find("mood")) == (True, False, -1)
        with pytest.raises(KeyError):
            metrics.index("mood")

    def test_a_declared_metric_comes_after_them_once(self) -> None:
        mood = replace(BASE[0], name="mood", low=0, high=7)
        metrics = Metrics(more=[mood])
        assert metrics.add(mood) == metrics.index("mood") == len(BASE) == len(metrics) - 1
        assert metrics[len(BASE)] == mood
        low, high = metrics.limits()
        assert (low[-1], high[-1], low[0], high[0]) == (0, 7, BASE[0].low, BASE[0].high)

    def test_one_name_has_one_meaning(self) -> None:
        with pytest.raises(ValueError, match="heart_rate is already declared with another unit, range or nature"):
            Metrics(more=[replace(BASE[0], unit="Hz")])


class TestHomes:
    def test_rows_are_dense_and_stay(self) -> None:
        homes = Homes()
        assert [homes.add(i) for i in ("A-01", "B-02", "A-01")] == [0, 1, 0]
        assert homes.add_device("B-02", "bed") == homes.add_device("B-02", "bed", "bed-sensor") == 0
        assert homes.add_device("A-01", "bed") == 1
        assert homes.add_device("B-02", "bed", "other") == 0
        assert (homes.device_home, homes.profile_of, homes.devices, len(homes)) == ([1, 0], ["bed-sensor", ""], 2, 2)
        assert (homes.find("A-01"), homes.find("Z"), homes.find_device("B-02", "bed")) == (0, -1, 0)
        assert (homes.find_device("Z", "bed"), homes.find_device("A-01", "door")) == (-1, -1)

    @pytest.mark.parametrize("bad", ["", "a b", "a/b", "+", "#", "-a", "山田", "x" * 65])
    def test_an_id_that_topics_cannot_carry_is_refused(self, bad: str) -> None:
        homes = Homes()
        with pytest.raises(ValueError, match="may hold letters, digits"):
            homes.add(bad)
        with pytest.raises(ValueError, match="may hold letters, digits"):
            homes.add_device("A-01", bad)
        assert homes.devices == 0

    def test_an_id_with_a_line_end_is_refused(self) -> None:
        with pytest.raises(ValueError, match="may hold letters, digits"):
            Homes().add("A-01\n")


class TestReadings:
    @given(rows)
    def test_a_batch_is_its_rows(self, some: list[Any]) -> None:
        batch = reading_batch(some)
        assert (told(batch), len(batch)) == (some, len(some))
        types = [getattr(batch, f).dtype.name for f in ReadingBatch.__dataclass_fields__]
        assert types == ["int32", "int32", "int16", "float64", "int64", "int64", "uint8"]

    @given(st.lists(rows, max_size=4))
    def test_concat_keeps_order(self, parts: list[list[Any]]) -> None:
        assert told(concat([reading_batch(p) for p in parts])) == [row for p in parts for row in p]

    @given(rows)
    def test_canonical_order_is_by_household_time_and_metric_and_stable(self, some: list[Any]) -> None:
        batch = reading_batch(some)
        assert told(batch.canonical()) == sorted(some, key=lambda r: (r[0], r[4], r[2]))
        assert told(batch) == some

    def test_take(self) -> None:
        batch = reading_batch([(i, 0, 0, 0.0, 0, 0, 0) for i in range(4)])
        for which in (np.array([1, 3]), np.array([False, True, False, True]), slice(1, None, 2)):
            assert batch.take(which).home.tolist() == [1, 3]
        assert len(no_readings()) == 0


class Inner(Content):
    hold: Duration
    limit: float = Field(default=1.0, gt=0)


class Outer(Content):
    title: Text
    inner: Inner
    many: tuple[Inner, ...] = ()


GOOD: dict[str, Any] = {"title": {"ja": "あ", "en": "a"}, "inner": {"hold": "5m"}, "many": [{"hold": "1h"}]}


class TestContent:
    def test_a_good_table_is_a_record(self) -> None:
        record, errors = validate(Outer, GOOD, "x.toml")
        assert errors == []
        assert record is not None
        assert (record.inner.hold, record.many[0].limit) == (5 * MINUTE, 1.0)

    def test_every_mistake_is_told_with_its_place_and_mend(self) -> None:
        record, errors = validate(
            Outer,
            {"title": {"ja": "あ"}, "inner": {"hold": 5, "limt": 2}, "zzz": 1,
             "many": [{"hold": "x"}, {"hold": "1m", "limit": 0}]},
            "x.toml",
        )  # fmt: skip
        assert record is None
        assert {e.file for e in errors} == {"x.toml"}
        found = {e.key: (e.reason, e.mend) for e in errors}
        assert found["title.en"] == ("is missing", "add it (see the README of this folder)")
        assert found["inner.limt"] == ("unknown key", "did you mean limit?")
        assert found["zzz"] == ("unknown key", "known keys here: inner, many, title")
        assert '"35m"' in found["inner.hold"][0]
        assert found["many.0.hold"][1].startswith("write a number and a unit")
        assert "greater than 0" in found["many.1.limit"][0]
        assert len(found) == len(errors) == 6

    def test_a_mistake_reads_as_one_line(self) -> None:
        assert str(ContentError("a.toml", "b.c", "is missing", "add it")) == "a.toml: b.c — is missing; add it"
        assert str(ContentError("a.toml", "", "is empty", "")) == "a.toml — is empty"
