"""`mimamori demo` as somebody tries it for the first time: one command, an emergency on the screen, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

Until = Callable[..., Awaitable[Any]]


async def test_the_demo_shows_an_emergency_and_ends_at_once(tmp_path: Path, port: int, until: Until) -> None:
    counts = tmp_path / "status.json"
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mimamori.cli", "demo", "--port", str(port), "--json-status", str(counts),
        "--households", "4", "--speed", "120",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert demo.stdout is not None
    try:
        line = (await asyncio.wait_for(demo.stdout.readline(), 20)).decode()
        found = re.match(r"(http://127\.0\.0\.1:\d+) +log-in: (\S+) +password: (\S+)", line)
        assert found, line
        address, staff, password = found.groups()
        assert address.endswith(f":{port}")

        async def first() -> dict[str, Any] | None:
            assert demo.returncode is None
            found = json.loads(counts.read_text()) if counts.exists() else {}
            return found if found.get("households") == 4 else None

        begun = await until(first, 60)
        assert begun["speed"] == 120

        async def grown() -> bool:
            now = json.loads(counts.read_text())
            return all(now[name] > begun[name] for name in ("readings", "ticks"))

        assert await until(grown, 20)
        async with httpx.AsyncClient(base_url=f"{address}/api/v1", auth=(staff, password), timeout=10) as nurse:

            async def emergency() -> list[dict[str, Any]]:
                told = (await nurse.get("/alerts")).json()
                return [a for a in told if a["priority"] == "high" and a["category"] == "resident"]

            alert = (await until(emergency, 180))[0]
            assert alert["why"]

            async def told() -> list[dict[str, Any]]:
                return [n for n in (await nurse.get("/notices", params={"alert": alert["id"]})).json() if n["sent"]]

            assert {n["channel"] for n in await until(told, 20)} <= {"console", "sms", "voice"}

            async def counted() -> bool:
                shown = json.loads(counts.read_text())
                return all(shown[name] >= 1 for name in ("alerts", "notices"))

            assert await until(counted, 10)
        demo.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(demo.communicate(), 5)
        assert demo.returncode == 0
        assert b"Traceback" not in errors
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()


async def test_a_taken_port_is_told_in_one_line(tmp_path: Path, until: Until) -> None:
    taken = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mimamori.cli", "demo", "--port", str(port), "--households", "1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, errors = await asyncio.wait_for(demo.communicate(), 30)
        finally:
            if demo.returncode is None:
                demo.kill()
                await demo.wait()
    assert demo.returncode == 1
    assert b"Traceback" not in errors, errors.decode()
    assert str(port).encode() in errors


async def test_a_first_start_says_that_it_compiles_and_can_be_ended_meanwhile(
    tmp_path: Path, port: int, until: Until
) -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mimamori.cli", "demo", "--port", str(port), "--data", str(tmp_path / "data"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "nothing-is-kept-here-yet")},
    )  # fmt: skip
    assert demo.stderr is not None
    try:
        told = (await asyncio.wait_for(demo.stderr.readline(), 60)).decode()
        assert "First start: compiling" in told
        assert not (tmp_path / "data").exists()  # nothing is begun that would have to be ended in order
        demo.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(demo.wait(), 5) == -signal.SIGTERM
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
