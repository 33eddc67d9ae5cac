"""The pages for other parameters: rules, rehearsals, shadows, and one resident's own. Plain forms, without scripts.

May import tuning, its API's shapes and the administration pages. Holds no rule of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mimamori.rules.tune import own_keys
from mimamori.web.changes import settings_of
from mimamori.web.guard import Caller, Gate, web_of
from mimamori.web.manage import Because, Manager, moment, site_of
from mimamori.web.manage_pages import form_of, read_form, refused, shown
from mimamori.web.reasons import short
from mimamori.web.records import Trial
from mimamori.web.tuning import (
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
from mimamori.web.tuning_api import RuleShape, limit_shape, present_rules, rule_shapes

router = APIRouter(prefix="/admin", include_in_schema=False, default_response_class=HTMLResponse)
Seer = Annotated[Caller, Depends(Gate("operate", "rules"))]
SeerOfHomes = Annotated[Caller, Depends(Gate("operate", "rules", "*"))]
DAYS = (30, 60, 90)


async def _codes(request: Request) -> dict[str, str]:
    return {r.household: r.code for r in await web_of(request).records.residents()}


def _rule(request: Request, name: str, trials: Any) -> RuleShape:
    found = next((r for r in rule_shapes(request, trials) if r.rule == name), None)
    if found is None:
        raise HTTPException(404, "no such rule with bounds")
    return found


def _given(said: Mapping[str, str]) -> dict[str, float | str]:
    """The values of a form, whose fields are named `set.` and the key; 1日20時間 is understood as 1d20h."""
    return {k.removeprefix("set."): short(v) for k, v in said.items() if k.startswith("set.")}


@router.get("/rules")
async def rules(request: Request, caller: Seer) -> Response:
    """Every rule whose numbers may be changed, the shadows, and what was decided."""
    trials = sorted(await web_of(request).records.trials(), key=lambda t: -t.since)
    by_status = {s: [t for t in trials if t.status == s] for s in ("running", "in-force", "replaced", "ended")}
    rows = rule_shapes(request, trials)
    return shown(
        request, "admin-rules", caller, rows=rows, titles={r.rule: (r.title, r.title_en) for r in rows},
        trials=by_status, settings={t.id: settings_of(t) for t in trials}, jobs=rehearser_of(request).jobs(),
    )  # fmt: skip


async def _rule_page(request: Request, caller: Caller, rule: str, **more: Any) -> Response:
    trials = await web_of(request).records.trials()
    return shown(request, "admin-rule", caller, rule=_rule(request, rule, trials), days=DAYS, **more)


@router.get("/rules/{rule}")
async def one_rule(request: Request, rule: str, caller: Seer) -> Response:
    """The form that rehearses other values of one rule."""
    return await _rule_page(request, caller, rule)


@router.post("/rules/{rule}")
async def rehearse(request: Request, rule: str, caller: Manager) -> Response:
    """Begin the rehearsal."""
    said = await form_of(request)
    try:
        entry = RehearsalEntry(rule=rule, settings=_given(said), days=int(said.get("days", "30")))
        job = await start_rehearsal(request, caller, entry)
    except ValueError as wrong:
        return await _rule_page(request, caller, rule, status=422, wrong=refused(request, wrong), said=said)
    return RedirectResponse(f"/admin/rehearsals/{job.id}", 303)


async def _rehearsal(request: Request, caller: Caller, rehearsal: str, **more: Any) -> Response:
    job = rehearser_of(request).job(rehearsal)
    if job is None:
        raise HTTPException(404, "no such rehearsal; they are forgotten when the service restarts")
    rule = _rule(request, job.rule, await web_of(request).records.trials())
    return shown(request, "admin-rehearsal", caller, job=job, rule=rule, codes=await _codes(request), **more)


@router.get("/rehearsals/{rehearsal}")
async def rehearsal_page(request: Request, rehearsal: str, caller: SeerOfHomes) -> Response:
    """How far it is; then what it would have meant."""
    return await _rehearsal(request, caller, rehearsal)


@router.post("/rehearsals/{rehearsal}")
async def try_out(request: Request, rehearsal: str, caller: Manager) -> Response:
    """Run these parameters as a shadow."""
    said, job = await form_of(request), rehearser_of(request).job(rehearsal)
    if job is None:
        raise HTTPException(404, "no such rehearsal")
    try:
        entry = read_form(TrialEntry, said, rule=job.rule, settings=dict(job.settings))
        made = await add_trial(request, caller, entry)
    except ValueError as wrong:
        return await _rehearsal(request, caller, rehearsal, status=422, wrong=refused(request, wrong), said=said)
    return RedirectResponse(f"/admin/trials/{made.id}?done=1", 303)


async def _trial_of(request: Request, trial: str) -> Trial:
    found = next((t for t in await web_of(request).records.trials() if t.id == trial), None)
    if found is None:
        raise HTTPException(404, "no such trial")
    return found


async def _trial(request: Request, caller: Caller, trial: str, **more: Any) -> Response:
    found = await _trial_of(request, trial)
    rule = _rule(request, found.rule, await web_of(request).records.trials())
    return shown(
        request, "admin-trial", caller, trial=found, rule=rule, settings=settings_of(found),
        seen=await compared(request, found), codes=await _codes(request), **more,
    )  # fmt: skip


@router.get("/trials/{trial}")
async def trial_page(request: Request, trial: str, caller: SeerOfHomes) -> Response:
    """A shadow beside the rule; the forms to put it in force, or to end it."""
    return await _trial(request, caller, trial)


@router.post("/trials/{trial}/promote")
async def put_in_force(request: Request, trial: str, caller: Manager) -> Response:
    """Put it in force."""
    said = await form_of(request)
    try:
        await promote(request, caller, trial, read_form(Named, said))
    except ValueError as wrong:
        return await _trial(request, caller, trial, status=422, wrong=refused(request, wrong), said=said)
    return RedirectResponse("/admin/rules?done=1", 303)


@router.post("/trials/{trial}/end")
async def end(request: Request, trial: str, caller: Manager) -> Response:
    """End it, or take it back."""
    try:
        await end_trial(request, caller, trial, read_form(Because, await form_of(request)))
    except ValueError as wrong:
        return await _trial(request, caller, trial, status=422, wrong=refused(request, wrong))
    return RedirectResponse("/admin/rules?done=1", 303)


async def _limits(request: Request, caller: Caller, household: str, **more: Any) -> Response:
    records, named = web_of(request).records, await present_rules(request)
    resident = next((r for r in await records.residents() if r.household == household), None)
    if resident is None:
        raise HTTPException(404, "no such household")
    rows = [limit_shape(request, x, named) for x in await records.limits() if x.household == household and x.active]
    shapes = rule_shapes(request, await records.trials())
    may = [(r, p) for r in shapes for p in r.parameters if p.key in own_keys(named[r.rule])]
    zone = ZoneInfo(site_of(request).zone.name)
    soon = datetime.fromtimestamp(moment(web_of(request)) / 1e9, zone) + timedelta(days=90)
    return shown(
        request, "admin-limits", caller, household=household, resident=resident, rows=rows, may=may,
        titles={r.rule: (r.title, r.title_en) for r in shapes}, review=soon.date().isoformat(), **more,
    )  # fmt: skip


@router.get("/residents/{household}/limits")
async def limits(
    request: Request, household: str, caller: Annotated[Caller, Depends(Gate("operate", "limits", "household"))]
) -> Response:
    """One resident's own parameters."""
    return await _limits(request, caller, household)


@router.post("/residents/{household}/limits")
async def put(request: Request, household: str, caller: Manager) -> Response:
    """Set one."""
    said = await form_of(request)
    zone = ZoneInfo(site_of(request).zone.name)
    rule, _, key = said.get("what", "").partition("|")
    try:
        day = datetime.fromisoformat(said.get("until", "")).replace(tzinfo=zone)
        entry = read_form(
            LimitEntry, said, household=household, rule=rule, key=key, until=day.isoformat(),
            value=short(said.get("value", "")),
        )  # fmt: skip
        await put_limit(request, caller, entry)
    except ValueError as wrong:
        return await _limits(request, caller, household, status=422, wrong=refused(request, wrong), said=said)
    return RedirectResponse(f"/admin/residents/{quote(household)}/limits?done=1", 303)


@router.post("/residents/{household}/limits/{rule}/{key}/end")
async def take_back(request: Request, household: str, rule: str, key: str, caller: Manager) -> Response:
    """The ward's value holds again."""
    try:
        await end_limit(request, caller, household, rule, key, read_form(Because, await form_of(request)))
    except ValueError as wrong:
        return await _limits(request, caller, household, status=422, wrong=refused(request, wrong))
    return RedirectResponse(f"/admin/residents/{quote(household)}/limits?done=1", 303)
