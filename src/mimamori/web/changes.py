"""Rules as changed by the ward: the file's parameters, what is in force instead of them, and each household's own.

May import model, rules, the site and the store's records. Pure; what does not fit the files any more is named, never
used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mimamori.model.homes import Homes
from mimamori.rules.spec import Rule
from mimamori.rules.tune import Settings, digest_of, own_keys, with_settings
from mimamori.site import Site
from mimamori.web.records import Limit, Trial

OwnLimits = dict[str, dict[str, dict[str, float | str]]]
"""Settings by household and rule."""


def settings_of(trial: Trial) -> dict[str, float | str]:
    """What differs from the rule's file."""
    found: dict[str, float | str] = json.loads(trial.settings)
    return found


def changed_site(site: Site, trials: Sequence[Trial]) -> tuple[Site, list[str]]:
    """(the site with the changes in force, those that no longer fit its files, in words (ja / en))."""
    rules, stale = {r.name: r for r in site.rules}, []
    for trial in trials:
        if trial.status != "in-force":
            continue
        try:
            rules[trial.rule] = _changed(rules.get(trial.rule), trial)
        except ValueError as wrong:
            stale.append(f"「{trial.name}」{wrong}")
    return replace(site, rules=tuple(rules[r.name] for r in site.rules)), stale


def _changed(rule: Rule | None, trial: Trial) -> Rule:
    if rule is None or digest_of(rule) != trial.base:
        raise ValueError(f"{trial.rule}: 決まりのファイルが書き換えられました / its file has changed since")
    return with_settings(rule, settings_of(trial))


def own_limits(limits: Sequence[Limit], rules: Sequence[Rule], now: int) -> tuple[OwnLimits, list[Limit]]:
    """(settings in force at `now`, those among them that the rules do not take any more)."""
    named = {r.name: r for r in rules}
    found: OwnLimits = {}
    stale = []
    for limit in limits:
        if not limit.active or limit.until <= now:
            continue
        rule = named.get(limit.rule)
        mine = found.setdefault(limit.household, {}).setdefault(limit.rule, {})
        taken = mine | {limit.key: json.loads(limit.value)}
        if rule is not None and limit.key in own_keys(rule) and _fits(rule, taken):
            found[limit.household][limit.rule] = taken
        else:
            stale.append(limit)
    return found, stale


def _fits(rule: Rule, settings: Settings) -> bool:
    try:
        with_settings(rule, settings)
    except ValueError:
        return False
    return True


def own_by_row(own: Mapping[str, Mapping[str, Settings]], homes: Homes) -> dict[int, Mapping[str, Settings]]:
    """The same by row, of the households that have one."""
    return {row: rules for household, rules in own.items() if (row := homes.find(household)) >= 0}
