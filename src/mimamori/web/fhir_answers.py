"""How FHIR answers: searchset Bundles with paging, OperationOutcomes, and stretches of time as `date` asks for them.

May import the shapes and model. Reads no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import JSONResponse

from mimamori.model.times import DAY, NEVER, from_datetime, parse_instant
from mimamori.web import fhir_shapes as shapes
from mimamori.web.fhir_shapes import Resource

LONGEST = 400 * DAY
_PREFIXES = ("ge", "gt", "le", "lt", "eq")


class FhirAnswer(JSONResponse):
    """A resource, under its media type."""

    media_type = "application/fhir+json"


class Wrong(Exception):  # noqa: N818 - an answer, not a fault
    """A request that cannot be answered: told as an OperationOutcome."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


async def tell_wrong(_: Request, wrong: Exception) -> FhirAnswer:
    """The handler of `Wrong`."""
    status, code = (wrong.status, wrong.code) if isinstance(wrong, Wrong) else (500, "exception")
    return FhirAnswer(shapes.outcome(code, str(wrong)), status)


def bundle(request: Request, entries: Sequence[Resource], *, total: int, count: int, offset: int) -> FhirAnswer:
    """One page. entries: of this page only."""
    base = str(request.base_url).rstrip("/")

    def link(relation: str, to: int) -> Resource:
        asked = [(k, v) for k, v in request.query_params.multi_items() if k not in {"_offset", "_count"}]
        return {"relation": relation, "url": f"{base}{request.url.path}?{urlencode([*asked, ('_count', count), ('_offset', to)])}"}  # fmt: skip  # noqa: E501

    links = [link("self", offset)]
    links += [link("next", offset + count)] if offset + count < total else []
    links += [link("previous", max(offset - count, 0))] if offset else []
    told = [
        {"fullUrl": f"{base}/fhir/{e['resourceType']}/{e['id']}", "resource": e, "search": {"mode": "match"}}
        for e in entries
    ]  # fmt: skip
    return FhirAnswer({
        "resourceType": "Bundle", "type": "searchset", "total": total, "link": links,
        **({"entry": told} if told else {}),
    })  # fmt: skip


def paged(request: Request, found: Sequence[Resource], count: int, offset: int) -> FhirAnswer:
    """A page of what was found."""
    return bundle(request, found[offset : offset + count], total=len(found), count=count, offset=offset)


def span(dates: list[str] | None, now: int, default: int, zone: str) -> tuple[int, int]:
    """[start, end) in ns of one or two `date` parameters; the last `default` ns for none. Raises Wrong."""
    start, end = NEVER, now
    for text in dates or []:
        prefix, value = (text[:2], text[2:]) if text[:2] in _PREFIXES else ("eq", text)
        try:
            begins, ends = _reach(value, zone)
        except ValueError as mistake:
            raise Wrong(400, "invalid", f"date {text[:40]!r}: {mistake}; write ge2026-11-23T00:00:00+09:00") from None
        if prefix in {"ge", "eq"}:
            start = max(start, begins)
        if prefix == "gt":
            start = max(start, ends)
        if prefix in {"le", "eq"}:
            end = min(end, ends)
        if prefix == "lt":
            end = min(end, begins)
    start = end - default if start == NEVER else start
    if end - start > LONGEST:
        raise Wrong(400, "too-costly", "at most 400 days at a time; narrow `date`")
    return start, max(start, end)


def _reach(value: str, zone: str) -> tuple[int, int]:
    """The stretch that a date or a time names: the whole local day, or that one moment and the ns after it."""
    if len(value) == 10:
        day = datetime.fromisoformat(value).replace(tzinfo=ZoneInfo(zone))
        return from_datetime(day), from_datetime(day + timedelta(days=1))
    at = parse_instant(value)
    return at, at + 1
