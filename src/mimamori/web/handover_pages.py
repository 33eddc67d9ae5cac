"""The hand-over sheet on screen and on A4: the browser prints it.

May import handover, its API, pages and what they import. Drawing the chart runs in a thread.
"""

from __future__ import annotations

import asyncio
import base64
from datetime import date
from importlib.resources import files
from typing import Annotated, Any

import vl_convert
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mimamori.alerts.roster import Roster, Turn
from mimamori.web.charts import Spec
from mimamori.web.drawing import Drawing
from mimamori.web.guard import Caller, Gate, web_of
from mimamori.web.handover import Sheet, chart, recent, sheet_of, turn_at
from mimamori.web.handover_api import kept_in, turn_of
from mimamori.web.manage import moment, site_of
from mimamori.web.pages import drawing_of, page
from mimamori.web.records import Records

router = APIRouter(prefix="/handover", include_in_schema=False, default_response_class=HTMLResponse)
PAPER = 640  # px: the width between the margins of A4


def picture(spec: Spec) -> str:
    """A chart as the address of a picture that needs no further request: it prints, and is kept, with its page."""
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version="5.21")
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


async def values_of(records: Records, roster: Roster, turn: Turn, drawing: Drawing, now: int) -> dict[str, Any]:
    """What the sheet's template needs."""
    sheet = await sheet_of(records, roster, turn, now)
    titles = {t.alert.id: getattr(t.alert, f"title_{drawing.lang}") for t in sheet.told}
    spec = chart(sheet, roster, titles, PAPER)
    return {
        "sheet": sheet, "roles": roster.content.role, "zone": roster.content.zone,
        "chart": await asyncio.to_thread(picture, spec) if spec else "",
    }  # fmt: skip


async def paper(records: Records, roster: Roster, turn: Turn, drawing: Drawing, now: int) -> tuple[str, Sheet]:
    """The sheet as one file that needs no service to be read or printed."""
    values = await values_of(records, roster, turn, drawing, now)
    css = files("mimamori.web").joinpath("static/paper.css").read_text("utf-8")
    return drawing.page("paper", css=css, now=now, **values), values["sheet"]


@router.get("")
async def newest(request: Request, _: Annotated[Caller, Depends(Gate("watch", "handover"))]) -> Response:
    """The shift that is on."""
    web = web_of(request)
    turn = turn_at(site_of(request).alerts.roster, moment(web))
    if turn is None:
        last = recent(site_of(request).alerts.roster, moment(web))
        if not last:
            raise HTTPException(404, "the roster has no shift; add one to alerts/roster.toml")
        turn = last[0]
    return RedirectResponse(f"/handover/{turn.day.isoformat()}/{turn.name}", 303)


@router.get("/{day}/{shift}")
async def handover(
    request: Request, day: date, shift: str, caller: Annotated[Caller, Depends(Gate("watch", "handover", "*"))]
) -> Response:
    """One shift's sheet."""
    web, roster = web_of(request), site_of(request).alerts.roster
    now = moment(web)
    turn = turn_of(request, day, shift)
    values = await values_of(web.records, roster, turn, drawing_of(request), now)
    return page(
        request, "handover", caller, here="handover", turns=recent(roster, now)[:10],
        kept=kept_in(web.sheets)[:10], now=now, **values,
    )  # fmt: skip
