"""Makes each shift's hand-over sheet before its end, without being asked, and keeps it as a file that needs no service.

May import the web and the ledger. Reads no clock: `now` is an argument. Files hold no names, and are readable by the
service's user only; they go after two weeks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

from mimamori.alerts.roster import Roster, Turn
from mimamori.model.times import DAY, NEVER, to_datetime
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.web.drawing import drawings
from mimamori.web.handover_pages import paper

log = logging.getLogger(__name__)
LOOK_S = 5.0  # wall seconds
KEPT_DAYS = 14


def due(roster: Roster, now: int, last: int) -> list[Turn]:
    """Shifts whose sheet is to be made in (last, now]; only the newest after a long time away."""
    ready = [t for t in roster.turns(now - DAY, now + DAY) if last < t.sheet <= now]
    return sorted(ready, key=lambda turn: turn.sheet)[-3:]


async def make(folder: Path, ledger: Ledger, roster: Roster, turn: Turn, now: int) -> Path:
    """The sheet in Japanese as a file, whole or not at all. Raises OSError."""
    text, _ = await paper(ledger, roster, turn, drawings()["ja"], now)
    at = to_datetime(turn.sheet, roster.content.zone)
    path = folder / f"{at:%Y-%m-%d-%H%M}-{turn.name}.html"
    await asyncio.to_thread(_write, path, text)
    return path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text, "utf-8")
    fresh.replace(path)


def let_go(folder: Path, today: date) -> None:
    """Deletes sheets of more than two weeks ago."""
    oldest = (today - timedelta(days=KEPT_DAYS)).isoformat()
    for path in folder.glob("*.html"):
        if path.name[:10] < oldest:
            path.unlink(missing_ok=True)


async def keep_sheets(
    folder: Path, ledger: Ledger, roster: Roster, clock: Callable[[], int], stop: asyncio.Event
) -> None:
    """Until `stop`. A sheet that cannot be made now is tried again at the next look."""
    last = NEVER
    while not stop.is_set():
        now = clock()
        last = now - 1 if last == NEVER else last
        try:
            for turn in due(roster, now, last):
                await make(folder, ledger, roster, turn, now)
                await asyncio.to_thread(let_go, folder, to_datetime(now, roster.content.zone).date())
            last = now
        except LedgerError as error:
            log.warning("the hand-over sheet is made later: %s", error)
        except OSError as error:
            log.warning("the hand-over sheet could not be written (%s)", error.strerror)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await stop.wait()
