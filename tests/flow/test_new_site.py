"""The README's "new site, step by step", as it stands there: commands, the service, a device that is heard."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
from click.testing import CliRunner

from mimamori.app import serve
from mimamori.cli import main
from mimamori.sensors.broker import Broker
from mimamori.settings import Settings
from mimamori.site import load_site
from mimamori.stream.clock import Clock

README = Path(__file__).parents[2] / "README.md"


def steps() -> list[list[str]]:
    """The commands of the section up to "run"."""
    section = README.read_text("utf-8").split("## A new site, step by step")[1].split("\n## ")[0]
    found = re.findall(r"mimamori (?:init|check|user|resident|device)\b[^\n`]*", section)
    return [shlex.split(line)[1:] for line in found]


async def test_a_new_site_step_by_step(  # noqa: PLR0917 - fixtures
    tmp_path: Path, broker: Broker, port: int, api_at: Callable[..., Any], until: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    own = dict.fromkeys(k for k in os.environ if k.startswith("MIMAMORI_"))
    assert len(steps()) == 6
    for step in steps():
        done = await asyncio.to_thread(CliRunner().invoke, main, step, env=own, input="asagao-2026\n")
        assert done.exit_code == 0, (step, done.output)
    stop, clock = asyncio.Event(), Clock()
    settings = Settings(data=tmp_path / "ward-data", broker=broker.url, port=port)
    task = asyncio.create_task(serve(load_site(tmp_path / "ward"), settings, clock=clock, stop=stop))
    try:
        api = api_at(port)
        await until(api.up)
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            told = {"t": clock.now() // 1_000_000, "v": {"in_bed": 1, "heart_rate": 62}}
            await client.publish("mimamori/v1/H001/bed1/readings", json.dumps(told), qos=1)
        (home,) = await until(lambda: _heard(api))
        assert (home["household"], home["code"]) == ("H001", "A-01")
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def _heard(api: Any) -> Any:
    homes = await api.get("households")
    return homes if await api.count("readings") >= 2 else None
