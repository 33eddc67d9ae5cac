"""`mimamori bench console`: many open consoles on the real server, and what they cost; the wall's weight on the wire.

May import everything from site down. The consoles are real connections out of a process of their own. Each changed tile
carries the moment of its change, so that waiting for the next message counts too.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import resource
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import uvicorn

from mimamori.model.times import MINUTE, SECOND
from mimamori.site import Site, load_site
from mimamori.store.ledger import Ledger
from mimamori.store.records import Staff
from mimamori.stream.clock import stopwatch, wall
from mimamori.web.app import create_web
from mimamori.web.desk import Desk, Tile, View
from mimamori.web.sign_in import Door, WebSettings

PAINTS = 5
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SETTLE_S = 2.0  # after the last console has come
_STAMP = re.compile(rb'tile-head\\">(\d{16,})<')


@dataclass(frozen=True, slots=True, kw_only=True)
class Consoles:
    """cores: processor seconds of the server a second. *_ms: from a tile's change to its arrival at a console.

    wall_bytes, assets_bytes: the page, and the scripts and style that it names, on the wire with headers, as a
    browser asks for them (gzip). wall_ms: until the page is there. paint_ms: until the wall is on the screen of a real
    browser that has kept nothing, median of PAINTS; NaN without one.
    """

    consoles: int
    households: int
    events_a_second: int
    seconds: float
    told: int
    missed: int
    cores: float
    idle_cores: float
    p50_ms: float
    p99_ms: float
    largest_ms: float
    wall_bytes: int
    assets_bytes: int
    wall_ms: float
    paint_ms: float


def made_tile(i: int, now: int, stamp: int = 0) -> Tile:
    """A household as most are: calm, with four figures. stamp: ns, where its headline would be."""
    values = (
        ("heart_rate", 58.0 + i % 17, "1/min", now), ("respiration_rate", 14.0 + i % 6, "1/min", now),
        ("power", 100.0 + i % 90, "W", now), ("temperature", 19.5, "Cel", now),
    )  # fmt: skip
    return Tile(
        household=f"H{i + 1:04d}", code=f"C-{i + 1:04d}", room=f"{1 + i // 20}{i % 20 + 1:02d}", state="ok", doing="up",
        priority=None, headline_ja=str(stamp) if stamp else "", headline_en="", values=values,
        last_sign=now - i % 60 * MINUTE, coverage=0.992,
    )  # fmt: skip


@asynccontextmanager
async def served(site: Site, folder: Path) -> AsyncIterator[tuple[Desk, str, str]]:
    """The console's server on loopback as the service runs it: (desk, address, a nurse's session)."""
    ledger = await Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
    nurse = Staff(id="N-01", name="N-01", role="nurse")
    await ledger.put_staff(nurse)
    desk, settings = Desk(ledger), WebSettings(secret=b"bench" * 8, secure=False)
    app = create_web(desk, ledger, settings=settings, clock=wall, site=site)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]  # ends with the bench
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        token = await Door(ledger, settings).open(nurse, wall())
        yield desk, f"127.0.0.1:{listening.getsockname()[1]}", f"{settings.cookie}={token}"
    finally:
        desk.close()
        server.should_exit = True
        await serving
        await ledger.close()


async def measure(
    site: Site, *, consoles: int, rate: int, seconds: int, households: int, browser: str = ""
) -> Consoles:
    """The figures of one run; browser: path of a Chromium, to see the wall painted. Raises OSError without a port."""
    with tempfile.TemporaryDirectory(prefix="mimamori-consoles-") as name:
        async with served(site, Path(name)) as (desk, address, cookie):
            now = wall()
            view = View(
                now=now, zone=site.zone.name, speed=1.0, alerts=(), lights=(),
                tiles=tuple(made_tile(i, now) for i in range(households)),
            )  # fmt: skip
            desk.publish(view)
            weight = await _weigh(address, cookie) | {"paint_ms": await _paint(browser, address, cookie)}
            load = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mimamori.bench.console", address, cookie, str(consoles), stdin=-1, stdout=-1
            )
            assert load.stdin
            assert load.stdout
            await load.stdout.readline()  # every console has the whole wall
            await asyncio.sleep(SETTLE_S)
            idle = await _cores(asyncio.sleep(seconds / 2))
            told = asyncio.create_task(_tell(desk, view, rate, seconds))
            busy = await _cores(told)
            await asyncio.sleep(1)
            load.stdin.close()
            waits = np.array(json.loads(await load.stdout.read()), np.float64) / 1e6
            await load.wait()
    due = consoles * told.result()
    p50, p99, largest = np.percentile(waits, [50, 99, 100]).tolist() if len(waits) else (math.nan,) * 3
    return Consoles(
        consoles=consoles, households=households, events_a_second=rate, seconds=seconds, told=len(waits),
        missed=due - len(waits), cores=busy, idle_cores=idle, p50_ms=p50, p99_ms=p99, largest_ms=largest, **weight,
    )  # fmt: skip


async def _cores(work: Awaitable[object]) -> float:
    began, before = stopwatch(), _spent()
    await work
    return (_spent() - before) / _since(began)


def _since(began: int) -> float:
    return (stopwatch() - began) / SECOND


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _tell(desk: Desk, view: View, rate: int, seconds: int) -> int:
    """One tile changes at a time, at an even pace; returns how many did."""
    tiles, began, told = list(view.tiles), stopwatch(), 0
    for k in range(rate * seconds):
        await asyncio.sleep(max(0.0, k / rate - _since(began)))
        now, i = wall(), k % len(tiles)
        tiles[i] = made_tile(i, now, stamp=now)
        desk.publish(replace(view, now=now, tiles=tuple(tiles)))
        told += 1
    return told


async def _weigh(address: str, cookie: str) -> dict[str, Any]:
    """The wall as a browser asks for it, and what it names; the second time, when all templates are loaded."""
    await _get(address, cookie, "/")
    began = stopwatch()
    page = await _get(address, cookie, "/")
    took = _since(began) * 1000
    names = sorted({"/static/console.css", "/static/console.js", "/static/icon.svg", *_modules()})
    assets = [await _get(address, cookie, name) for name in names]
    return {
        "wall_bytes": len(page), "wall_ms": took,
        "assets_bytes": sum(map(len, assets)),
    }  # fmt: skip


async def _paint(browser: str, address: str, cookie: str) -> float:
    """Milliseconds from asking for the wall to its first contentful paint. playwright is a tool of the tests."""
    if not browser:
        return math.nan
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not there where the service runs

    name, _, value = cookie.partition("=")
    took = []
    async with async_playwright() as tools:
        chromium = await tools.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(PAINTS):
            context = await chromium.new_context(viewport={"width": 1920, "height": 1080}, locale="ja-JP")
            await context.add_cookies([{"name": name, "value": value, "url": f"http://{address}"}])
            page = await context.new_page()
            await page.goto(f"http://{address}/")
            await page.wait_for_selector("#sound:visible")
            took.append(float(await page.evaluate(_PAINTED)))
            await context.close()
        await chromium.close()
    return float(np.median(took))


def _modules() -> list[str]:
    """The scripts that console.js imports."""
    folder = Path(__file__).parents[1] / "web" / "static"
    found = re.findall(r'from "\./([\w.]+)"', (folder / "console.js").read_text("utf-8"))
    return [f"/static/{name}" for name in (*found, "words.js")]


async def _get(address: str, cookie: str, path: str) -> bytes:
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    asks = ("Host: " + address, "Cookie: " + cookie, "Accept-Encoding: gzip", "Connection: close")
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", *asks, "", ""]).encode())
    answer = await reader.read()
    writer.close()
    return answer


async def _console(address: str, cookie: str, waits: list[int], ready: asyncio.Event) -> None:
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
    writer.write(f"GET /live/wall?lang=ja HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n".encode())
    last = 0
    while True:
        event = await reader.readuntil(b"\n\n")
        now = wall()
        ready.set()
        fresh = [at for at in map(int, _STAMP.findall(event)) if at > last]
        waits += [now - at for at in fresh]
        last = max([last, *fresh])


async def _consoles(address: str, cookie: str, count: int) -> None:
    """Hold so many consoles open until the standard input closes; then print every wait in ns."""
    waits: list[int] = []
    ready = [asyncio.Event() for _ in range(count)]
    tasks = [asyncio.create_task(_console(address, cookie, waits, each)) for each in ready]
    for each in ready:
        await each.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    json.dump(waits, sys.stdout)


def as_table(found: Consoles) -> str:
    """For people."""
    lines = [
        f"{found.consoles} consoles, {found.households} households, {found.events_a_second} changes/s",
        f"  server          {found.cores:.1%} of a core (idle {found.idle_cores:.1%})",
        f"  to the consoles p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms, largest {found.largest_ms:.0f} ms",
        f"  arrived         {found.told:,}, missed {found.missed:,}",
        f"  the wall        {found.wall_bytes:,} bytes on the wire in {found.wall_ms:.0f} ms",
        f"  first paint     {found.paint_ms:.0f} ms"
        if found.paint_ms > 0
        else "  first paint     not asked (--browser)",
        f"  scripts, style  {found.assets_bytes:,} bytes on the wire",
    ]
    return "\n".join(lines)


def as_json(found: Consoles) -> str:
    """One object."""
    return json.dumps(asdict(found), indent=1)


@click.command("console")
@click.option("--site", type=click.Path(file_okay=False, path_type=Path), help="Folder of the four content folders.")
@click.option("--consoles", default=200, show_default=True, type=click.IntRange(1, 5000), help="Open at once.")
@click.option("--households", default=200, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--rate", default=50, show_default=True, type=click.IntRange(1, 1000), help="Changes a second.")
@click.option("--seconds", default=20, show_default=True, type=click.IntRange(2, 3600))
@click.option("--browser", default="", help="Path of a Chromium, to see the wall painted (needs playwright).")
@click.option("--json", "json_wanted", is_flag=True, help="As JSON instead of a table.")
def bench_console(site: Path | None, json_wanted: bool, **options: Any) -> None:  # noqa: FBT001
    """Open consoles on the real server, changes on the wall, and what they cost; the wall's weight on the wire."""
    found = asyncio.run(measure(load_site(site), **options))
    click.echo(as_json(found) if json_wanted else as_table(found))


if __name__ == "__main__":
    asyncio.run(_consoles(sys.argv[1], sys.argv[2], int(sys.argv[3])))
