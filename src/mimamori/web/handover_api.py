"""The hand-over sheet under /api/v1/handover: what the page and the paper tell, as JSON.

May import handover, its pages and the API's shapes.
"""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from mimamori.alerts.roster import Turn
from mimamori.model.times import iso
from mimamori.web.guard import Gate, web_of
from mimamori.web.handover import Sheet, recent, sheet_of
from mimamori.web.household_api import NoteShape, note_shape
from mimamori.web.manage import AbsenceShape, absence_shape, moment, site_of
from mimamori.web.shapes import AlertShape, NoticeShape, alert_shape, notice_shape

router = APIRouter(prefix="/api/v1/handover", tags=["handover"])
OPEN = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'"
}


class TurnShape(BaseModel):
    """A shift: GET /api/v1/handover/{day}/{name} tells its sheet."""

    day: date
    name: str
    title: str
    title_en: str
    begins: str
    ends: str


class ShiftsShape(BaseModel):
    """turns: of the last week, newest first. kept: names of the sheets that were made without being asked."""

    turns: list[TurnShape]
    kept: list[str]


class ToldShape(BaseModel):
    """An alert with its events of the shift, and the calls made about it, newest first."""

    alert: AlertShape
    called: list[NoticeShape]


class DutyShape(BaseModel):
    begins: str
    ends: str
    people: list[str]


class SheetShape(BaseModel):
    """open, taken, shelved, silent: what the next shift inherits. duties: of the next shift, by role."""

    turn: TurnShape
    until: str
    done: bool
    told: list[ToldShape]
    open: list[AlertShape]
    taken: list[AlertShape]
    shelved: list[AlertShape]
    silent: list[AlertShape]
    absences: list[AbsenceShape]
    notes: list[NoteShape]
    following: TurnShape | None
    duties: dict[str, list[DutyShape]]


def kept_in(folder: Path | None) -> list[str]:
    """Names of the sheets made without being asked, newest first."""
    return sorted((p.name for p in folder.glob("*.html")), reverse=True) if folder else []


def turn_of(request: Request, day: date, shift: str) -> Turn:
    """One of the last days' shifts. Raises HTTPException."""
    turns = recent(site_of(request).alerts.roster, moment(web_of(request)))
    turn = next((t for t in turns if (t.day, t.name) == (day, shift)), None)
    if turn is None:
        raise HTTPException(404, "no such shift in the last days; GET /api/v1/handover lists them")
    return turn


def _turn_shape(turn: Turn, zone: str) -> TurnShape:
    return TurnShape(
        day=turn.day, name=turn.name, title=turn.title.ja, title_en=turn.title.en, begins=iso(turn.begins, zone),
        ends=iso(turn.ends, zone),
    )  # fmt: skip


def _sheet_shape(sheet: Sheet, zone: str) -> SheetShape:
    def alerts(standing: str) -> list[AlertShape]:
        return [alert_shape(a, zone) for a in getattr(sheet, standing)]

    return SheetShape(
        turn=_turn_shape(sheet.turn, zone), until=iso(sheet.until, zone), done=sheet.done,
        told=[
            ToldShape(
                alert=alert_shape(t.alert, zone, list(t.events)),
                called=[notice_shape(s, zone, whole=False) for s in t.called],
            )
            for t in sheet.told
        ],
        open=alerts("open"), taken=alerts("taken"), shelved=alerts("shelved"), silent=alerts("silent"),
        absences=[absence_shape(a, zone) for a in sheet.absences], notes=[note_shape(n, zone) for n in sheet.notes],
        following=_turn_shape(sheet.following, zone) if sheet.following else None,
        duties={
            role: [DutyShape(begins=iso(a, zone), ends=iso(b, zone), people=list(people)) for a, b, people in parts]
            for role, parts in sheet.duties.items()
        },
    )  # fmt: skip


@router.get("", dependencies=[Depends(Gate("watch", "handover"))])
async def shifts(request: Request) -> ShiftsShape:
    """The shifts whose sheets may be asked for."""
    web, site = web_of(request), site_of(request)
    turns = [_turn_shape(t, site.zone.name) for t in recent(site.alerts.roster, moment(web))]
    return ShiftsShape(turns=turns, kept=kept_in(web.sheets))


@router.get("/kept/{name}", dependencies=[Depends(Gate("watch", "handover", "*"))], response_class=HTMLResponse)
async def kept(request: Request, name: str) -> Response:
    """A sheet as it was made at its time: one HTML file that needs no service to be read or printed."""
    folder = web_of(request).sheets
    if folder is None or name not in kept_in(folder):
        raise HTTPException(404, "no such sheet; GET /api/v1/handover lists them")
    text = await asyncio.to_thread((folder / name).read_text, "utf-8")
    return HTMLResponse(text, headers=OPEN)


@router.get("/{day}/{shift}", dependencies=[Depends(Gate("watch", "handover", "*"))])
async def handover(request: Request, day: date, shift: str) -> SheetShape:
    """One shift's sheet as of its end, or as of now."""
    web, site = web_of(request), site_of(request)
    sheet = await sheet_of(web.records, site.alerts.roster, turn_of(request, day, shift), moment(web))
    return _sheet_shape(sheet, site.zone.name)
