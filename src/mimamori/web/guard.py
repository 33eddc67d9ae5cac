"""The one gate in front of every route: signed in, allowed by role, form token right, view written to the access log.

May import web.sign_in, web.records and the desk. A route without a Gate is public; a test lists those.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi import Request
from starlette.datastructures import State

from mimamori.store.readings import ReadingStore
from mimamori.web.desk import Desk
from mimamori.web.records import Access, Records, Role, Staff
from mimamori.web.sign_in import Door, WebSettings, form_token, same

Right = Literal["watch", "act", "operate", "manage"]
MAY: Mapping[Role, frozenset[Right]] = {
    "nurse": frozenset({"watch", "act"}),
    "on-call": frozenset({"watch", "act"}),
    "administrator": frozenset({"watch", "act", "operate", "manage"}),
    "auditor": frozenset({"watch", "operate"}),
}
"""watch: see residents' data. act: take, note, resolve alerts. operate: what was set aside, whole phone numbers.

manage: enter residents, devices, staff, absences."""

_SAFE = {"GET", "HEAD"}


class NotSignedIn(Exception):  # noqa: N818 - a state, not a fault
    """Nobody is signed in, or not rightly."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """Signed in but may not do this. key: of the text in the catalogue."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """What every route needs, kept on the application's state. sheets: folder of kept hand-over sheets."""

    desk: Desk
    records: Records
    settings: WebSettings
    clock: Callable[[], int]
    door: Door
    readings: ReadingStore | None = None
    sheets: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, how, and the form token that their next form must carry ("" for a program)."""

    staff: Staff
    token: str
    csrf: str
    where: str

    def may(self, right: Right) -> bool:
        """Whether their role has this right."""
        return right in MAY[self.staff.role]


def web_of(request: Request) -> Web:
    """The application's parts."""
    state: State = request.app.state
    web: Web = state.web
    return web


def where_of(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A dependency of a route: `right` needed, `what` is seen or done, and `whose` it is.

    whose: "*" for everybody's, "" for nobody's (no line in the log), or the name of the parameter, in the path or asked
    for, that holds the household or the alert (whose id begins with the household); decode: where written otherwise.
    """

    right: Right
    what: str
    whose: str = ""
    decode: Callable[[str], str] = str

    async def __call__(self, request: Request) -> Caller:
        """The caller. Raises NotSignedIn or Refused."""
        caller = await _caller(request)
        if request.method not in _SAFE:
            await _check_form(request, caller)
        if not caller.may(self.right):
            raise Refused("refused.role")
        if self.whose:
            named = request.path_params.get(self.whose) or request.query_params.get(self.whose, "")
            whose = self.decode(str(named)).partition("/")[0][:64]
            now = web_of(request).clock()
            line = Access(who=caller.staff.id, whose=whose, what=self.what, at=now, where=caller.where)
            await web_of(request).records.log_access(line)
        return caller


async def _caller(request: Request) -> Caller:
    web, where = web_of(request), where_of(request)
    header = request.headers.get("authorization", "")
    if header:
        staff, password = _basic(header)
        person = await web.door.known(staff, password, where, web.clock())
        if person:
            return Caller(staff=person, token="", csrf="", where=where)
        raise NotSignedIn
    token = request.cookies.get(web.settings.cookie, "")
    person = await web.door.holder(token, web.clock())
    if person is None:
        raise NotSignedIn
    return Caller(staff=person, token=token, csrf=form_token(web.settings.secret, token), where=where)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, rest = header.partition(" ")
    try:
        staff, colon, password = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise NotSignedIn from None
    if scheme.lower() != "basic" or not colon:
        raise NotSignedIn
    return staff, password


async def _check_form(request: Request, caller: Caller) -> None:
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Refused("refused.form")
    if not caller.token:
        return
    given = request.headers.get("x-csrf-token", "")
    if not given and "json" not in request.headers.get("content-type", ""):
        given = str((await request.form()).get("csrf", ""))
    if not same(given, caller.csrf):
        raise Refused("refused.form")
