"""Figures about alerts over HTTP: alarm load, proof of delivery, who was last reached. Behind the gate.

May import the guard, shapes' helpers and alerts' pure functions. Reads the ledger; decides nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from mimamori.alerts.load import load
from mimamori.alerts.proof import prove
from mimamori.model.times import DAY, NEVER, iso_or_none
from mimamori.store.ledger import Ledger
from mimamori.web.guard import Gate, web_of

router = APIRouter(prefix="/api/v1", tags=["api"])

TIMES = frozenset({
    "began", "fired", "queued", "accepted", "delivered", "read", "acknowledged", "begins", "ends", "reached_at",
    "failed_at",
})  # fmt: skip


def told(value: Any, zone: str) -> Any:
    """A record as JSON has it: times (ns) as ISO 8601, NEVER as null."""
    if isinstance(value, dict):
        return {
            k: iso_or_none(v, zone) if k in TIMES and isinstance(v, int) else told(v, zone) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [told(v, zone) for v in value]
    return value


@router.get("/load", dependencies=[Depends(Gate("watch", "load", "*"))])
async def load_figures(request: Request, days: Annotated[int, Query(ge=1, le=366)] = 30) -> dict[str, Any]:
    """Alarm load of the last days: calls per ten minutes and person, floods, top sources, share of false alarms."""
    web = web_of(request)
    ledger, now, zone = cast("Ledger", web.records), web.desk.view.now, web.desk.view.zone
    if now == NEVER:
        raise HTTPException(503, "the service has just begun; try again in a second")
    events = await ledger.alert_events(since=now - days * DAY)
    notices = await ledger.told_since(now - days * DAY)
    shown: dict[str, Any] = told(asdict(load(events, notices, now - days * DAY, now)), zone)
    return shown


@router.get("/proof/{alert:path}", dependencies=[Depends(Gate("watch", "proof", "alert"))])
async def proof(request: Request, alert: str) -> dict[str, Any]:
    """The chain of one alert: began, fired, queued, accepted, delivered, read, acknowledged; and each message's."""
    web = web_of(request)
    events = await web.records.alert_events(alert=alert)
    if not events:
        raise HTTPException(404, "no such alert; GET /api/v1/alerts lists the present ones")
    states = await web.records.notices(alert=alert, limit=1000)
    shown: dict[str, Any] = told(asdict(prove(events, states)), web.desk.view.zone)
    return shown


@router.get("/reach", dependencies=[Depends(Gate("watch", "reach", "*"))])
async def reach(request: Request) -> list[dict[str, Any]]:
    """When each member of staff and each home was last reached over which channel, and what failed last."""
    web = web_of(request)
    found = await web.records.reaches()
    return [told(asdict(r), web.desk.view.zone) | {"works": r.works} for r in found]
