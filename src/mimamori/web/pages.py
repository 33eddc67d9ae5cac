"""The console's pages: each is the newest view, drawn; what people do is sent to the loop through the API's `act`.

May import the desk, guard, drawing, live and api. Holds no business logic and no state.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, get_args
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mimamori.alerts.proof import prove
from mimamori.model.alert import Outcome
from mimamori.model.commands import CommandError
from mimamori.model.times import MINUTE, NEVER, iso
from mimamori.rules.absences import holds
from mimamori.web.api import Doing, act, alert_with_events
from mimamori.web.desk import queue_order
from mimamori.web.drawing import Drawing, cards, names_of
from mimamori.web.guard import Caller, Gate, web_of, where_of
from mimamori.web.live import Live, LiveResponse
from mimamori.web.manage import site_of
from mimamori.web.plans import charts_for
from mimamori.web.shapes import masked
from mimamori.web.sign_in import form_token, same
from mimamori.web.words import LANGS, say

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

OUTCOMES = tuple(o for o in get_args(Outcome) if o != "ended")  # "ended" is the engine's own
SHELVE_MINUTES = (30, 60, 120, 240)
_BEFORE = "mimamori_form"  # ties the log-in form to this browser before there is a session


def drawing_of(request: Request) -> Drawing:
    """The drawing in the language asked for: ?lang=, the cookie, else Japanese."""
    asked = request.query_params.get("lang") or request.cookies.get("mimamori_lang")
    drawings: Mapping[str, Drawing] = request.app.state.drawings
    return drawings.get(asked or "ja", drawings["ja"])


def page(request: Request, name: str, caller: Caller | None, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page with what every page needs."""
    drawing = drawing_of(request)
    live: Live = request.app.state.live
    values = {
        "caller": caller, "view": web_of(request).desk.view, "mark": live.mark(), "live": "bar", "here": "",
        "told": "", "outcomes": OUTCOMES, "shelve_minutes": SHELVE_MINUTES,
    } | values  # fmt: skip
    answer = HTMLResponse(drawing.page(name, **values), status_code=status)
    if request.query_params.get("lang") in LANGS:
        _set_cookie(request, answer, "mimamori_lang", drawing.lang, 365 * 86400)
    return answer


def _set_cookie(request: Request, answer: Response, name: str, value: str, age: int) -> None:
    secure = web_of(request).settings.secure
    answer.set_cookie(name, value, max_age=age, httponly=True, samesite="lax", secure=secure, path="/")


def _inside(path: str) -> str:
    """The path if it stays on this site, else the wall."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


@router.get("/login")
async def login_form(request: Request, next: str = "/", wrong: str = "") -> Response:  # noqa: A002 - the usual name
    """The log-in form."""
    known = {"wrong": "login.wrong", "expired": "login.expired"}
    before = request.cookies.get(_BEFORE) or secrets.token_urlsafe(32)
    csrf = form_token(web_of(request).settings.secret, before)
    answer = page(request, "login", None, csrf=csrf, next=_inside(next), wrong=known.get(wrong, ""))
    _set_cookie(request, answer, _BEFORE, before, 3600)
    return answer


@router.post("/login")
async def login(request: Request) -> Response:
    """Check the password and open a session; every failure gets the same answer."""
    web, form = web_of(request), await request.form()
    target = _inside(str(form.get("next", "/")))
    before = request.cookies.get(_BEFORE, "")
    if not before or not same(str(form.get("csrf", "")), form_token(web.settings.secret, before)):
        return RedirectResponse(f"/login?wrong=expired&next={quote(target)}", 303)
    staff, password = str(form.get("staff", "")), str(form.get("password", ""))
    person = await web.door.known(staff.strip(), password, where_of(request), web.clock())
    if person is None:
        return RedirectResponse(f"/login?wrong=wrong&next={quote(target)}", 303)
    answer = RedirectResponse(target, 303)
    _set_cookie(request, answer, web.settings.cookie, await web.door.open(person, web.clock()), web.settings.cookie_age)
    answer.delete_cookie(_BEFORE, path="/")
    return answer


@router.post("/logout")
async def logout(request: Request, caller: Annotated[Caller, Depends(Gate("watch", "sign-out"))]) -> Response:
    """End the session."""
    web = web_of(request)
    await web.door.end(caller.token)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(web.settings.cookie, path="/")
    return answer


@router.get("/")
async def wall(request: Request, caller: Annotated[Caller, Depends(Gate("watch", "wall", "*"))]) -> Response:
    """Every household a tile, worst first."""
    # away from the loop: to draw thousands of households takes as long as other consoles may wait at most
    return await asyncio.to_thread(page, request, "wall", caller, here="wall", live="wall")


@router.get("/alerts")
async def queue(request: Request, caller: Annotated[Caller, Depends(Gate("watch", "alerts", "*"))]) -> Response:
    """The alert queue."""
    web = web_of(request)
    drawn = await cards(web.desk, web.records, queue_order(web.desk.view.alerts))
    return page(request, "alerts", caller, here="alerts", live="queue", cards=drawn)


@router.get("/alerts/{alert:path}")
async def why(
    request: Request, alert: str, caller: Annotated[Caller, Depends(Gate("watch", "alert", "alert"))]
) -> Response:
    """One alert: why, what happened, what was sent."""
    web = web_of(request)
    found, events = await alert_with_events(web, alert)
    if found is None:
        raise HTTPException(404, "no such alert")
    (card,) = await cards(web.desk, web.records, [found])
    names = await names_of(web.records, [e.by for e in events])
    charts = charts_for(request, drawing_of(request).lang, found.household, found)
    rule = next((r for r in site_of(request).rules if r.name == found.rule), None)
    tile = web.desk.tile(found.household)
    held = tile if rule and holds(rule.condition) and tile and tile.absence else None
    proof = prove(events, await web.records.notices(alert=alert, limit=1000))
    return page(
        request, "alert", caller, here="alerts", live="queue", card=card, events=events, names=names, proof=proof,
        charts=charts, held=held,
        told=say(drawing_of(request).lang, "act.done") if "done" in request.query_params else "",
    )  # fmt: skip


@router.post("/alerts/{alert:path}/{action}")
async def do(
    request: Request, alert: str, action: str, caller: Annotated[Caller, Depends(Gate("act", "action", "alert"))]
) -> Response:
    """The plain forms of the why card, for a browser without scripts."""
    form = await request.form()
    if action not in {"acknowledge", "release", "note", "resolve", "reopen", "shelve"}:
        raise HTTPException(404, "no such action")
    minutes, now = str(form.get("minutes", "")), web_of(request).desk.view.now
    until = iso(now + int(minutes) * MINUTE) if minutes.isdecimal() and now != NEVER else None
    outcome = str(form.get("outcome", "")) or None
    if outcome not in {None, *OUTCOMES}:
        raise HTTPException(422, "no such outcome")
    try:
        doing = Doing(text=str(form.get("text", "")), outcome=outcome, until=until)  # type: ignore[arg-type]
        await act(request, caller, action, alert, doing)
    except CommandError as refusal:
        text = say(drawing_of(request).lang, "refused.failed", reason=refusal)
        return page(request, "refused", caller, status=409, text=text)
    return RedirectResponse(f"/alerts/{quote(alert, safe='/')}?done=1", 303)


async def _called(request: Request, recipients: list[str]) -> Mapping[str, str]:
    """Who they are in words: staff by name, a resident's own telephone by the home that it stands in."""
    web, lang = web_of(request), drawing_of(request).lang
    names = dict(await names_of(web.records, recipients))
    for who in names:
        if who.startswith("home:"):
            tile = web.desk.tile(who.removeprefix("home:"))
            place = " ".join(filter(None, (tile.room, tile.code))) if tile else who.removeprefix("home:")
            names[who] = say(lang, "outbox.home-of", place=place)
    return names


@router.get("/outbox")
async def outbox(request: Request, caller: Annotated[Caller, Depends(Gate("watch", "outbox", "*"))]) -> Response:
    """Every message as sent, newest first."""
    web = web_of(request)
    states = await web.records.notices(limit=200)
    names = await _called(request, [s.notice.recipient for s in states])
    rows = [(names[s.notice.recipient], masked(s.notice.address, whole=caller.may("operate")), s) for s in states]
    return page(request, "outbox", caller, here="outbox", rows=rows)


@router.get("/health")
async def health(request: Request, caller: Annotated[Caller, Depends(Gate("watch", "health", "*"))]) -> Response:
    """Lights, counts, and what was set aside."""
    records = web_of(request).records
    rows = await records.quarantined(50) if caller.may("operate") else []
    reached = sorted(await records.reaches(), key=lambda r: (r.works, r.recipient, r.channel))
    names = await _called(request, [r.recipient for r in reached])
    return page(
        request, "health", caller, here="health", rows=rows, aside=await records.quarantine_counts(), reached=reached,
        names=names,
    )  # fmt: skip


@router.get("/live/{part}")
async def live(
    request: Request, part: str, caller: Annotated[Caller, Depends(Gate("watch", "live", "*"))], since: str = ""
) -> Response:
    """The event stream of a page; `since` or Last-Event-ID says what it has already."""
    drawing = drawing_of(request)
    if part not in {"wall", "queue", "bar"}:
        raise HTTPException(404, "no such stream")
    known = request.headers.get("last-event-id", since)
    return LiveResponse(request.app.state.live, f"{part}.{drawing.lang}", web_of(request), caller, known)
