"""`mimamori roster`: who is on duty in the next days, by role, and when a call would reach nobody.

May import web.duty and everything below. Pure but for the ledger it reads; `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence

from mimamori.alerts.roster import Roster
from mimamori.store.ledger import Ledger
from mimamori.store.records import Staff
from mimamori.web.duty import Day, next_days


async def read_staff(url: str) -> list[Staff]:
    """Everybody on the ledger. Raises LedgerError."""
    ledger = await Ledger.open(url, recover=False)
    try:
        return list(await ledger.all_staff())
    finally:
        await ledger.close()


def look_up(roster: Roster, staff: Sequence[Staff], now: int, days: int) -> tuple[str, int]:
    """(the table, how many stretches in it reach nobody). Times are the roster's own."""
    table = next_days(roster, staff, now, days)
    holes = sum(not stretch.reached for day in table for role in day.roles.values() for stretch in role)
    lines = [_line(roster, day, role) for day in table for role in day.roles]
    told = f"{holes} stretches in which a call would reach nobody" if holes else "somebody can be reached at all times"
    return "\n".join([*lines, "", f"{len(table)} days: {told}"]), holes


def _line(roster: Roster, day: Day, role: str) -> str:
    parts = [
        f"{s.begins}-{s.ends} {', '.join(s.people) or 'nobody'}{'' if s.reached else ' (NOBODY REACHED)'}"
        for s in day.roles[role]
    ]
    return f"{day.day:%Y-%m-%d %a}  {roster.content.role[role].title.en:18} {'   '.join(parts)}"
