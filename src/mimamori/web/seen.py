"""The access log as a page and under /api/v1: who saw or changed what, of whom, when and from where.

May import the guard, manage and its pages. Read only; to look at it is itself a line in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from mimamori.model.times import NEVER, from_datetime, iso, parse_instant, to_datetime
from mimamori.web.guard import Caller, Gate, web_of
from mimamori.web.manage import site_of
from mimamori.web.manage_pages import shown
from mimamori.web.pages import drawing_of
from mimamori.web.words import Lang, say, say_or

router = APIRouter(prefix="/api/v1", tags=["api"])
pages = APIRouter(prefix="/admin", include_in_schema=False, default_response_class=HTMLResponse)
_SEES = Gate("operate", "access log", "*")
SHOWN = 100
DAYS = 7  # looked at unless asked otherwise


class AccessShape(BaseModel):
    """n: the line's number in the log. whose: a household; "" where it is about all, or about nobody."""

    n: int
    who: str
    whose: str
    what: str
    at: str
    where: str


@router.get("/accesses", dependencies=[Depends(_SEES)])
async def accesses(  # noqa: PLR0917 - each a parameter of the address
    request: Request, whose: str = "", who: str = "", begins: str = "", ends: str = "",
    before: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
) -> list[AccessShape]:  # fmt: skip
    """The newest first. whose: household; who: staff id; begins, ends: ISO 8601; before: number of the last line seen."""  # noqa: E501
    web = web_of(request)
    try:
        span = (parse_instant(begins) if begins else NEVER, parse_instant(ends) if ends else None)
    except ValueError as mistake:
        raise HTTPException(422, f"begins, ends: {mistake}") from None
    found = await web.records.access_lines(
        whose=whose, who=who, begins=span[0], ends=span[1], before=before, limit=limit
    )
    zone = web.desk.view.zone
    return [AccessShape(n=n, who=a.who, whose=a.whose, what=a.what, at=iso(a.at, zone), where=a.where) for n, a in found]  # fmt: skip  # noqa: E501


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the form asks for. first, last: days on the ward's calendar, both of them whole."""

    whose: str
    who: str
    first: date
    last: date
    before: int

    def link(self, before: int) -> str:
        """The same question from another line on."""
        asked = {"whose": self.whose, "who": self.who, "first": self.first, "last": self.last, "before": before or ""}
        return "?" + urlencode({name: value for name, value in asked.items() if value})


def _asked(request: Request, today: date) -> _Asked:
    """Raises ValueError for days that are none."""
    given = {name: request.query_params.get(name, "").strip() for name in ("whose", "who", "first", "last", "before")}
    last = date.fromisoformat(given["last"]) if given["last"] else today
    first = date.fromisoformat(given["first"]) if given["first"] else last - timedelta(days=DAYS - 1)
    before = int(given["before"]) if given["before"].isdecimal() else 0
    return _Asked(whose=given["whose"], who=given["who"], first=first, last=last, before=before)


@pages.get("/accesses")
async def page_of_accesses(request: Request, caller: Annotated[Caller, Depends(_SEES)]) -> Response:
    """The log, by resident, person and days, a hundred lines at a time."""
    web, zone, lang = web_of(request), site_of(request).zone.name, drawing_of(request).lang
    today, wrong = to_datetime(web.clock(), zone).date(), ""
    try:
        asked = _asked(request, today)
    except ValueError:
        asked, wrong = _asked_nothing(today), say(lang, "access.no-day")
    homes = {r.household: r for r in await web.records.residents()}
    household = next((h for h, r in homes.items() if asked.whose.casefold() in {h.casefold(), r.code.casefold()}), "")
    if asked.whose and not household:
        wrong = say(lang, "access.no-resident", code=asked.whose[:64])
    found = [] if wrong else await web.records.access_lines(
        whose=household, who=asked.who, begins=_midnight(asked.first, zone),
        ends=_midnight(asked.last + timedelta(days=1), zone), before=asked.before, limit=SHOWN + 1,
    )  # fmt: skip
    names = {s.id: s.name for s in await web.records.all_staff()}
    return shown(
        request, "admin-accesses", caller, asked=asked, homes=homes, names=names, now=web.clock(), zone=zone,
        rows=[(a, named(lang, a.what)) for _, a in found[:SHOWN]], wrong=wrong,
        older=asked.link(found[SHOWN - 1][0]) if len(found) > SHOWN else "", newest=asked.link(0),
    )  # fmt: skip


def _asked_nothing(today: date) -> _Asked:
    return _Asked(whose="", who="", first=today - timedelta(days=DAYS - 1), last=today, before=0)


def _midnight(day: date, zone: str) -> int:
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))


def named(lang: Lang, what: str) -> str:
    """What was seen or done, in the reader's words; the details of a change stay as they were written."""
    known = say_or(lang, "seen", what.replace(" ", "-"))
    if known != what.replace(" ", "-"):
        return known
    kind, _, rest = what.partition(" ")
    if kind.endswith(";"):
        return f"{say_or(lang, 'seen', kind[:-1])}: {rest}"
    return f"{say_or(lang, 'entered', kind)} {rest}".strip()
