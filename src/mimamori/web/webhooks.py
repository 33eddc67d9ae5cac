"""Webhooks, registered and looked after by administrators: under /api/v1/admin and as a page.

May import the entries, guard, manage and its pages. The secret is told once, in the answer to its registration.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from mimamori.model.notice import WEBHOOK
from mimamori.model.times import iso_or_none
from mimamori.web import entries
from mimamori.web.guard import Caller, Gate, web_of
from mimamori.web.manage import Because, Manager, by_of, entered, plainly, site_of
from mimamori.web.manage_pages import form_of, read_form, refused, shown
from mimamori.web.records import Webhook
from mimamori.web.shapes import NoticeShape, notice_shape

router = APIRouter(prefix="/api/v1/admin/webhooks", tags=["administration"])
pages = APIRouter(prefix="/admin/webhooks", include_in_schema=False, default_response_class=HTMLResponse)
_SEES = Gate("operate", "webhooks", "*")
SHOWN = 50


class WebhookEntry(Because):
    """url: where alert lines are POSTed to, signed after standardwebhooks.com; see alerts/README.md."""

    url: str


class WebhookShape(BaseModel):
    id: str
    url: str
    active: bool
    by: str
    added: str | None
    detail: str


class NewWebhookShape(WebhookShape):
    """secret: told here only; the receiver checks signatures with it."""

    secret: str


async def register(request: Request, caller: Caller, said: WebhookEntry) -> Webhook:
    """Register an address under a fresh secret. Raises ValueError."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    made = Webhook(id=secrets.token_hex(4), url=said.url, secret=secret, by="", added=0)
    return await entered(request, entries.add_webhook(web_of(request).records, made, by_of(request, caller, said)))


async def switch_off(request: Request, caller: Caller, webhook: str, said: Because) -> Webhook:
    """Tell it nothing more. Raises ValueError."""
    work = entries.end_webhook(web_of(request).records, webhook, by_of(request, caller, said))
    return await entered(request, work)


def _shape(webhook: Webhook, zone: str) -> WebhookShape:
    told = asdict(webhook) | {"added": iso_or_none(webhook.added, zone)}
    return WebhookShape(**{name: told[name] for name in WebhookShape.model_fields})


@router.get("", dependencies=[Depends(_SEES)])
async def webhooks(request: Request) -> list[WebhookShape]:
    """Every address, in use or not."""
    zone = site_of(request).zone.name
    return [_shape(w, zone) for w in await web_of(request).records.webhooks()]


@router.post("")
async def add(request: Request, caller: Manager, said: WebhookEntry) -> NewWebhookShape:
    """Register an address; from now on it is told of every change of an alert."""
    made = await plainly(register(request, caller, said))
    return NewWebhookShape(**_shape(made, site_of(request).zone.name).model_dump(), secret=made.secret)


@router.post("/{webhook}/end")
async def end(request: Request, webhook: str, caller: Manager, said: Because) -> WebhookShape:
    """Switch one off; what still waits to be sent to it is given up."""
    return _shape(await plainly(switch_off(request, caller, webhook, said)), site_of(request).zone.name)


@router.get("/{webhook}/deliveries", dependencies=[Depends(_SEES)])
async def deliveries(
    request: Request, webhook: str, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> list[NoticeShape]:
    """What was told to it, newest first, and what became of each."""
    web = web_of(request)
    states = await web.records.notices(recipient=WEBHOOK + webhook, limit=limit)
    return [notice_shape(s, web.desk.view.zone, whole=True) for s in states]


async def _page(request: Request, caller: Caller, **more: object) -> Response:
    records = web_of(request).records
    rows = sorted(await records.webhooks(), key=lambda w: (not w.active, -w.added))
    told = [(w, await records.notices(recipient=WEBHOOK + w.id, limit=SHOWN)) for w in rows]
    return shown(request, "admin-webhooks", caller, rows=told, **more)


@pages.get("")
async def page(request: Request, caller: Annotated[Caller, Depends(_SEES)]) -> Response:
    """The addresses, the form for a new one, and what was told to each."""
    return await _page(request, caller)


@pages.post("")
async def add_by_form(request: Request, caller: Manager) -> Response:
    """Register one; the page that answers shows its secret, once."""
    said = await form_of(request)
    try:
        made = await register(request, caller, read_form(WebhookEntry, said))
    except ValueError as wrong:
        return await _page(request, caller, status=422, wrong=refused(request, wrong), said=said)
    return await _page(request, caller, made=made)


@pages.post("/{webhook}/end")
async def end_by_form(request: Request, webhook: str, caller: Manager) -> Response:
    """Switch one off."""
    try:
        await switch_off(request, caller, webhook, read_form(Because, await form_of(request)))
    except ValueError as wrong:
        return await _page(request, caller, status=422, wrong=refused(request, wrong))
    return await _page(request, caller)
