"""The HTTP API under /api/v1: what the desk and the ledger hold, as JSON, and commands to the loop.

May import the desk, guard and shapes. Holds no business logic: it reads, or it sends a command and tells the answer.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel

from mimamori.alerts.fold import fold_all
from mimamori.model.alert import Alert, AlertEvent, Outcome, State
from mimamori.model.commands import Command, CommandError
from mimamori.model.times import NEVER, parse_instant
from mimamori.web.desk import queue_order, worst_first
from mimamori.web.guard import Caller, Gate, Web, web_of
from mimamori.web.records import Role
from mimamori.web.shapes import (
    AlertShape,
    HouseholdShape,
    NoticeShape,
    QuarantineShape,
    StatusShape,
    alert_shape,
    household_shape,
    notice_shape,
    rejected_shape,
    status_shape,
)

router = APIRouter(prefix="/api/v1", tags=["api"])

Limit = Annotated[int, Query(ge=1, le=1000)]


class Doing(BaseModel):
    """What a person adds to an action. until: ISO 8601 with an offset, for acknowledge and shelve."""

    text: str = ""
    outcome: Outcome | None = None
    until: str | None = None


class Done(BaseModel):
    done: bool = True


@router.get("/status", dependencies=[Depends(Gate("watch", "status"))])
async def status(request: Request) -> StatusShape:
    """Whether the service works: its clock, lights and counts. Holds nothing about a resident."""
    desk = web_of(request).desk
    return status_shape(desk.view, desk.seq, desk.ticks)


@router.get("/households", dependencies=[Depends(Gate("watch", "households", "*"))])
async def households(request: Request) -> list[HouseholdShape]:
    """Every household, worst first."""
    view = web_of(request).desk.view
    return [household_shape(t, view.zone) for t in worst_first(view.tiles)]


@router.get("/households/{household}", dependencies=[Depends(Gate("watch", "household", "household"))])
async def household(request: Request, household: str) -> HouseholdShape:
    """One household."""
    desk = web_of(request).desk
    tile = desk.tile(household)
    if tile is None:
        raise HTTPException(404, "no such household; GET /api/v1/households lists them")
    return household_shape(tile, desk.view.zone)


@router.get("/alerts", dependencies=[Depends(Gate("watch", "alerts", "*"))])
async def alerts(request: Request, state: State | None = None) -> list[AlertShape]:
    """Alerts that are not resolved and those resolved lately, what needs a hand first; with their events."""
    web = web_of(request)
    view = web.desk.view
    found = [await alert_with_events(web, a.id) for a in queue_order(view.alerts)]
    return [alert_shape(a, view.zone, events) for a, events in found if a is not None and state in {None, a.state}]


@router.get("/alerts/{alert:path}", dependencies=[Depends(Gate("watch", "alert", "alert"))])
async def alert(request: Request, alert: str) -> AlertShape:
    """One alert with its events, also an old one."""
    web = web_of(request)
    found, events = await alert_with_events(web, alert)
    if found is None:
        raise HTTPException(404, "no such alert; GET /api/v1/alerts lists the present ones")
    return alert_shape(found, web.desk.view.zone, events)


async def act(request: Request, caller: Caller, action: str, alert: str, doing: Doing) -> None:
    """Send one action to the loop. Raises CommandError if it is refused, ValueError for a bad time."""
    until = NEVER if doing.until is None else parse_instant(doing.until)
    command = Command(
        action=action, alert=alert, by=caller.staff.id, text=doing.text[:1000], outcome=doing.outcome, until=until  # type: ignore[arg-type]
    )  # fmt: skip
    await web_of(request).desk.send(command)


def _offer(action: str, summary: str) -> None:
    gate = Gate("act", action, "alert")

    async def act_on(request: Request, alert: str, caller: Annotated[Caller, Depends(gate)], doing: Doing) -> Done:
        try:
            await act(request, caller, action, alert, doing)
        except CommandError as refusal:
            raise HTTPException(409, str(refusal)) from None
        except ValueError as mistake:
            raise HTTPException(422, str(mistake)) from None
        return Done()

    # annotations are text here, and the gate is a local: give FastAPI the objects
    act_on.__annotations__ = {
        "request": Request, "alert": str, "caller": Annotated[Caller, Depends(gate)], "doing": Doing, "return": Done,
    }  # fmt: skip
    router.add_api_route("/alerts/{alert:path}/" + action, act_on, methods=["POST"], summary=summary, name=action)


_offer("acknowledge", "Take an alert: others see who has it, and what still waits to be sent is cancelled")
_offer("release", "Give an alert back to the queue")
_offer("note", "Write a note on an alert")
_offer("resolve", "Close an alert; an outcome is required")
_offer("reopen", "Open a closed alert again")
_offer("shelve", "Put an alert aside until a time")


@router.get("/notices")
async def notices(
    request: Request,
    caller: Annotated[Caller, Depends(Gate("watch", "notices", "*"))],
    alert: str | None = None,
    limit: Limit = 200,
) -> list[NoticeShape]:
    """The outbox: messages, to whom, and whether they arrived; newest first."""
    web = web_of(request)
    states = await web.records.notices(alert=alert, limit=limit)
    return [notice_shape(s, web.desk.view.zone, whole=caller.may("operate")) for s in states]


class PersonShape(BaseModel):
    id: str
    name: str
    role: Role
    active: bool


@router.get("/people", dependencies=[Depends(Gate("watch", "people"))])
async def people(request: Request) -> list[PersonShape]:
    """Who the staff ids belong to that stand in alerts, notes and messages."""
    found = await web_of(request).records.all_staff()
    return [PersonShape(id=s.id, name=s.name, role=s.role, active=s.active) for s in found]


@router.get("/quarantine", dependencies=[Depends(Gate("operate", "quarantine", "*"))])
async def quarantine(request: Request, limit: Limit = 100) -> QuarantineShape:
    """What came in and was set aside, why, and how the sender can mend it."""
    web = web_of(request)
    rows = await web.records.quarantined(limit)
    counts = await web.records.quarantine_counts()
    return QuarantineShape(counts=dict(counts), rows=[rejected_shape(r, web.desk.view.zone) for r in rows])


async def events_of(web: Web, alert: str) -> list[AlertEvent]:
    """The alert's events, in the order in which they were committed."""
    return list(await web.records.alert_events(alert=alert))


async def alert_with_events(web: Web, alert: str) -> tuple[Alert | None, list[AlertEvent]]:
    """The alert as its events make it, so that state and events never disagree; None if there never was one."""
    events = await events_of(web, alert)
    return fold_all(events).get(alert), events
