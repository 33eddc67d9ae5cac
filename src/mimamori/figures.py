"""`mimamori load`: the alarm-load figures of a site's ledger as a table or as JSON.

May import alerts and the ledger. Reads no clock: the span ends where it is told to.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from mimamori.alerts.load import Load, load
from mimamori.model.times import DAY, iso
from mimamori.store.ledger import Ledger


async def read_load(url: str, days: int, now: int) -> Load:
    """The figures of the days before `now`. Raises LedgerError."""
    ledger = await Ledger.open(url, recover=False)
    try:
        since = now - days * DAY
        return load(await ledger.alert_events(since=since), await ledger.told_since(since), since, now)
    finally:
        await ledger.close()


def as_json(found: Load, zone: str) -> str:
    """One object; times in ISO 8601."""

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: iso(v, zone) if k in {"begins", "ends"} else told(v) for k, v in value.items()}
        return [told(v) for v in value] if isinstance(value, list | tuple) else value

    return json.dumps(told(asdict(found)), ensure_ascii=False, indent=1)


def as_table(found: Load, zone: str) -> str:
    """For people: who was told how much, what told it, and how much of that was false."""
    mix = ", ".join(f"{priority} {share:.0%}" for priority, share in found.mix.items())
    span = f"{iso(found.begins, zone)[:16]} - {iso(found.ends, zone)[:16]}"
    lines = [
        f"{span}: {found.alerts} alerts ({mix}), {found.stale} open for more than a day",
        "",
        f"{'person':<16}{'calls':>8}{'per 10 min':>12}{'worst':>8}{'floods':>8}{'in flood':>10}",
    ]
    lines += [
        f"{p.person:<16}{p.calls:>8}{p.mean:>12.3f}{p.peak:>8}{len(p.floods):>8}{p.flooded:>10.2%}"
        for p in found.people
    ]
    lines += ["", f"{'rule':<28}{'alerts':>8}{'share':>8}{'judged':>8}{'false':>8}"]
    for r in found.rules:
        false = "-" if r.false is None else f"{r.false:.0%}"
        lines.append(f"{r.rule:<28}{r.alerts:>8}{r.share:>8.0%}{r.judged:>8}{false:>8}")
    lines += ["", f"{'household':<28}{'alerts':>8}{'share':>8}"]
    lines += [f"{home:<28}{n:>8}{share:>8.0%}" for home, n, share in found.households]
    lines += ["", "limits: 1 call in 10 minutes for one person (EEMUA 191); a flood is more than 10 (ISA-18.2)"]
    return "\n".join(lines)
