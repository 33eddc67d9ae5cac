"""Device profiles: what a model of device measures, how often it speaks, and how its own format maps to ours.

May import model only. Reads no files: parsed tables come in, records and all mistakes go out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, FiniteFloat

from mimamori.model.content import Content, ContentError, Duration, Text, validate
from mimamori.model.metrics import BASE, Metric, Nature
from mimamori.model.times import format_duration

TOPIC_ROOT = "mimamori/v1"
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,31}$")
_BASE = {metric.name: metric for metric in BASE}


class Measure(Content):
    """One metric as this device sends it: metric value = sent value x scale + offset, then judged by low and high."""

    unit: str
    scale: FiniteFloat | None = None
    offset: FiniteFloat = 0.0
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    no_data: tuple[FiniteFloat, ...] = ()


class Declared(Content):
    """A metric of this device that the base table lacks."""

    title: Text
    unit: str
    nature: Nature
    low: FiniteFloat
    high: FiniteFloat


class Backing(Content):
    """When the `metrics` count: only while `by` was `at_least` this much `within` that time. Phantoms do not pass.

    share 0: one such value is enough. share above 0: that share of the values is needed, older ones fading.
    """

    metrics: tuple[str, ...]
    by: str
    at_least: FiniteFloat
    share: FiniteFloat = Field(default=0.0, ge=0, le=1)
    within: Duration


class MappedValue(Content):
    """Where a value lies in a vendor's payload: dotted path ("" = the payload itself), words that stand for numbers."""

    path: str
    words: dict[str, FiniteFloat] = Field(default_factory=dict)


class TopicMap(Content):
    """One topic of a vendor: pattern with {household} and {device}, where the time lies, where each metric lies.

    seq: where a counter of messages lies, for devices without a clock.
    """

    topic: str
    time: str = ""
    time_unit: Literal["iso", "s", "ms"] = "iso"
    seq: str = ""
    values: dict[str, MappedValue]

    @property
    def filter(self) -> str:
        """The MQTT topic filter that covers the pattern."""
        return "/".join("+" if "{" in level else level for level in self.topic.split("/"))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern as a regular expression with groups `household` and `device`."""
        parts = re.split(r"\{(household|device)\}", self.topic)
        return re.compile("".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


class Profile(Content):
    """A model of device; `name` is the file's stem and what devices are registered with."""

    name: str = ""
    title: Text
    period: Duration
    silent_after: Duration
    metrics: dict[str, Measure]
    declare: dict[str, Declared] = Field(default_factory=dict)
    backing: Backing | None = None
    mapping: tuple[TopicMap, ...] = ()

    def declared(self) -> tuple[Metric, ...]:
        """The metrics this profile adds to the base table."""
        return tuple(
            Metric(
                name=name, unit=more.unit, nature=more.nature, low=more.low, high=more.high,
                title_ja=more.title.ja, title_en=more.title.en,
            )
            for name, more in self.declare.items()
        )  # fmt: skip


def read_profiles(tables: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[Profile, ...], list[ContentError]]:
    """Profiles of parsed TOML tables by file stem, in order of name, and every mistake in all of them.

    A profile with a mistake is left out of the first part.
    """
    profiles: list[Profile] = []
    errors: list[ContentError] = []
    for name in sorted(tables):
        file = f"sensors/{name}.toml"
        if "name" in tables[name]:
            errors.append(ContentError(file, "name", "unknown key", "the file's name is the profile's name; remove it"))
            continue
        profile, mistakes = validate(Profile, {**tables[name], "name": name}, file)
        if profile is not None:
            mistakes = [ContentError(file, key, reason, mend) for key, reason, mend in _mistakes(profile)]
            mistakes += _clashes(profile, profiles, file)
            if not mistakes:
                profiles.append(profile)
        errors += mistakes
    return tuple(profiles), errors


def declared_metrics(profiles: Iterable[Profile]) -> tuple[Metric, ...]:
    """Every metric the profiles add, once, for `Metrics(more=...)`."""
    return tuple({metric.name: metric for profile in profiles for metric in profile.declared()}.values())


def topic_filters(profiles: Iterable[Profile]) -> tuple[str, ...]:
    """The MQTT filters of all vendors' own topics, each once."""
    return tuple(dict.fromkeys(entry.filter for profile in profiles for entry in profile.mapping))


_Mistakes = Iterator[tuple[str, str, str]]


def _mistakes(profile: Profile) -> _Mistakes:
    known = {**_BASE, **{metric.name: metric for metric in profile.declared()}}
    if profile.period <= 0:
        yield "period", "must be longer than nothing", 'write the usual time between two messages, such as "10s"'
    if profile.silent_after <= profile.period:
        mend = f'write more than the period, such as "{format_duration(max(3 * profile.period, 1))}"'
        yield "silent_after", "is not longer than period, so every device would be silent at once", mend
    for name, more in profile.declare.items():
        yield from _declared_mistakes(name, more)
    for name, measure in profile.metrics.items():
        metric = known.get(name)
        if metric is None:
            yield f"metrics.{name}", "unknown metric", _nearest(name, known) or "declare it under [declare] first"
        else:
            yield from _measure_mistakes(f"metrics.{name}", measure, metric)
    if profile.backing is not None:
        yield from _backing_mistakes(profile.backing, profile.metrics, known)
    for index, entry in enumerate(profile.mapping):
        yield from _topic_mistakes(f"mapping.{index}.topic", entry.topic)
        yield from _values_mistakes(f"mapping.{index}.values", entry, profile.metrics)


def _declared_mistakes(name: str, more: Declared) -> _Mistakes:
    if name in _BASE:
        yield f"declare.{name}", "is a base metric already", "remove the declaration and use it under [metrics]"
    if not _NAME.match(name):
        yield f"declare.{name}", "is not a metric name", "use small letters, digits and _, such as co2_level"
    if more.low >= more.high:
        yield f"declare.{name}.low", "is not below high", "exchange or correct the two"


def _measure_mistakes(key: str, measure: Measure, metric: Metric) -> _Mistakes:
    if measure.unit != metric.unit and measure.scale is None:
        mend = f'send {metric.unit}, or give the scale from "{measure.unit}" to "{metric.unit}"'
        yield f"{key}.unit", f'the unit of {metric.name} is "{metric.unit}", not "{measure.unit}"', mend
    if measure.scale == 0:
        yield f"{key}.scale", "makes every value zero", "write the factor from the device's unit to the metric's"
    low = metric.low if measure.low is None else measure.low
    high = metric.high if measure.high is None else measure.high
    if low >= high:
        yield f"{key}.low", "is not below high", "exchange or correct the two"
    if low < metric.low or high > metric.high:
        mend = f"stay within {metric.low:g} to {metric.high:g}, or declare a metric of your own"
        yield f"{key}.low" if low < metric.low else f"{key}.high", f"is outside the range of {metric.name}", mend


def _backing_mistakes(backing: Backing, metrics: Mapping[str, Measure], known: Mapping[str, Metric]) -> _Mistakes:
    for key, name in (("backing.by", backing.by), *((f"backing.metrics.{m}", m) for m in backing.metrics)):
        if name not in metrics:
            yield key, f"{name} is not among the metrics of this profile", _nearest(name, metrics) or "add it there"
    if backing.within <= 0:
        yield "backing.within", "must be longer than nothing", 'write a time such as "60s"'
    if backing.share > 0 and backing.by in known and known[backing.by].nature == "state":
        yield "backing.share", f"{backing.by} is a state, which holds until the next", "leave share out"


def _values_mistakes(key: str, entry: TopicMap, metrics: Mapping[str, Measure]) -> _Mistakes:
    if not entry.values:
        yield key, "maps nothing", "add at least one metric"
    for name in entry.values:
        if name not in metrics:
            mend = _nearest(name, metrics) or f"add [metrics.{name}]"
            yield f"{key}.{name}", "is not among the metrics of this profile", mend


def _topic_mistakes(key: str, topic: str) -> _Mistakes:
    for part in ("{household}", "{device}"):
        if topic.count(part) != 1:
            yield key, f"must hold {part} once", "such as vendor/{household}/{device}/state"
    rest = topic.replace("{household}", "").replace("{device}", "")
    if set(rest) & set("{}+#"):
        yield key, "may hold no braces but {household} and {device}, and no + or #", "write the fixed parts out"
    if "{household}{device}" in topic or "{device}{household}" in topic:
        yield key, "{household} and {device} touch", "part them by / or another sign"
    if topic.startswith("mimamori/"):
        yield key, "mimamori/ topics are read already", "remove this mapping, or use the vendor's own topic"


def _clashes(profile: Profile, others: Iterable[Profile], file: str) -> Iterator[ContentError]:
    taken = {metric.name: (metric, other.name) for other in others for metric in other.declared()}
    for metric in profile.declared():
        before, owner = taken.get(metric.name, (metric, profile.name))
        if before != metric:
            reason = f"is declared otherwise in sensors/{owner}.toml"
            yield ContentError(file, f"declare.{metric.name}", reason, "make both the same, or choose another name")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
