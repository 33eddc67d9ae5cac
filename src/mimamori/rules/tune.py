"""A rule with other parameters: within the bounds its file declares, for everybody or for one household.

May import model and rules.spec. A setting is written as in the file: a number, or a duration in words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from mimamori.model.content import ContentError
from mimamori.model.times import format_duration, parse_duration
from mimamori.rules.spec import Absent, Away, Band, Climate, Condition, Count, Evidence, Rise, Rule, Stay, Usual

Settings = Mapping[str, float | str]
"""By dotted key below `condition`, such as {"low.high": 45, "longest_limit": "2h"}."""

_OWN: Mapping[type, tuple[str, ...]] = {
    Band: ("low.", "high."), Climate: ("low.", "high."), Away: ("shortest_limit", "longest_limit", "no_sign_for"),
    Rise: ("latest",), Count: ("lowest_limit", "highest_limit"), Usual: ("deviations", "at_least"),
    Evidence: ("one_false_alarm_in", "at_most", "out_at_least", "out_at_most"),
    Absent: ("confirm", "confirm_at_most"), Stay: ("more_by_day.", "more_in_all.", "deviations"),
}  # fmt: skip


def own_keys(rule: Rule) -> tuple[str, ...]:
    """The keys that may be set for one household: those with bounds that the rule's kind looks up by household."""
    begins = _OWN.get(type(rule.condition), ())
    return tuple(key for key in rule.bounds if key.startswith(begins)) if begins else ()


def value_at(condition: Condition, key: str) -> float | str:
    """What holds at a dotted key, as the file writes it. Raises KeyError if nothing does."""
    name, _, inner = key.partition(".")
    held = getattr(condition, name, None)
    if inner:
        held = held.get(inner) if isinstance(held, dict) else None
    if isinstance(held, bool) or not isinstance(held, (int, float)):
        raise KeyError(key)
    return format_duration(int(held)) if _is_time(condition, name) else plain(held)


def plain(value: float | str) -> float | str:
    """A number as people write it: 40, not 40.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def number(value: float | str) -> float:
    """A setting as the rule computes with it: nanoseconds of a duration. Raises ValueError."""
    return parse_duration(value) if isinstance(value, str) else value


def with_settings(rule: Rule, settings: Settings) -> Rule:
    """The rule with these parameters. Raises ValueError naming the key, its bounds, or what does not fit together."""
    update: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in rule.bounds:
            known = ", ".join(rule.bounds) or "none"
            raise ValueError(f"{rule.name}: {key} は変えられません / no bounds are declared for it; known: {known}")
        _check_value(rule, key, value)
        name, _, inner = key.partition(".")
        if inner:
            update[name] = {**update.get(name, getattr(rule.condition, name)), inner: number(value)}
        else:
            update[name] = number(value)
    changed = rule.condition.model_copy(update=update)
    check: Any = getattr(changed, "_check", None)  # the record's own word on what fits together
    if check is not None:
        try:
            check()
        except ValueError as wrong:
            raise ValueError(f"{rule.name}: 値の組み合わせが合いません / {wrong}") from None
    return rule.model_copy(update={"condition": changed})


def read_setting(rule: Rule, key: str, text: str) -> float | str:
    """A setting from what a person typed. Raises ValueError; bounds are `with_settings`'s to judge."""
    text = text.strip()
    if key not in rule.bounds:
        raise ValueError(f"{rule.name}: {key[:60]} は変えられません / no bounds are declared for it")
    if isinstance(rule.bounds[key][0], str):
        return format_duration(parse_duration(text))
    try:
        found = float(text)
    except ValueError:
        raise ValueError(f"{rule.name}: {key}: 数字で入力してください / a number is needed") from None
    return plain(found)


def digest_of(rule: Rule) -> str:
    """Tells one condition from another: what a change of it was made for."""
    return hashlib.sha256(rule.condition.model_dump_json().encode()).hexdigest()[:16]


def bound_errors(rule: Rule) -> list[ContentError]:
    """Mistakes in the bounds of one rule."""
    found = []
    for key in rule.bounds:
        reason, mend = "", "write [from, to] as the value itself is written"
        try:
            _check_bound(rule, key)
        except KeyError:
            reason = f'the condition has no number called "{key}" in this file'
            mend = 'name a key below [condition], such as "low.high"'
        except ValueError as wrong:
            reason = str(wrong).rpartition(" / ")[2]
        if reason:
            found.append(ContentError(f"rules/{rule.name}.toml", f"bounds.{key}", reason, mend))
    return found


def _check_bound(rule: Rule, key: str) -> None:
    low, high = rule.bounds[key]
    now = value_at(rule.condition, key)
    if not number(low) <= number(now) <= number(high):
        raise ValueError(f"the value in force, {now}, lies outside {low} to {high}")
    for value in (low, high):
        _check_value(rule, key, value)


def _check_value(rule: Rule, key: str, value: float | str) -> None:
    low, high = (v if isinstance(v, str) else f"{v:g}" for v in rule.bounds[key])
    if _is_time(rule.condition, key.partition(".")[0]) != isinstance(value, str):
        raise ValueError(f"{rule.name}: {key}: {low}〜{high} のように書いてください / write it as {low} is written")
    least, most = map(number, rule.bounds[key])
    if not least <= number(value) <= most:
        raise ValueError(f"{rule.name}: {key}: {low}〜{high} の範囲で / must lie within {low} and {high}")


def _is_time(condition: Condition, name: str) -> bool:
    """Whether a field is a duration, or durations by priority: those alone are read by parse_duration."""
    field = type(condition).model_fields[name]
    held = get_args(field.annotation)[1:] if get_origin(field.annotation) is dict else ()
    metadata = [*field.metadata, *(m for kind in held for m in getattr(kind, "__metadata__", ()))]
    return any(getattr(m, "func", None) is parse_duration for m in metadata)
