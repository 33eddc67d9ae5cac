"""What ward managers write: who is told at which step, and the limits; read and cross-checked as a whole.

May import model, roster and text. Pure: tables come in parsed, mistakes go out as a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from mimamori.alerts.roster import Between, Roster, RosterContent, check_roster
from mimamori.alerts.text import Texts, check_texts
from mimamori.model.alert import Category, Priority
from mimamori.model.content import Content, ContentError, Duration, validate
from mimamori.model.notice import Channel
from mimamori.model.times import DAY, MINUTE

PRIORITIES: tuple[Priority, ...] = ("high", "medium", "low")
RANK: Mapping[Priority, int] = {"low": 1, "medium": 2, "high": 3}
CATEGORIES: tuple[Category, ...] = ("resident", "environment", "technical")


class Step(Content):
    """One step: how long after the step before without an answer, which roles, over which channels."""

    after: Duration
    tell: tuple[str, ...]
    by: Annotated[tuple[Channel, ...], Field(min_length=1)]


class Repeat(Content):
    """After the last step the steps begin anew: `every` for the first `times` rounds, then `then_every` without end."""

    every: Duration
    times: Annotated[int, Field(ge=1)] = 12
    then_every: Duration | None = None


class Ask(Content):
    """Before staff are told, the home is called: `within` is the time the resident has, `tries` how many calls."""

    within: Duration
    tries: Annotated[int, Field(ge=1, le=5)] = 2


class Policy(Content):
    """`policy-*.toml`. ask: for alerts about residents only, and only where a home has a telephone."""

    priority: Priority
    categories: Annotated[tuple[Category, ...], Field(min_length=1)] = CATEGORIES
    acknowledged_for: Duration
    shelve_at_most: Duration
    quiet: Between | None = None
    ask: Ask | None = None
    step: Annotated[tuple[Step, ...], Field(min_length=1)]
    repeat: Repeat | None = None


class Limit(Content):
    """At most so many messages to one person within any such time."""

    at_most: Annotated[int, Field(ge=1)]
    within: Duration


class Area(Content):
    """The same rule in so many households within such a time is one event; its messages are gathered."""

    households: Annotated[int, Field(ge=2)] = 5
    within: Duration
    gather: Duration


class Delivery(Content):
    """A message refused, undelivered or not reported as delivered `within`: the person's next of `channels` at once."""

    within: Duration
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)]


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Drill(Content):
    """Once a week at this local time every telephone is tested: a text to staff, a call to homes."""

    day: Weekday
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    whom: Annotated[tuple[Literal["staff", "homes"], ...], Field(min_length=1)] = ("staff", "homes")


class Inhibit(Content):
    """While an alert of one rule stands in a household, other technical ones there call nobody, for a time at most."""

    while_: str = Field(alias="while")
    hold: Annotated[tuple[str, ...], Field(min_length=1)]
    at_most: Duration


class Limits(Content):
    """`limits.toml`."""

    same_again_within: Duration
    keep_closed: Duration
    sms: tuple[Limit, ...]
    area: Area
    delivery: Delivery
    drill: Drill | None = None
    inhibit: tuple[Inhibit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertContent:
    """The folder `alerts/`, read and cross-checked: exactly one policy for every priority and category."""

    policies: Mapping[tuple[Priority, Category], Policy]
    limits: Limits
    texts: Texts
    roster: Roster


C = TypeVar("C", bound=Content)


def read_alerts(tables: Mapping[str, Mapping[str, Any]]) -> tuple[AlertContent | None, list[ContentError]]:
    """The content of parsed TOML tables by file stem (policy-*, limits, texts, roster), or every mistake in them."""
    errors: list[ContentError] = []
    policies: dict[str, Policy] = {}
    for stem in sorted(tables):
        if stem.startswith("policy-"):
            record, found = validate(Policy, tables[stem], f"{stem}.toml")
            errors += found
            if record:
                policies[stem] = record
        elif stem not in {"limits", "texts", "roster"}:
            mend = "name it policy-*.toml, limits.toml, texts.toml or roster.toml"
            errors.append(ContentError(f"{stem}.toml", "", "no such file is known here", mend))
    limits = _read(Limits, tables, "limits", errors)
    texts = _read(Texts, tables, "texts", errors)
    roster = _read(RosterContent, tables, "roster", errors)
    broken = len(errors)
    for stem, policy in policies.items():
        errors += _check_policy(f"{stem}.toml", policy, _roles(tables))
    if not broken:  # a policy that could not be read would be reported as missing, too
        errors += _check_cover(policies)
    errors += check_texts(texts) if texts else []
    errors += check_roster(roster) if roster else []
    errors += _check_limits(limits) if limits else []
    if errors or not (limits and texts and roster):
        return None, errors
    cover = {(p.priority, c): p for p in policies.values() for c in p.categories}
    return AlertContent(policies=cover, limits=limits, texts=texts, roster=Roster(roster)), []


def _read(model: type[C], tables: Mapping[str, Mapping[str, Any]], stem: str, errors: list[ContentError]) -> C | None:
    if stem not in tables:
        errors.append(ContentError(f"{stem}.toml", "", "the file is missing", "copy it with `mimamori init`"))
        return None
    record, found = validate(model, tables[stem], f"{stem}.toml")
    errors += found
    return record


def _roles(tables: Mapping[str, Mapping[str, Any]]) -> AbstractSet[str]:
    """The roles that roster.toml names, even if something else in it is wrong; none where it names none."""
    found = tables.get("roster", {}).get("role")
    return found.keys() if isinstance(found, Mapping) else frozenset()


def _check_policy(file: str, policy: Policy, roles: AbstractSet[str]) -> list[ContentError]:
    errors = []
    for i, step in enumerate(policy.step):
        people = [c for c in step.by if c not in {"console", "other"}]  # neither reaches anybody in particular
        if people and not step.tell:
            errors.append(ContentError(file, f"step.{i}.tell", f"{people[0]} needs somebody to tell", "name a role"))
        if step.tell and not people:
            mend = 'add "sms" to `by`, or empty `tell`'
            errors.append(ContentError(file, f"step.{i}.by", "the console or a chat alone tells no role", mend))
        for role in step.tell if roles else ():
            if role not in roles:
                mend = f"known: {', '.join(sorted(roles))}"
                errors.append(ContentError(file, f"step.{i}.tell", f'no role "{role}" in roster.toml', mend))
    if not policy.step[-1].tell and not (policy.priority == "low" and policy.categories == ("technical",)):
        reason = "the last step reaches no human"
        errors.append(ContentError(file, f"step.{len(policy.step) - 1}", reason, "let the last step tell a role"))
    if policy.priority == "high" and not (policy.repeat and policy.repeat.then_every):
        reason = "a high alert must be repeated until a human answers"
        errors.append(ContentError(file, "repeat.then_every", reason, 'add [repeat] with then_every, such as "30m"'))
    if policy.priority == "high" and policy.ask and policy.ask.within > 5 * MINUTE:
        reason = "a high alert cannot wait longer than five minutes for the resident's answer"
        errors.append(ContentError(file, "ask.within", reason, 'write "90s"'))
    if policy.priority == "high" and policy.quiet:
        errors.append(ContentError(file, "quiet", "a high alert knows no quiet hours", "remove the key"))
    errors += _too_quick(file, policy)
    return errors


def _too_quick(file: str, policy: Policy) -> list[ContentError]:
    repeat = policy.repeat
    spans = {"acknowledged_for": policy.acknowledged_for, "shelve_at_most": policy.shelve_at_most}
    if repeat:
        spans |= {"repeat.every": repeat.every}
        spans |= {"repeat.then_every": repeat.then_every} if repeat.then_every is not None else {}
    return [
        ContentError(file, key, "is shorter than a minute", 'write at least "1m"')
        for key, span in spans.items()
        if span < MINUTE
    ]


def _check_cover(policies: Mapping[str, Policy]) -> list[ContentError]:
    errors = []
    for priority in PRIORITIES:
        for category in CATEGORIES:
            files = [f for f, p in policies.items() if p.priority == priority and category in p.categories]
            if not files:
                mend = f'add "{category}" to `categories` of a policy with priority = "{priority}"'
                errors.append(
                    ContentError(f"policy-{priority}.toml", "categories", f"no policy for {priority} {category}", mend)
                )
            elif len(files) > 1:
                reason = f"{' and '.join(f + '.toml' for f in files)} both hold for {priority} {category}"
                errors.append(ContentError(f"{files[1]}.toml", "categories", reason, "leave it in one of them"))
    return errors


def _check_limits(limits: Limits) -> list[ContentError]:
    errors = []
    if not limits.sms:
        errors.append(
            ContentError("limits.toml", "sms", "no limit is given", 'add [[sms]] at_most = 10, within = "10m"')
        )
    for i, inhibit in enumerate(limits.inhibit):
        if not MINUTE <= inhibit.at_most <= DAY:
            reason = "is not between a minute and a day: the watch has a gap as long"
            errors.append(ContentError("limits.toml", f"inhibit.{i}.at_most", reason, 'write "2h"'))
    if limits.area.gather > 5 * MINUTE:
        errors.append(ContentError("limits.toml", "area.gather", "is longer than five minutes", 'write "60s"'))
    return errors
