"""Backup of a whole site while its service runs, and restore into an empty one: content, ledger, readings.

May import everything from site down. Reads the service's files, never writes to them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

import mimamori
from mimamori.settings import Settings
from mimamori.site import FOLDERS, Site
from mimamori.store import database, embedded, spool
from mimamori.store.copies import copy_file
from mimamori.store.ledger import Ledger

MANIFEST = "backup.json"
STORES = (embedded.FILE, spool.FILE)
BLOCK = 1 << 20


def back_up(site: Site, settings: Settings, folder: Path, now: int) -> dict[str, Any]:
    """A consistent copy into `folder`, which appears whole or not at all. The manifest, as written there.

    The ledger is copied before the readings: those reach at least as far as the engine's mark, so that a restored
    service catches up as after a crash. InfluxDB has a backup of its own: of it only the spool is here.
    Raises OSError, also where the folder is taken or there is nothing to save.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder for each backup")
    readings = settings.data / "readings" / (spool.FILE if settings.influx_url else embedded.FILE)
    if not readings.exists():
        raise FileNotFoundError(f"{readings} does not exist; set MIMAMORI_DATA or --data to the service's folder")
    growing = folder.with_name(folder.name + ".part")
    shutil.rmtree(growing, ignore_errors=True)  # left behind by a backup that was cut off
    growing.mkdir(parents=True, mode=0o700)
    for name in FOLDERS:
        shutil.copytree(site.folder / name, growing / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    asyncio.run(_copy_ledger(settings, growing))
    _copy(readings, growing / "readings" / readings.name)
    manifest = {"version": mimamori.__version__, "at": now, "content": site.digest, "files": dict(_sums(growing))}
    (growing / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    growing.rename(folder)
    return manifest


def restore(folder: Path, site: Path, settings: Settings) -> list[str]:
    """Puts a backup into an empty site and an empty data folder. Breaks of the ledger's chains, in words; [] = whole.

    Raises OSError before anything is written if a file of the backup is missing or changed, or a place is taken.
    """
    _check(folder)
    taken = [site / name for name in FOLDERS if (site / name).exists()]
    taken += [path for path in (settings.data / "readings", settings.data / database.FILE) if path.exists()]
    if taken:
        raise FileExistsError(f"{', '.join(map(str, taken))} already there; restore into an empty site and data folder")
    broken = asyncio.run(_fill_ledger(settings, folder / database.FILE))
    for name in STORES:
        if (folder / "readings" / name).exists():
            _copy(folder / "readings" / name, settings.data / "readings" / name)
    for name in FOLDERS:
        shutil.copytree(folder / name, site / name)
    return broken


async def _copy_ledger(settings: Settings, folder: Path) -> None:
    book = await Ledger.open(settings.ledger_url, recover=False)
    try:
        await book.backup(folder)
    finally:
        await book.close()


async def _fill_ledger(settings: Settings, file: Path) -> list[str]:
    url = make_url(settings.ledger_url)
    if url.get_backend_name() == "sqlite":
        _copy(file, Path(str(url.database)))
    book = await Ledger.open(settings.ledger_url, recover=False)
    try:
        if url.get_backend_name() != "sqlite":
            await book.fill(file)
        return await book.verify()
    finally:
        await book.close()


def _copy(source: Path, target: Path) -> None:
    try:
        copy_file(source, target)
    except sqlite3.Error as error:
        raise OSError(f"cannot copy {source} to {target}: {error}") from error


def _check(folder: Path) -> None:
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; name a folder that mimamori backup has made")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    found = dict(_sums(folder))
    wrong = sorted(name for name, total in manifest["files"].items() if found.get(name) != total)
    if wrong:
        raise OSError(f"{folder}: missing or changed since the backup: {', '.join(wrong)}; use another backup")


def _sums(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, sha256) of every file but the manifest."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST):
        with path.open("rb") as file:
            yield path.relative_to(folder).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()
