"""Puts the web together: routes, streams, static files, and what is said when something is refused.

May import everything in web. The wiring above gives the clock and the secret; nothing here reads either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import mimamori
from mimamori.model.notice import NoticeState
from mimamori.site import Site
from mimamori.store.readings import ReadingStore
from mimamori.web import (
    api,
    chart_api,
    fhir,
    fhir_answers,
    figures,
    handover_api,
    handover_pages,
    household_api,
    household_pages,
    install,
    manage,
    manage_pages,
    pages,
    parts,
    seen,
    tuning_api,
    tuning_pages,
    webhooks,
)
from mimamori.web.desk import Desk
from mimamori.web.drawing import drawings
from mimamori.web.guard import Caller, Gate, NotSignedIn, Refused, Web, web_of
from mimamori.web.live import Live, LiveResponse
from mimamori.web.records import Records
from mimamori.web.sign_in import Door, WebSettings
from mimamori.web.tuning import NoRehearser, Rehearser
from mimamori.web.words import say

_LOG = logging.getLogger(__name__)
OUTBOX_LOOK_S = 1.0

_SAFE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


def create_web(
    desk: Desk, records: Records, *, settings: WebSettings, clock: Callable[[], int], site: Site,
    more: Sequence[APIRouter] = (), readings: ReadingStore | None = None, sheets: Path | None = None,
    rehearser: Rehearser | None = None,
) -> FastAPI:  # fmt: skip
    """The console and the API as an ASGI application.

    clock: ns UTC of the real clock, also where the loop's runs faster: for sessions and the access log. Call
    `desk.close()` before stopping the server, so that its open streams end. more: routers with gates of their own.
    readings: the history that charts are drawn from; without it there are none. sheets: folder of hand-over sheets that
    the service makes by itself. rehearser: who rehearses other rules.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(live.run()), asyncio.create_task(_follow_outbox(desk, records, live))]
        yield
        desk.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    app = FastAPI(
        title="Mimamori", version=mimamori.__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        description="Safety confirmation (安否確認), not a medical device. Sign in with a session cookie and the "
        "X-CSRF-Token header, or with HTTP Basic: staff id and password.",
    )  # fmt: skip
    live = Live(desk)
    app.state.web = Web(
        desk=desk,
        records=records,
        settings=settings,
        clock=clock,
        door=Door(records, settings),
        readings=readings,
        sheets=sheets,
    )
    app.state.live, app.state.drawings = live, drawings()
    live.offer("json", parts.as_json)
    for lang, drawing in app.state.drawings.items():
        live.offer(f"wall.{lang}", parts.Wall(drawing))
        live.offer(f"queue.{lang}", parts.Queue(drawing, desk, records))
        live.offer(f"bar.{lang}", parts.Bar(drawing))
    app.add_api_route("/api/v1/live", _json_stream, methods=["GET"], tags=["api"], response_class=Response)
    app.include_router(api.router)
    app.include_router(figures.router)
    app.state.site, app.state.rehearser = site, rehearser or NoRehearser()
    app.include_router(install.router)
    app.include_router(manage.router)
    app.include_router(manage_pages.router)
    for router in (tuning_api.router, tuning_pages.router, fhir.router):
        app.include_router(router)
    app.add_exception_handler(fhir_answers.Wrong, fhir_answers.tell_wrong)
    app.include_router(webhooks.router)
    app.include_router(webhooks.pages)
    app.include_router(seen.router)
    app.include_router(seen.pages)
    app.include_router(chart_api.router)
    app.include_router(chart_api.scripts)
    app.include_router(handover_api.router)
    app.include_router(handover_pages.router)
    app.include_router(household_api.router)
    app.include_router(household_pages.router)
    app.include_router(pages.router)
    for router in more:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=str(files("mimamori.web").joinpath("static"))), "static")
    app.add_exception_handler(NotSignedIn, _sign_in_first)
    app.add_exception_handler(Refused, _refuse)
    app.add_exception_handler(OSError, _ledger_away)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_middleware(Packed, minimum_size=1000, compresslevel=5)
    app.add_middleware(SafeHeaders)
    return app


async def _json_stream(
    request: Request, caller: Annotated[Caller, Depends(Gate("watch", "live", "*"))], since: str = ""
) -> Response:
    """Server-sent events `change`, `beat` (every 2 s) and `out` (the session has ended).

    `change` holds a ChangeShape: first everything, or what came after `since` or Last-Event-ID; then changes as they
    happen, at most ten a second.
    """
    known = request.headers.get("last-event-id", since)
    return LiveResponse(request.app.state.live, "json", web_of(request), caller, known)


async def _follow_outbox(desk: Desk, records: Records, live: Live) -> None:
    """Cards tell what was sent: when that changes in the ledger, the alert counts as changed."""
    before: dict[str, str] = {}
    newest: Sequence[NoticeState] = ()
    while not desk.closed:
        await asyncio.sleep(OUTBOX_LOOK_S)
        if not live.listened():
            continue
        now: dict[str, str] = {}
        with suppress(OSError):  # a ledger that is away has its own light; look again in a second
            newest = await records.notices(limit=200)
        for state in newest:
            now[state.notice.alert] = f"{now.get(state.notice.alert, '')}{state.notice.key}={state.status};"
        desk.touch([alert for alert, told in now.items() if before.get(alert) != told])
        before = now


def _for_program(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/fhir/"))


async def _sign_in_first(request: Request, _: Exception) -> Response:
    if _for_program(request):
        # a browser would answer the challenge with a window of its own: only programs get it
        headers = {} if "sec-fetch-site" in request.headers else {"www-authenticate": 'Basic realm="mimamori"'}
        return JSONResponse({"detail": "sign in first, or give a staff id and password"}, 401, headers)
    back = f"{request.url.path}?{request.url.query}".rstrip("?") if request.method == "GET" else "/"
    return RedirectResponse(f"/login?next={quote(back)}", 303)


async def _refuse(request: Request, refusal: Exception) -> Response:
    key = refusal.key if isinstance(refusal, Refused) else "refused.page"
    if _for_program(request):
        return JSONResponse({"detail": say("en", key), "detail_ja": say("ja", key)}, 403)
    return pages.page(request, "refused", None, status=403, text=say(pages.drawing_of(request).lang, key))


async def _ledger_away(request: Request, error: Exception) -> Response:
    _LOG.error("the ledger did not answer (%s)", type(error).__name__)
    if _for_program(request):
        return JSONResponse({"detail": say("en", "refused.ledger"), "detail_ja": say("ja", "refused.ledger")}, 503)
    text = say(pages.drawing_of(request).lang, "refused.ledger")
    return pages.page(request, "refused", None, status=503, text=text)


async def _answer_error(request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    if _for_program(request):
        return JSONResponse({"detail": detail}, status)
    text = say(pages.drawing_of(request).lang, "refused.page") if status == 404 else detail
    return pages.page(request, "refused", None, status=status, text=text)


class Packed(GZipMiddleware):
    """Pages, scripts and pictures are compressed on the wire; streams of events are left alone, and cost no detour."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streams = scope["type"] == "http" and scope["path"].startswith(("/live/", "/api/v1/live"))
        await (self.app if streams else super().__call__)(scope, receive, send)


class SafeHeaders:
    """Every answer says what a browser may do with it; pages are never kept in a cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SAFE_HEADERS.items():
                    headers.setdefault(name, value)  # a page may be stricter
                keep = "no-cache" if scope["path"].startswith("/static/") else "no-store"
                headers["cache-control"] = keep
            await send(message)

        await self._app(scope, receive, send_safe)
