"""Other parameters for rules and residents under /api/v1/admin: what `tuning` does, as JSON.

May import tuning and what it imports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

from mimamori.alerts.hindsight import Hindsight
from mimamori.model.metrics import BASE
from mimamori.model.times import iso_or_none
from mimamori.rules.spec import Climate, Cooling, Rule
from mimamori.rules.tune import own_keys, plain, value_at
from mimamori.web.changes import changed_site, settings_of
from mimamori.web.drawing import UNIT_KEYS
from mimamori.web.guard import Gate, web_of
from mimamori.web.manage import Because, Manager, moment, plainly, site_of
from mimamori.web.records import Limit, Trial, TrialStatus
from mimamori.web.tuning import (
    Job,
    LimitEntry,
    Named,
    RehearsalEntry,
    TrialEntry,
    add_trial,
    compared,
    end_limit,
    end_trial,
    promote,
    put_limit,
    rehearser_of,
    start_rehearsal,
)

router = APIRouter(prefix="/api/v1/admin", tags=["administration"])
_SEES = Depends(Gate("operate", "rules"))
_SEES_HOMES = Depends(Gate("operate", "rules", "*"))


Value = int | float | str


class ParameterShape(BaseModel):
    """A number of a rule: in its file, in force now, how far it may go; a duration as 1h30m. own: for one resident too.

    unit: a name of the catalogue's units, "" for a duration or a number without one.
    """

    key: str
    file: Value
    now: Value
    least: Value
    most: Value
    own: bool
    unit: str


class RuleShape(BaseModel):
    rule: str
    title: str
    title_en: str
    kind: str
    version: int
    changed_by: str
    changed_at: str | None
    change: str
    parameters: list[ParameterShape]


class RehearsalShape(BaseModel):
    id: str
    rule: str
    settings: dict[str, Value]
    days: int
    by: str
    started: str | None
    done: int
    of: int
    error: str
    result: dict[str, Any] | None


class TrialShape(BaseModel):
    id: str
    rule: str
    settings: dict[str, Value]
    name: str
    reason: str
    by: str
    since: str | None
    status: TrialStatus
    version: int
    decided: str | None
    decided_by: str


class LimitShape(BaseModel):
    """unit: of both values, "" for lengths of time and mere numbers."""

    household: str
    rule: str
    key: str
    value: Value
    ward_value: Value | None
    unit: str
    reason: str
    by: str
    since: str | None
    until: str | None
    active: bool


def unit_of(rule: Rule, key: str) -> str:
    """The unit of a limit: that of the metric it is held against."""
    if isinstance(rule.condition, Cooling):
        return "Cel"
    if not key.startswith(("low.", "high.", "at_least")):
        return ""
    if isinstance(rule.condition, Climate):
        return "Cel"
    unit = {m.name: m.unit for m in BASE}.get(str(getattr(rule.condition, "metric", "")), "")
    return UNIT_KEYS.get(unit, unit)


def rule_shapes(request: Request, trials: Sequence[Trial]) -> list[RuleShape]:
    """Every rule that has bounds."""
    site, zone = site_of(request), site_of(request).zone.name
    present = {r.name: r for r in changed_site(site, trials)[0].rules}
    force = {t.rule: t for t in trials if t.status == "in-force"}
    found = []
    for rule in site.rules:
        own, trial = own_keys(rule), force.get(rule.name)
        parameters = [
            ParameterShape(
                key=key, file=value_at(rule.condition, key), now=value_at(present[rule.name].condition, key),
                least=plain(low), most=plain(high), own=key in own, unit=unit_of(rule, key),
            )
            for key, (low, high) in rule.bounds.items()
        ]  # fmt: skip
        if parameters:
            found.append(RuleShape(
                rule=rule.name, title=rule.title.ja, title_en=rule.title.en, kind=rule.condition.kind,
                version=trial.version if trial else 0, changed_by=trial.decided_by if trial else "",
                changed_at=iso_or_none(trial.decided, zone) if trial else None, change=trial.name if trial else "",
                parameters=parameters,
            ))  # fmt: skip
    return found


def _job_shape(job: Job, zone: str) -> RehearsalShape:
    return RehearsalShape(
        id=job.id, rule=job.rule, settings=dict(job.settings), days=job.days, by=job.by,
        started=iso_or_none(job.started, zone), done=job.done, of=job.of, error=job.error,
        result=None if job.result is None else dict(job.result),
    )  # fmt: skip


def trial_shape(trial: Trial, zone: str) -> TrialShape:
    """Times as ISO 8601."""
    return TrialShape(
        id=trial.id, rule=trial.rule, settings=settings_of(trial), name=trial.name, reason=trial.reason, by=trial.by,
        since=iso_or_none(trial.since, zone), status=trial.status, version=trial.version,
        decided=iso_or_none(trial.decided, zone), decided_by=trial.decided_by,
    )  # fmt: skip


def limit_shape(request: Request, limit: Limit, rules: Mapping[str, Rule]) -> LimitShape:
    """With the ward's value beside it; null where the rule no longer has it."""
    zone, rule = site_of(request).zone.name, rules.get(limit.rule)
    known = rule is not None and limit.key in rule.bounds
    return LimitShape(
        household=limit.household, rule=limit.rule, key=limit.key, value=json.loads(limit.value),
        ward_value=value_at(rule.condition, limit.key) if rule is not None and known else None,
        unit=unit_of(rule, limit.key) if rule is not None else "", reason=limit.reason,
        by=limit.by, since=iso_or_none(limit.since, zone), until=iso_or_none(limit.until, zone),
        active=limit.active and limit.until > moment(web_of(request)),
    )  # fmt: skip


async def present_rules(request: Request) -> dict[str, Rule]:
    """The rules in force, by name."""
    present, _ = changed_site(site_of(request), await web_of(request).records.trials())
    return {r.name: r for r in present.rules}


@router.get("/rules", dependencies=[_SEES])
async def rules(request: Request) -> list[RuleShape]:
    """Every rule whose numbers may be changed: what its file says, what is in force, how far it may go."""
    return rule_shapes(request, await web_of(request).records.trials())


@router.get("/rehearsals", dependencies=[_SEES_HOMES])
async def rehearsals(request: Request) -> list[RehearsalShape]:
    """The last ones since the service began, newest first."""
    return [_job_shape(j, site_of(request).zone.name) for j in rehearser_of(request).jobs()]


@router.post("/rehearsals")
async def rehearse(request: Request, caller: Manager, said: RehearsalEntry) -> RehearsalShape:
    """What stored readings would have told under other parameters; ask for its id until there is a result or error."""
    return _job_shape(await plainly(start_rehearsal(request, caller, said)), site_of(request).zone.name)


@router.get("/rehearsals/{rehearsal}", dependencies=[_SEES_HOMES])
async def one_rehearsal(request: Request, rehearsal: str) -> RehearsalShape:
    """How far it is, and its result."""
    job = rehearser_of(request).job(rehearsal)
    if job is None:
        raise HTTPException(404, "no such rehearsal; they are forgotten when the service restarts")
    return _job_shape(job, site_of(request).zone.name)


@router.get("/trials", dependencies=[_SEES])
async def trials(request: Request) -> list[TrialShape]:
    """Shadows, what is in force, and what was."""
    return [trial_shape(t, site_of(request).zone.name) for t in await web_of(request).records.trials()]


@router.post("/trials")
async def try_out(request: Request, caller: Manager, said: TrialEntry) -> TrialShape:
    """Run other parameters as a shadow: beside the rule, telling nobody."""
    return trial_shape(await plainly(add_trial(request, caller, said)), site_of(request).zone.name)


@router.get("/trials/{trial}/comparison", dependencies=[_SEES_HOMES])
async def comparison(request: Request, trial: str) -> Hindsight:
    """What the shadow would have told, beside what the rule told."""
    found = next((t for t in await web_of(request).records.trials() if t.id == trial), None)
    if found is None:
        raise HTTPException(404, "no such trial; GET /api/v1/admin/trials lists them")
    return await compared(request, found)


@router.post("/trials/{trial}/promote")
async def put_in_force(request: Request, trial: str, caller: Manager, said: Named) -> TrialShape:
    """Put a shadow in force, under a name and for a reason; at once, and nothing learned is lost."""
    return trial_shape(await plainly(promote(request, caller, trial, said)), site_of(request).zone.name)


@router.post("/trials/{trial}/end")
async def end(request: Request, trial: str, caller: Manager, said: Because) -> TrialShape:
    """End a shadow, or take a change back to what the rule's file says."""
    return trial_shape(await plainly(end_trial(request, caller, trial, said)), site_of(request).zone.name)


@router.get("/limits", dependencies=[Depends(Gate("operate", "limits", "household"))])
async def limits(request: Request, household: str = "") -> list[LimitShape]:
    """Parameters of single residents, of one household or of all; also those that have lapsed."""
    named = await present_rules(request)
    found = [x for x in await web_of(request).records.limits() if household in {"", x.household}]
    return [limit_shape(request, x, named) for x in found]


@router.put("/limits")
async def limit(request: Request, caller: Manager, said: LimitEntry) -> LimitShape:
    """Set one for a resident, within the bounds of the rule's file."""
    made = await plainly(put_limit(request, caller, said))
    return limit_shape(request, made, await present_rules(request))


@router.post("/limits/{household}/{rule}/{key}/end")
async def no_limit(  # noqa: PLR0917 - what it is about
    request: Request, household: str, rule: str, key: str, caller: Manager, said: Because
) -> LimitShape:
    """The ward's value holds again for this resident."""
    made = await plainly(end_limit(request, caller, household, rule, key, said))
    return limit_shape(request, made, await present_rules(request))
