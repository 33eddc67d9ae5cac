"""A new site's people and devices by command, on a real ledger."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mimamori.cli import main
from mimamori.store.ledger import Ledger
from mimamori.web.sign_in import Door, WebSettings

PASSWORD = "asagao-2026"
ADMIN = ("user", "add", "AD-1", "--name", "管理 一郎", "--role", "administrator")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def mimamori(data: Path) -> Callable[..., Result]:
    def run(*arguments: str, said: str = "") -> Result:
        own = dict.fromkeys(k for k in os.environ if k.startswith("MIMAMORI_"))
        ended = CliRunner().invoke(main, [*arguments, "--data", str(data)], env=own, input=said)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended

    return run


def ask(data: Path, question: Callable[[Ledger], Awaitable[Any]]) -> Any:
    async def work() -> Any:
        ledger = await Ledger.open(f"sqlite:///{data / 'ledger.sqlite'}", recover=False)
        try:
            return await question(ledger)
        finally:
            await ledger.close()

    return asyncio.run(work())


def test_the_first_administrator_can_sign_in_and_disabling_the_last_is_refused(mimamori: Any, data: Path) -> None:
    done = mimamori(*ADMIN, "--phone", "090-1234-5678", said=PASSWORD + "\n")
    assert (done.exit_code, done.stdout) == (0, "added AD-1 (administrator)\n"), done.stderr

    async def signs_in(ledger: Ledger) -> bool:
        door = Door(ledger, WebSettings(secret=b"s" * 32))
        return await door.known("AD-1", PASSWORD, "127.0.0.1", 1) is not None

    assert ask(data, signs_in)
    assert ask(data, lambda ledger: ledger.staff("AD-1")).phone == "+819012345678"
    done = mimamori("user", "disable", "AD-1")
    assert done.exit_code == 1
    assert "the last administrator" in done.stderr
    assert (
        mimamori("user", "add", "AD-2", "--name", "管理 二郎", "--role", "administrator", said=PASSWORD).exit_code == 0
    )
    assert mimamori("user", "disable", "AD-1", "--reason", "moved away").exit_code == 0
    assert not ask(data, signs_in)
    listed = mimamori("user", "list").stdout
    assert "AD-1\tadministrator\tdisabled\tphone\tdoes not sign in\t管理 一郎" in listed
    assert "+81" not in listed


def test_a_new_password_ends_the_old_one(mimamori: Any, data: Path) -> None:
    mimamori(*ADMIN, said=PASSWORD)
    assert mimamori("user", "password", "AD-1", said="tsubaki-2027\n").exit_code == 0

    async def those(ledger: Ledger) -> list[bool]:
        door = Door(ledger, WebSettings(secret=b"s" * 32))
        return [await door.known("AD-1", p, "127.0.0.1", 1) is not None for p in (PASSWORD, "tsubaki-2027")]

    assert ask(data, those) == [False, True]


def test_a_home_with_its_device_and_a_replaced_one(mimamori: Any, data: Path) -> None:
    assert mimamori("resident", "add", "H001", "--code", "A-01", "--room", "101").stdout == "added H001 (A-01)\n"
    done = mimamori("device", "add", "H001", "bed-sensor:bed1")
    assert done.stdout == "added bed1 (bed-sensor), topic mimamori/v1/H001/bed1/readings\n", done.stderr
    assert mimamori("device", "add", "H001", "bed-sensor:bed2", "--instead-of", "bed1").exit_code == 0
    assert mimamori("device", "list").stdout == "H001\tbed1\tbed-sensor\tretired\nH001\tbed2\tbed-sensor\tin use\n"
    assert mimamori("resident", "list").stdout == "H001\tA-01\twatched\t1 devices\n"
    assert mimamori("device", "retire", "H001", "bed2", "--by", "AD-1", "--reason", "broken").exit_code == 0
    logged = [(a.who, a.whose, a.what) for a in ask(data, lambda ledger: ledger.accesses())]
    assert logged[0] == ("AD-1", "H001", "device bed2 changed: active True->False; broken")
    assert [whose for _, whose, _ in logged] == ["H001"] * 4
    assert ask(data, lambda ledger: ledger.verify()) == []


@pytest.mark.parametrize(
    ("arguments", "said", "told"),
    [
        (ADMIN, "short", "8 characters"),
        ((*ADMIN, "--phone", "12"), PASSWORD, "no telephone number"),
        (("user", "add", "N 1", "--name", "x", "--role", "nurse"), PASSWORD, "letters, digits"),
        (("user", "password", "N-77"), PASSWORD, "mimamori user list"),
        (("resident", "add", "H/1", "--code", "A-01"), "", "letters, digits"),
        (("resident", "add", "H002", "--code", "A-01"), "", "the code is taken"),
        (("device", "add", "H009", "bed-sensor:bed1"), "", "add the resident first"),
        (("device", "add", "H001", "bed1"), "", "bed-sensor:bed-0412"),
        (("device", "add", "H001", "kettle:k1"), "", "known: "),
        (("device", "add", "H001", "bed-sensor:bed1"), "", "in use"),
        (("device", "retire", "H001", "bed7"), "", "no such device in use"),
        (("resident", "add", "H003", "--code", "A-03", "--reason", " "), "", "a reason is needed"),
    ],
    ids=lambda part: " ".join(part[:3]) if isinstance(part, tuple) else "",
)
def test_what_is_wrong_changes_nothing(
    arguments: tuple[str, ...], said: str, told: str, mimamori: Any, data: Path
) -> None:
    mimamori("resident", "add", "H001", "--code", "A-01")
    mimamori("device", "add", "H001", "bed-sensor:bed1")
    before = ask(data, lambda ledger: ledger.accesses())
    done = mimamori(*arguments, said=said)
    assert done.exit_code == 1, done.stdout
    assert told in done.stderr
    assert ask(data, lambda ledger: ledger.accesses()) == before
