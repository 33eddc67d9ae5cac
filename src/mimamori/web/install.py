"""What makes the console an app on a telephone: manifest, service worker, and the page for when there is no connection.

May import pages and words. Public, since it holds nothing about anybody; never serves data from a cache.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from mimamori.web.pages import drawing_of, page
from mimamori.web.words import say

router = APIRouter(include_in_schema=False)


@router.get("/manifest.webmanifest")
async def manifest(request: Request) -> Response:
    """Name, icons and start page for the home screen."""
    lang = drawing_of(request).lang
    icon = {"src": "/static/icon.svg", "type": "image/svg+xml", "sizes": "any", "purpose": "any"}
    mask = icon | {"src": "/static/icon-mask.svg", "purpose": "maskable"}
    told = {
        "id": "/", "name": say(lang, "site.name"), "short_name": say(lang, "site.name"), "lang": lang,
        "description": say(lang, "site.purpose"), "start_url": "/", "scope": "/", "display": "standalone",
        "background_color": "#eef2f5", "theme_color": "#0b4f6c", "icons": [icon, mask],
    }  # fmt: skip
    return JSONResponse(told, media_type="application/manifest+json")


@router.get("/worker.js")
async def worker() -> Response:
    """The service worker; at the root, since it may only watch over pages below itself."""
    return Response(files("mimamori.web").joinpath("static/worker.js").read_bytes(), media_type="text/javascript")


@router.get("/offline")
async def offline(request: Request) -> HTMLResponse:
    """Shown in place of a page that cannot be had; in both languages, since it was fetched earlier."""
    both = [(lang, say(lang, "offline.title"), say(lang, "offline.text")) for lang in ("ja", "en")]
    return page(request, "offline", None, both=both)
