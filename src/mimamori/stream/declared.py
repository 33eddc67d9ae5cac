"""The file of declared absences (CSV: household,start,end,said): read, and written. Never a clock.

May import model only. The rows of a household that have the same `said` are all that is known of it from then on.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from mimamori.model.declared import Declaration, Span
from mimamori.model.times import NEVER, iso, parse_instant

COLUMNS = ("household", "start", "end", "said")


def read_absences(path: Path) -> tuple[Declaration, ...]:
    """What was said, oldest first. Raises ValueError with the line of every row that is not understood."""
    lists: dict[tuple[int, str], list[Span]] = {}
    wrong = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = [c for c in COLUMNS[:3] if c not in (rows.fieldnames or ())]
        if missing:
            msg = f"{path.name}: has no column {', '.join(missing)}; the first line must be household,start,end,said"
            raise ValueError(msg)
        for row in rows:
            try:
                said, span = _row(row)
            except ValueError as error:
                wrong.append(f"{path.name}:{rows.line_num}: {error}")
                continue
            known = lists.setdefault((said, row["household"]), [])
            known += [span] if span is not None else []
    if wrong:
        raise ValueError("\n".join(wrong))
    return tuple(
        Declaration(at=at, household=household, spans=tuple(sorted(spans)))
        for (at, household), spans in sorted(lists.items())
    )


def _row(row: dict[str, str]) -> tuple[int, Span | None]:
    """(said, the absence; None for a row that says that there is none any more)."""
    household, start, end = (row[name] or "" for name in COLUMNS[:3])
    said = parse_instant(row["said"]) if row.get("said") else NEVER
    if not household:
        raise ValueError("says of no household; give its id in the first column")
    if not start and not end:
        return said, None
    begin, until = parse_instant(start), parse_instant(end) if end else NEVER
    if until != NEVER and until <= begin:
        raise ValueError(f"ends before it starts; give an end after {start}, or none for until further notice")
    return said, (begin, until)


def write_absences(path: Path, declarations: Iterable[Declaration], zone: str) -> int:
    """The file, oldest first; times in ISO 8601 with the offset of `zone`. Returns how many rows."""
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for d in sorted(declarations, key=lambda d: (d.at, d.household)):
            said = "" if d.at == NEVER else iso(d.at, zone)
            for begin, end in d.spans:
                out.writerow((d.household, iso(begin, zone), "" if end == NEVER else iso(end, zone), said))
            if not d.spans:
                out.writerow((d.household, "", "", said))
            rows += max(1, len(d.spans))
    return rows
