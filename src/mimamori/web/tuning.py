"""Other parameters for a rule: rehearse, run as a shadow, put in force; and one resident's own. Pages and API use this.

May import the entries, guard, manage and changes. The rehearsal itself is done by whoever implements `Rehearser`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Protocol

from fastapi import Query, Request
from pydantic import BaseModel

from mimamori.alerts.fold import fold_all
from mimamori.alerts.hindsight import EARLIER, Hindsight, look_back
from mimamori.model.times import DAY, NEVER, iso, iso_or_none, parse_instant
from mimamori.rules.spec import Rule
from mimamori.rules.tune import digest_of, own_keys, read_setting, value_at, with_settings
from mimamori.web import entries
from mimamori.web.changes import changed_site
from mimamori.web.guard import Caller, Web, web_of
from mimamori.web.manage import Because, by_of, entered, moment, site_of
from mimamori.web.records import Limit, ShadowAlert, Trial

LONGEST_LIMIT = 366 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A rehearsal: `done` of `of` parts; then a result, or an error in words."""

    id: str
    rule: str
    settings: Mapping[str, float | str]
    days: int
    by: str
    started: int
    done: int = 0
    of: int = 0
    result: Mapping[str, Any] | None = None
    error: str = ""


class Rehearser(Protocol):
    """Who rehearses, away from the live loop."""

    def jobs(self) -> list[Job]: ...

    def job(self, id: str) -> Job | None: ...  # noqa: A002 - the word of the page's address

    def start(self, job: Job) -> None: ...


@dataclass(slots=True)
class NoRehearser:
    """Where there is nobody to do it: every start is refused."""

    reason: str = "ここではリハーサルできません / rehearsals are not available here"
    _jobs: list[Job] = field(default_factory=list)

    def jobs(self) -> list[Job]:
        """None."""
        return self._jobs

    def job(self, id: str) -> Job | None:  # noqa: A002, ARG002
        """None."""
        return None

    def start(self, job: Job) -> None:  # noqa: ARG002
        """Raises ValueError."""
        raise ValueError(self.reason)


class RehearsalEntry(BaseModel):
    """settings: values by key, written as in the rule's file; what is left out stays as the file has it."""

    rule: str
    settings: dict[str, float | str]
    days: Annotated[int, Query(ge=1, le=400)] = 30


class TrialEntry(Because):
    rule: str
    settings: dict[str, float | str]
    name: str


class Named(Because):
    """name: what the change is called from now on."""

    name: str


class LimitEntry(Because):
    """until: ISO 8601 with an offset, at most a year away; then the ward's value holds again."""

    household: str
    rule: str
    key: str
    value: float | str
    until: str


def rehearser_of(request: Request) -> Rehearser:
    """Who rehearses here."""
    found: Rehearser = request.app.state.rehearser
    return found


def rule_of(request: Request, name: str) -> Rule:
    """A rule as its file has it. Raises ValueError."""
    found = next((r for r in site_of(request).rules if r.name == name), None)
    if found is None or not found.bounds:
        raise ValueError(f"「{name[:60]}」という変えられる決まりはありません / there is no such rule with bounds")
    return found


def cleaned(rule: Rule, given: Mapping[str, float | str]) -> dict[str, float | str]:
    """Settings as kept: what differs from the file alone, each within its bounds. Raises ValueError."""
    found = {key: read_setting(rule, key, str(value)) for key, value in given.items()}
    with_settings(rule, found)
    return {key: value for key, value in found.items() if value != value_at(rule.condition, key)}


async def start_rehearsal(request: Request, caller: Caller, said: RehearsalEntry) -> Job:
    """Begin one. Raises ValueError."""
    rule = rule_of(request, said.rule)
    job = Job(
        id=secrets.token_hex(4), rule=rule.name, settings=cleaned(rule, said.settings), days=said.days,
        by=caller.staff.id, started=web_of(request).clock(),
    )  # fmt: skip
    rehearser_of(request).start(job)
    return job


async def add_trial(request: Request, caller: Caller, said: TrialEntry) -> Trial:
    """A shadow from now on. Raises ValueError."""
    rule = rule_of(request, said.rule)
    settings = cleaned(rule, said.settings)
    name = said.name.strip()
    if not name or len(name) > 60:
        raise ValueError("名前を60字までで入力してください / a name of at most 60 characters is needed")
    now = moment(web_of(request))
    made = Trial(
        id=secrets.token_hex(4), rule=rule.name, settings=json.dumps(settings, sort_keys=True), name=name,
        reason=said.reason.strip(), by=caller.staff.id, since=now, base=digest_of(rule),
    )  # fmt: skip
    by = by_of(request, caller, said)
    line = entries.line_of(by, "shadow", f"{rule.name} {made.settings} ({name})", "", None, made)
    return await entered(request, _enter(web_of(request), line, made))


async def promote(request: Request, caller: Caller, trial: str, said: Named) -> Trial:
    """Put a shadow in force under a name, in place of what was. Raises ValueError."""
    records, name = web_of(request).records, said.name.strip()
    if not name or len(name) > 60:
        raise ValueError("名前を60字までで入力してください / a name of at most 60 characters is needed")
    known = {t.id: t for t in await records.trials()}
    old = known.get(trial)
    if old is None or old.status != "running":
        raise ValueError("試し運転中の決まりではありません / this is not a shadow that runs")
    rule = rule_of(request, old.rule)
    if digest_of(rule) != old.base:
        raise ValueError("決まりのファイルが変わりました。もう一度リハーサルを / the rule's file has changed since")
    now, who = moment(web_of(request)), caller.staff.id
    version = 1 + max((t.version for t in known.values() if t.rule == old.rule), default=0)
    made = replace(old, name=name, status="in-force", version=version, decided=now, decided_by=who)
    before = [replace(t, status="replaced", decided=now, decided_by=who)
              for t in known.values() if t.rule == old.rule and t.status == "in-force"]  # fmt: skip
    changed, _ = changed_site(site_of(request), [made])
    digest = digest_of(next(r for r in changed.rules if r.name == old.rule))
    what = f"{old.rule} version {version} {digest} {made.settings} ({name})"
    line = entries.line_of(by_of(request, caller, said), "rule", what, "", old, made)
    return await entered(request, _enter(web_of(request), line, made, *before))


async def end_trial(request: Request, caller: Caller, trial: str, said: Because) -> Trial:
    """End a shadow, or take a change back: then the file's values hold again. Raises ValueError."""
    records = web_of(request).records
    old = next((t for t in await records.trials() if t.id == trial and t.status in {"running", "in-force"}), None)
    if old is None:
        raise ValueError("試し運転中・適用中の決まりではありません / neither a shadow that runs nor in force")
    made = replace(old, status="ended", decided=moment(web_of(request)), decided_by=caller.staff.id)
    kind = "rule" if old.status == "in-force" else "shadow"
    line = entries.line_of(by_of(request, caller, said), kind, f"{old.rule} ({old.name})", "", old, made)
    return await entered(request, _enter(web_of(request), line, made))


async def put_limit(request: Request, caller: Caller, said: LimitEntry) -> Limit:
    """A parameter of one resident's own. Raises ValueError."""
    web, rule = web_of(request), rule_of(request, said.rule)
    residents = {r.household: r for r in await web.records.residents()}
    if said.household not in residents:
        raise ValueError(f"世帯 {said.household[:64]} は登録されていません / no such household")
    if said.key not in own_keys(rule):
        raise ValueError(f"{rule.name}: {said.key[:60]} は世帯ごとに変えられません / not for one household")
    value, now, until = read_setting(rule, said.key, str(said.value)), moment(web), parse_instant(said.until)
    if not now < until <= now + LONGEST_LIMIT:
        raise ValueError("見直しの日は今日より後、1年以内にしてください / until must be later than now, within a year")
    present, _ = changed_site(site_of(request), await web.records.trials())
    limits = await web.records.limits()
    mine = {x.key: json.loads(x.value) for x in limits
            if (x.household, x.rule) == (said.household, said.rule) and x.active and x.until > now}  # fmt: skip
    with_settings(next(r for r in present.rules if r.name == said.rule), mine | {said.key: value})
    made = Limit(
        household=said.household, rule=said.rule, key=said.key, value=json.dumps(value), reason=said.reason.strip(),
        by=caller.staff.id, since=now, until=until,
    )  # fmt: skip
    before = next((x for x in limits if (x.household, x.rule, x.key) == (made.household, made.rule, made.key)), None)
    name = f"{residents[said.household].code} {made.rule} {made.key}"
    line = entries.line_of(by_of(request, caller, said), "limit", name, made.household, before, made)
    return await entered(request, _enter(web, line, made))


async def end_limit(request: Request, caller: Caller, household: str, rule: str, key: str, said: Because) -> Limit:  # noqa: PLR0917
    """The ward's value holds again. Raises ValueError."""
    web = web_of(request)
    wanted = (household, rule, key)
    old = next((x for x in await web.records.limits() if (x.household, x.rule, x.key) == wanted and x.active), None)
    if old is None:
        raise ValueError("この方の設定はありません / there is no such setting")
    made = replace(old, active=False)
    line = entries.line_of(by_of(request, caller, said), "limit", f"{rule} {key}", household, old, made)
    return await entered(request, _enter(web, line, made))


async def _enter(web: Web, line: Any, made: Any, *more: Any) -> Any:
    await web.records.enter(line, made, *more)
    return made


async def compared(request: Request, trial: Trial) -> Hindsight:
    """What a trial told as a shadow, beside what the rule really told in the same time."""
    web, zone = web_of(request), site_of(request).zone.name
    ends = trial.decided if trial.decided != NEVER else moment(web)
    events = [e for e in await web.records.alert_events(since=trial.since - EARLIER) if e.at <= ends]
    opened = {e.alert for e in events if e.kind == "opened"}
    alerts = list(fold_all([e for e in events if e.alert in opened]).values())
    live = [a for a in alerts if a.rule == trial.rule and a.opened >= trial.since]
    before = [
        _told(a.household, trial.rule, a.opened, a.returned_at if a.returned_at != NEVER else a.resolved_at,
              (a.priority, a.why_ja, a.why_en), zone)
        for a in live
    ]  # fmt: skip
    shadow: list[ShadowAlert] = list(await web.records.shadow_alerts(trial.id))
    after = [_told(a.household, trial.rule, a.opened, a.ended, (a.priority, a.why_ja, a.why_en), zone) for a in shadow]
    return look_back(before, after, events, alerts)


def _told(  # noqa: PLR0917 - an alert line's parts
    household: str, rule: str, opened: int, ended: int, words: tuple[str, str, str], zone: str
) -> dict[str, Any]:
    return {
        "household": household, "rule": rule, "opened": iso(opened, zone), "resolved": iso_or_none(ended, zone),
        "priority": words[0], "why": words[1], "why_en": words[2],
    }  # fmt: skip
