"""Commands with which the maintainer of a new site enters its people and devices: user, resident, device.

May import everything below the command line. Works beside the running service, which takes changes up within a minute.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from mimamori.commands.options import data_option, plainly
from mimamori.sensors.route import topic_of
from mimamori.settings import read_settings
from mimamori.site import load_site
from mimamori.store.ledger import Ledger
from mimamori.store.records import Resident, Role, Staff
from mimamori.stream.clock import wall
from mimamori.web.entries import By, add_device, enter_resident, enter_staff, retire_device
from mimamori.web.sign_in import hash_password


def _reasoned(command: Callable[..., Any]) -> Callable[..., Any]:
    by = click.option("--by", default="maintainer", show_default=True, help="Who does it, for the access log.")
    why = click.option("--reason", default="set up", show_default=True, help="Why, for the access log.")
    return data_option(by(why(command)))


@asynccontextmanager
async def _ledger(data: Path) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(read_settings(os.environ, data=data).ledger_url, recover=False)
    try:
        yield ledger
    finally:
        await ledger.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    with plainly():
        asyncio.run(work)


def _by(options: dict[str, Any]) -> By:
    return By(who=options["by"], reason=options["reason"], where="command line", at=wall())


def _password() -> str:
    """Asked for twice at a terminal; else the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


async def _known(ledger: Ledger, staff: str) -> Staff:
    found = await ledger.staff(staff)
    if found is None:
        raise ValueError(f'there is no user "{staff}"; mimamori user list shows all')
    return found


@click.group()
def user() -> None:
    """Staff who sign in at the console or are called: add, list, password, disable."""


@user.command("add")
@click.argument("id")
@click.option("--name", required=True, help="As the console shows it.")
@click.option("--role", required=True, type=click.Choice(get_args(Role)), help="What they may do.")
@click.option("--phone", default="", help="For SMS and calls, such as 090-1234-5678.")
@click.option("--email", default="", help="For e-mail.")
@click.option("--no-password", is_flag=True, help="Is called only; cannot sign in.")
@_reasoned
def add_user(**options: Any) -> None:
    """Add a person; ID is what the roster calls them, such as N-01. Asks for the password, or reads it as a line."""

    async def work() -> None:
        async with _ledger(options["data"]) as ledger:
            if await ledger.staff(options["id"]) is not None:
                raise ValueError(f'user "{options["id"]}" exists; change them on the console\'s administration page')
            hashed = "" if options["no_password"] else hash_password(_password())
            made = Staff(
                id=options["id"], name=options["name"], role=options["role"], phone=options["phone"],
                email=options["email"], password_hash=hashed,
            )  # fmt: skip
            await enter_staff(ledger, made, _by(options))
            click.echo(f"added {made.id} ({made.role})")

    _run(work())


@user.command("password")
@click.argument("id")
@_reasoned
def change_password(**options: Any) -> None:
    """Give a person a new password; all their sessions end."""

    async def work() -> None:
        async with _ledger(options["data"]) as ledger:
            held = await _known(ledger, options["id"])
            await enter_staff(ledger, replace(held, password_hash=hash_password(_password())), _by(options))
            click.echo(f"{held.id} has a new password")

    _run(work())


@user.command("disable")
@click.argument("id")
@_reasoned
def disable_user(**options: Any) -> None:
    """A person who has left: can no longer sign in, and is no longer called."""

    async def work() -> None:
        async with _ledger(options["data"]) as ledger:
            held = await _known(ledger, options["id"])
            await enter_staff(ledger, replace(held, active=False), _by(options))
            click.echo(f"disabled {held.id}")

    _run(work())


@user.command("list")
@data_option
def list_users(data: Path) -> None:
    """Everybody, without telephone numbers."""

    async def work() -> None:
        async with _ledger(data) as ledger:
            for s in await ledger.all_staff():
                state = "active" if s.active else "disabled"
                reached = "phone" if s.phone else "no phone"
                signs = "signs in" if s.password_hash and s.active else "does not sign in"
                click.echo(f"{s.id}\t{s.role}\t{state}\t{reached}\t{signs}\t{s.name}")

    _run(work())


@click.group()
def resident() -> None:
    """The households that are watched: add, list."""


@resident.command("add")
@click.argument("household")
@click.option("--code", required=True, help="What messages and tiles call it, such as A-12: never a name.")
@click.option("--name", default="", help="Shown on the household's page only.")
@click.option("--area", default="")
@click.option("--room", default="")
@click.option("--phone", default="", help="Of the home, for the call that asks the resident first.")
@_reasoned
def add_resident(**options: Any) -> None:
    """Add a household; HOUSEHOLD is the id in its devices' topics, such as H001."""

    async def work() -> None:
        async with _ledger(options["data"]) as ledger:
            if any(r.household == options["household"] for r in await ledger.residents()):
                raise ValueError(f'household "{options["household"]}" exists; change it on the administration page')
            made = Resident(**{k: options[k] for k in ("household", "code", "name", "area", "room", "phone")})
            await enter_resident(ledger, made, _by(options))
            click.echo(f"added {made.household} ({made.code})")

    _run(work())


@resident.command("list")
@data_option
def list_residents(data: Path) -> None:
    """Every household by code, without names."""

    async def work() -> None:
        async with _ledger(data) as ledger:
            devices = [d.household for d in await ledger.devices() if d.active]
            for r in await ledger.residents():
                state = "watched" if r.watched else "not watched"
                click.echo(f"{r.household}\t{r.code}\t{state}\t{devices.count(r.household)} devices")

    _run(work())


@click.group()
def device() -> None:
    """The devices in the homes: add, retire, list."""


@device.command("add")
@click.argument("household")
@click.argument("code")
@click.option("--instead-of", default="", help="The device that it replaces, retired with it.")
@click.option("--site", type=click.Path(file_okay=False, path_type=Path), help="Folder of the four content folders.")
@_reasoned
def claim_device(**options: Any) -> None:
    """Claim a device for HOUSEHOLD by the CODE on its label, PROFILE:DEVICE, such as bed-sensor:bed1."""

    async def work() -> None:
        profiles = {p.name for p in load_site(options["site"]).profiles}
        async with _ledger(options["data"]) as ledger:
            made = await add_device(
                ledger, profiles, options["household"], options["code"], _by(options),
                instead_of=options["instead_of"],
            )  # fmt: skip
            click.echo(f"added {made.device} ({made.profile}), topic {topic_of(made.household, made.device)}")

    _run(work())


@device.command("retire")
@click.argument("household")
@click.argument("device")
@_reasoned
def take_out(**options: Any) -> None:
    """Take a device out of use: what it still sends is set aside."""

    async def work() -> None:
        async with _ledger(options["data"]) as ledger:
            await retire_device(ledger, options["household"], options["device"], _by(options))
            click.echo(f"retired {options['device']} of {options['household']}")

    _run(work())


@device.command("list")
@data_option
def list_devices(data: Path) -> None:
    """Every device, in use or not."""

    async def work() -> None:
        async with _ledger(data) as ledger:
            for d in await ledger.devices():
                click.echo(f"{d.household}\t{d.device}\t{d.profile}\t{'in use' if d.active else 'retired'}")

    _run(work())
