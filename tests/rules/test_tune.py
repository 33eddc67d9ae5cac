"""A rule with other parameters: read as typed, kept within the bounds of its file, refused in words with the mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimamori.rules.spec import Rule
from mimamori.rules.tune import bound_errors, own_keys, read_setting, value_at, with_settings
from mimamori.site import load_site

RULES = {r.name: r for r in load_site(Path(__file__).parents[2]).rules}
PULSE, BED = RULES["heart-rate"], RULES["bed-exit"]


def test_a_changed_rule_differs_in_that_alone() -> None:
    changed = with_settings(PULSE, {"low.high": 45, "high.high": 140})
    assert (value_at(changed.condition, "low.high"), value_at(changed.condition, "high.high")) == (45, 140)
    assert value_at(changed.condition, "high.medium") == value_at(PULSE.condition, "high.medium")
    assert changed.model_copy(update={"condition": PULSE.condition}) == PULSE
    longer = with_settings(BED, {"longest_limit": "2h"})
    assert value_at(longer.condition, "longest_limit") == "2h"


@pytest.mark.parametrize(
    ("rule", "key", "text", "said"),
    [
        (PULSE, "low.high", "20", "within 30 and 55"), (PULSE, "hold", "5", "no bounds"),
        (PULSE, "low.high", "many", "a number is needed"), (BED, "longest_limit", "9h", "within 20m and 6h"),
        (BED, "longest_limit", "45", "not a duration"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(rule: Rule, key: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_settings(rule, {key: read_setting(rule, key, text)})


def test_settings_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="must grow"):
        with_settings(RULES["night-wandering"], {"lowest_limit": 36, "highest_limit": 12})


def test_durations_by_priority_are_written_as_in_the_file_and_grow() -> None:
    rule = RULES["stayed-in-bed"]
    changed = with_settings(rule, {"more_by_day.medium": "6h"})
    assert value_at(changed.condition, "more_by_day.medium") == "6h"
    assert value_at(changed.condition, "more_by_day.low") == "3h"
    with pytest.raises(ValueError, match="needs more time in bed"):
        with_settings(rule, {"more_by_day.low": "5h", "more_by_day.medium": "4h"})
    with pytest.raises(ValueError, match="3h"):
        with_settings(rule, {"more_by_day.medium": 6})


def test_mistakes_in_bounds_are_named_with_their_key() -> None:
    spoiled = PULSE.model_copy(update={"bounds": {"low.nope": (1, 2), "hold": (1, 2), "high.high": (140, 150)}})
    assert [e.key for e in bound_errors(spoiled)] == ["bounds.low.nope", "bounds.hold", "bounds.high.high"]
    assert [r.name for r in RULES.values() if bound_errors(r)] == []


def test_what_may_be_set_for_one_household() -> None:
    assert own_keys(PULSE) == ("low.high", "high.high", "high.medium")
    assert own_keys(RULES["inactivity"]) == ("one_false_alarm_in", "at_most", "out_at_least", "out_at_most")
    assert own_keys(RULES["heater-failed"]) == ()
    assert own_keys(RULES["stayed-in-bed"])[:2] == ("more_by_day.low", "more_by_day.medium")
    assert own_keys(RULES["not-up-yet"]) == ("latest",)
