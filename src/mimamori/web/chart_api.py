"""Charts under /api/v1/charts: SVG for pages and paper, the specification for the live view, and its script.

May import plans, why, guard and pages. Rendering runs in a thread: it takes tenths of a second.
"""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from typing import Annotated, Literal

import vl_convert
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from mimamori.web.api import alert_with_events
from mimamori.web.charts import NARROW, WIDE, Spec
from mimamori.web.guard import Caller, Gate, Web, web_of
from mimamori.web.pages import drawing_of
from mimamori.web.plans import charts_for
from mimamori.web.why import Chart

router = APIRouter(prefix="/api/v1/charts", tags=["charts"])
scripts = APIRouter(include_in_schema=False)
VERSION = "5.21"  # of Vega-Lite: one for paper and screen
_SNIPPET = "globalThis.drawChart = (box, spec) => vegaEmbed(box, spec, { ast: true, actions: false, renderer: 'svg', defaultStyle: false, tooltip: { disableDefaultStyle: true } });"  # noqa: E501


class ChartShape(BaseModel):
    """name: as the address has it, before .svg or .json (a Vega-Lite specification with its values)."""

    name: str
    title: str


@router.get("/households/{household}", dependencies=[Depends(Gate("watch", "charts", "household"))])
async def names_of_household(request: Request, household: str) -> list[ChartShape]:
    """Which charts there are of a household."""
    return _named(charts_for(request, drawing_of(request).lang, household))


@router.get("/households/{household}/{name}.{kind}")
async def of_household(
    request: Request, household: str, name: str, kind: Literal["svg", "json"], *, narrow: bool = False,
    _: Annotated[Caller, Depends(Gate("watch", "chart", "household"))],
) -> Response:  # fmt: skip
    """One chart of a household."""
    return await _answer(charts_for(request, drawing_of(request).lang, household), name, kind, narrow=narrow)


@router.get("/alerts/{alert:path}/{name}.{kind}")
async def of_alert(
    request: Request, alert: str, name: str, kind: Literal["svg", "json"], *, narrow: bool = False,
    _: Annotated[Caller, Depends(Gate("watch", "chart", "alert"))],
) -> Response:  # fmt: skip
    """One chart of the why card."""
    web: Web = web_of(request)
    found, _events = await alert_with_events(web, alert)
    if found is None:
        raise HTTPException(404, "no such alert")
    return await _answer(
        charts_for(request, drawing_of(request).lang, found.household, found), name, kind, narrow=narrow
    )


@router.get("/alerts/{alert:path}", dependencies=[Depends(Gate("watch", "charts", "alert"))])
async def names_of_alert(request: Request, alert: str) -> list[ChartShape]:
    """Which charts tell why an alert came."""
    found, _events = await alert_with_events(web_of(request), alert)
    if found is None:
        raise HTTPException(404, "no such alert")
    return _named(charts_for(request, drawing_of(request).lang, found.household, found))


def _named(charts: list[Chart]) -> list[ChartShape]:
    return [ChartShape(name=c.name, title=c.title) for c in charts]


async def _answer(charts: list[Chart], name: str, kind: str, *, narrow: bool) -> Response:
    chart = next((c for c in charts if c.name == name), None)
    if chart is None:
        raise HTTPException(404, "no such chart")
    spec = await chart.draw(NARROW if narrow else WIDE)
    if kind == "json":
        return JSONResponse(spec)
    return Response(await asyncio.to_thread(render, spec), media_type="image/svg+xml")


def render(spec: Spec) -> str:
    """The chart as SVG; fetches nothing."""
    return vl_convert.vegalite_to_svg(spec, vl_version=VERSION, allowed_base_urls=[])


@cache
def _script() -> bytes:
    return gzip.compress(vl_convert.javascript_bundle(_SNIPPET, vl_version=VERSION).encode())


@scripts.get("/static/vega.js")
async def script() -> Response:
    """Vega as vl-convert carries it, fetched only by who asks for a live chart; its interpreter needs no eval."""
    body = await asyncio.to_thread(_script)
    return Response(body, media_type="text/javascript", headers={"content-encoding": "gzip"})
