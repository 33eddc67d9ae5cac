"""The service itself: against a site's broker, or as a demonstration."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from mimamori.app import serve, stop_on_signals
from mimamori.commands.options import FOLDER, NEW, load_content, plainly, site_option
from mimamori.compile import compile_rules
from mimamori.demo import DemoOptions, run_demo
from mimamori.settings import read_settings
from mimamori.site import load_site
from mimamori.stream.clock import Clock


@click.command()
@site_option
@click.option("--households", default=12, show_default=True, type=click.IntRange(1, 5000), help="How many to simulate.")
@click.option("--speed", default=60.0, show_default=True, type=click.FloatRange(1, 1000), help="Times as fast as life.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same lives.")
@click.option("--port", default=8080, show_default=True, help="Of the console on 127.0.0.1.")
@click.option("--json-status", type=NEW, help="Write the counts into this file every second.")
@click.option("--data", type=FOLDER, help="Keep the data here (default: thrown away).")
def demo(  # noqa: PLR0917
    site: Path | None, households: int, speed: float, seed: int, port: int, json_status: Path | None, data: Path | None
) -> None:
    """Everything on embedded defaults, with simulated households on a sped-up clock."""
    with plainly():
        options = DemoOptions(
            households=households, speed=speed, seed=seed, port=port, json_status=json_status, data=data
        )
        run_demo(load_site(site), options)


@click.command()
@site_option
@click.option("--data", type=FOLDER, default=Path("data"), show_default=True,
              help="Folder for readings and ledger (MIMAMORI_DATA goes before it).")  # fmt: skip
def run(site: Path | None, data: Path) -> None:
    """The service for a site, against the broker of MIMAMORI_BROKER (mqtt:// or mqtts://).

    MIMAMORI_BROKER_USER and MIMAMORI_BROKER_PASSWORD give the log-in. README lists all settings.
    """
    with plainly():
        settings = read_settings(os.environ, data=data)
        if not settings.broker:
            msg = "MIMAMORI_BROKER is not set; write its URL, such as mqtt://127.0.0.1:1883"
            raise ValueError(msg)
        loaded = load_content(site)
        compile_rules(loaded)

        async def until_stopped() -> None:
            stop = asyncio.Event()
            stop_on_signals(stop)
            click.echo(f"console: http://{settings.host}:{settings.port}", err=True)
            await serve(loaded, settings, clock=Clock(), stop=stop)

        asyncio.run(until_stopped())
