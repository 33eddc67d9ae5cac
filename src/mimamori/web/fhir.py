"""FHIR R4, read only, under /fhir, behind the same gate and access log as all else.

May import the guard, the shapes and the stores' protocols. `_count` and `_offset` page; a page of Observations reads
the store for its own stretch of time only, so that a month costs no more than a page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, cast

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from numpy.typing import NDArray

import mimamori
from mimamori.alerts.fold import fold_all
from mimamori.model.times import DAY, iso
from mimamori.store.ledger import Ledger
from mimamori.store.readings import Series
from mimamori.web import fhir_shapes as shapes
from mimamori.web.fhir_answers import LONGEST, FhirAnswer, Wrong, bundle, paged, span
from mimamori.web.fhir_shapes import CODES, STEP, Resource, household_of
from mimamori.web.guard import Caller, Gate, Web, web_of
from mimamori.web.manage import moment, site_of
from mimamori.web.records import Access, Device

router = APIRouter(prefix="/fhir", tags=["fhir"])
Count = Annotated[int, Query(alias="_count", ge=1, le=1000)]
Offset = Annotated[int, Query(alias="_offset", ge=0)]
Date = Annotated[list[str] | None, Query()]
AUDITS = 10_000
Reader = Annotated[Caller, Depends(Gate("watch", "fhir"))]  # who reads one by its id: the line is written then


def _gate(what: str, whose: str = "*") -> Any:
    return Depends(Gate("watch", f"fhir {what}", whose, decode=household_of))


async def _one(request: Request, caller: Caller, what: str, found: Sequence[Resource], wanted: str) -> FhirAnswer:
    """The resource of this id, and a line in the access log of whose it is. Raises Wrong."""
    for told in found:
        if told["id"] == wanted:
            web, whose = web_of(request), (told.get("patient") or told.get("subject") or {}).get("reference", "")
            whose = told["id"] if told["resourceType"] == "Patient" else whose
            await web.records.log_access(Access(
                who=caller.staff.id, whose=household_of(whose), what=f"fhir {what}", at=web.clock(), where=caller.where
            ))  # fmt: skip
            return FhirAnswer(told)
    raise Wrong(404, "not-found", f'there is no resource with the id "{wanted[:80]}"')


@router.get("/metadata", dependencies=[_gate("metadata", "")])
async def metadata(request: Request) -> FhirAnswer:
    """The CapabilityStatement."""
    web = web_of(request)
    return FhirAnswer(shapes.capability(mimamori.__version__, iso(moment(web), web.desk.view.zone)))


async def _patients(web: Web) -> list[Resource]:
    return [shapes.patient(r) for r in await web.records.residents()]


@router.get("/Patient", dependencies=[_gate("patients")])
async def patients(
    request: Request, identifier: str = "", _id: str = "", count: Count = 100, offset: Offset = 0
) -> FhirAnswer:
    """Residents by their code, without a name."""
    code = identifier.rpartition("|")[2]
    found = [
        p for p in await _patients(web_of(request))
        if _id in {"", p["id"]} and code in {"", p["identifier"][0]["value"]}
    ]  # fmt: skip
    return paged(request, found, count, offset)


@router.get("/Patient/{patient}")
async def one_patient(request: Request, patient: str, caller: Reader) -> FhirAnswer:
    """One of them."""
    return await _one(request, caller, "patient", await _patients(web_of(request)), patient)


async def _devices(request: Request, household: str = "") -> list[tuple[Device, Resource]]:
    profiles = {p.name: p for p in site_of(request).profiles}
    found = await web_of(request).records.devices()
    return [(d, shapes.device(d, profiles.get(d.profile))) for d in found if household in {"", d.household}]


@router.get("/Device", dependencies=[_gate("devices", "patient")])
async def devices(
    request: Request, patient: str = "", _id: str = "", count: Count = 100, offset: Offset = 0
) -> FhirAnswer:
    """Sensors, of one home or of all."""
    found = [r for _, r in await _devices(request, household_of(patient)) if _id in {"", r["id"]}]
    return paged(request, found, count, offset)


@router.get("/Device/{device}")
async def one_device(request: Request, device: str, caller: Reader) -> FhirAnswer:
    """One of them."""
    return await _one(request, caller, "device", [r for _, r in await _devices(request)], device)


@router.get("/Observation/{observation}")
async def one_observation(request: Request, observation: str, caller: Reader) -> FhirAnswer:
    """One five-minute mean; its id says of what, so that nothing needs to be searched."""
    web, named = web_of(request), shapes.vital_named(observation)
    found: list[Resource] = []
    if named and (named[2] + 1) * STEP <= moment(web):
        profiles = {p.name: p for p in site_of(request).profiles}
        of, metric, step = named
        for device, told in await _devices(request):
            if told["id"] == of and metric in getattr(profiles.get(device.profile), "metrics", ()):
                pairs = [(device.device, metric)]
                found = await _vitals(web, device.household, pairs, step + 1, range(1))
    return await _one(request, caller, "observation", found, observation)


@router.get("/Observation", dependencies=[_gate("observations", "patient")])
async def observations(  # noqa: PLR0917 - what may be asked
    request: Request, patient: str = "", code: str = "", date: Date = None, count: Count = 100, offset: Offset = 0
) -> FhirAnswer:
    """Vital signs of one resident as five-minute means, newest first; what is missing is told with its reason.

    code: LOINC codes with commas between, all for none. date: up to two, such as ge2026-11-23T00:00:00+09:00; the last
    24 h for none.
    """
    household, web = household_of(patient), web_of(request)
    if not patient:
        raise Wrong(400, "required", "`patient` is needed: ?patient=Patient/ID")
    wanted = {c.rpartition("|")[2] for c in code.split(",") if c}
    profiles = {p.name: p for p in site_of(request).profiles}
    pairs = [
        (d.device, m) for d, _ in await _devices(request, household) if d.active and d.profile in profiles
        for m in CODES if m in profiles[d.profile].metrics and (not wanted or CODES[m][0] in wanted)
    ]  # fmt: skip
    start, end = span(date, moment(web), DAY, web.desk.view.zone)
    first, last = -(-start // STEP), end // STEP  # whole steps alone
    total = max(last - first, 0) * len(pairs)
    entries = await _vitals(web, household, pairs, last, range(offset, min(offset + count, total)))
    return bundle(request, entries, total=total, count=count, offset=offset)


async def _vitals(
    web: Web, household: str, pairs: Sequence[tuple[str, str]], last: int, places: range
) -> list[Resource]:
    """The observations at these places of the list: steps from the newest back, in each the pairs in order."""
    if not places or web.readings is None:
        return []
    newest, oldest = (last - 1 - place // len(pairs) for place in (places[0], places[-1]))
    wanted = sorted({m for _, m in pairs} | {"in_bed"})
    series = await web.readings.scan(household, oldest * STEP, (newest + 1) * STEP, wanted)
    means = {(s.device, s.metric): _means(s, oldest, newest) for s in series}
    beds = [m for (_, metric), m in means.items() if metric == "in_bed"]
    empty = np.full(newest - oldest + 1, math.nan)
    bed = np.nanmax(np.vstack([empty.clip(0), *beds]), 0, initial=-1) if beds else np.full(len(empty), -1.0)
    out = []
    for place in places:
        step, (device, metric) = last - 1 - place // len(pairs), pairs[place % len(pairs)]
        value, there = float(means.get((device, metric), empty)[step - oldest]), float(bed[step - oldest])
        absent = "not-performed" if 0 <= there < 0.5 else "unknown"  # a pulse from an empty bed is none
        if metric in {"heart_rate", "respiration_rate"} and absent == "not-performed":
            value = math.nan
        out.append(shapes.vital(household, device, metric, step * STEP, value, absent, zone=web.desk.view.zone))
    return out


def _means(series: Series, oldest: int, newest: int) -> NDArray[np.float64]:
    """(newest - oldest + 1,) mean of each step; NaN where nothing was read."""
    step, n = series.taken // STEP - oldest, newest - oldest + 1
    count = np.bincount(step, minlength=n)
    total = np.bincount(step, series.value, minlength=n)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


async def _issues(request: Request, household: str, start: int, end: int) -> list[Resource]:
    web, site = web_of(request), site_of(request)
    ledger = cast("Ledger", web.records)
    events = [e for e in await ledger.alert_events(since=start) if household in {"", e.household}]
    begun = {e.alert for e in events if e.kind == "opened" and start <= e.at < end}
    mine = [e for e in events if e.alert in begun]
    metric = {r.name: str(getattr(r.condition, "metric", "")) for r in site.rules}
    devices = list(await web.records.devices())
    found = sorted(fold_all(mine).values(), key=lambda a: (-a.opened, a.id))
    return [
        shapes.issue(
            a, [e for e in mine if e.alert == a.id], devices, metric.get(a.rule, ""), zone=web.desk.view.zone
        )
        for a in found
    ]  # fmt: skip


@router.get("/DetectedIssue", dependencies=[_gate("issues", "patient")])
async def issues(
    request: Request, patient: str = "", identified: Date = None, _id: str = "", count: Count = 100, offset: Offset = 0
) -> FhirAnswer:
    """Alerts, newest first, of the last 30 days or of `identified`."""
    web = web_of(request)
    start, end = span(identified, moment(web) + 1, 30 * DAY, web.desk.view.zone)
    found = [i for i in await _issues(request, household_of(patient), start, end) if _id in {"", i["id"]}]
    return paged(request, found, count, offset)


@router.get("/DetectedIssue/{issue}")
async def one_issue(request: Request, issue: str, caller: Reader) -> FhirAnswer:
    """One alert, of the last 400 days."""
    now = moment(web_of(request)) + 1
    return await _one(request, caller, "issue", await _issues(request, "", now - LONGEST, now), issue)


async def _messages(request: Request, household: str, start: int, end: int) -> list[Resource]:
    web = web_of(request)
    known = {r.household for r in await web.records.residents()}
    found = []
    for state in await cast("Ledger", web.records).notices_between(start, end):
        of = state.notice.alert.partition("/")[0]
        if household in {"", of}:
            found.append(shapes.message(state, of if of in known else "", zone=web.desk.view.zone))
    return found


@router.get("/Communication", dependencies=[_gate("messages", "patient")])
async def messages(
    request: Request, patient: str = "", sent: Date = None, _id: str = "", count: Count = 100, offset: Offset = 0
) -> FhirAnswer:
    """Messages to people and homes, newest first: those planned in the last 30 days, or in `sent`."""
    web = web_of(request)
    start, end = span(sent, moment(web) + 1, 30 * DAY, web.desk.view.zone)
    found = [m for m in await _messages(request, household_of(patient), start, end) if _id in {"", m["id"]}]
    return paged(request, found, count, offset)


@router.get("/Communication/{message}")
async def one_message(request: Request, message: str, caller: Reader) -> FhirAnswer:
    """One message, of the last 400 days."""
    now = moment(web_of(request)) + 1
    return await _one(request, caller, "message", await _messages(request, "", now - LONGEST, now), message)


@router.get("/AuditEvent", dependencies=[Depends(Gate("operate", "fhir access log", decode=household_of))])
async def audits(
    request: Request, patient: str = "", date: Date = None, count: Count = 100, offset: Offset = 0
) -> FhirAnswer:
    """Who saw or changed what, of whom, when and from where: the newest AUDITS lines, newest first."""
    web, household = web_of(request), household_of(patient)
    start, end = span(date, web.clock() + 1, 30 * DAY, web.desk.view.zone)
    lines = await web.records.accesses(whose=household or None, limit=AUDITS)
    known = {r.household for r in await web.records.residents()}
    found = [shapes.audit(a, zone=web.desk.view.zone, known=a.whose in known) for a in lines if start <= a.at < end]
    return paged(request, found, count, offset)
