"""The scoreboard's records, and how they are written: as JSON, as a document and as figures.

May import plots. Reads and writes the files it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimamori.judge.plots import Series, curves

OURS = "mimamori"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What alerts were worth. Delays in hours."""

    false: int
    false_per_30_days: float
    found: int
    events: int
    already_in_alarm: int
    median: float
    mean: float
    p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One way to watch at one setting, on one set.

    alerts: of all priorities, notes too. calls: those that call somebody, from when they do. A rival knows calls only.
    """

    way: str
    setting: str
    alerts: Worth
    calls: Worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All ways on one set. revision: of the code that made it ("": unknown); sets may be made at different times."""

    name: str
    what: str
    household_days: float
    scores: tuple[Score, ...]
    revision: str = ""


def read_boards(record: Path) -> list[Board]:
    """The boards that an earlier run has left. Raises ValueError if the file is none of ours."""
    try:
        told = json.loads(record.read_text(encoding="utf-8")).get("boards", [])
        return [Board(**{**board, "scores": tuple(map(read_score, board["scores"]))}) for board in told]
    except (TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
        msg = f"{record.name} holds no boards of a scoreboard ({error}); make them all, without --only"
        raise ValueError(msg) from None


def read_score(told: Mapping[str, Any]) -> Score:
    """A score as `asdict` told it. Raises TypeError, KeyError."""
    return Score(**{**told, "alerts": Worth(**told["alerts"]), "calls": Worth(**told["calls"])})


def figure_name(board: Board) -> str:
    """The name of its figure's file."""
    plain = "".join(c if c.isalnum() else "-" for c in board.name.replace(" %", "").replace(", ", "-"))
    return f"scoreboard-{plain}.svg"


def plot(board: Board) -> str:
    """Delay against false alarms, as SVG. Ours as two lines: all alerts, and calls."""
    series = []
    for way in dict.fromkeys(s.way for s in board.scores):
        scores = [s for s in board.scores if s.way == way]
        series.append(_line(f"{way}, calls" if way == OURS else way, scores, calls=True))
        if way == OURS:
            series.append(_line(f"{way}, all alerts", scores, calls=False))
    shown = [s for s in series if s.points]
    return curves(shown, title=board.name, x="false alarms in 30 household-days", y="median delay, h")


def _line(name: str, scores: Sequence[Score], *, calls: bool) -> Series:
    worth = [(s.calls if calls else s.alerts, s) for s in scores]
    return Series(
        name=name,
        points=tuple(
            (w.false_per_30_days, w.median, "" if s.setting.startswith("budget") else s.setting)
            for w, s in worth if w.false_per_30_days <= 10 and w.found
        ),
    )  # fmt: skip


HEAD = """# Scoreboard

Written by `make scoreboard`; do not edit. How soon somebody who cannot move is noticed (collapse, falls, failure to
rise), and how often nobody needed help, by our rules about inactivity and by others' ways, on the same files, with the
same scoring. Each figure stands twice: of all alerts, notes of priority low among them, and of calls alone, from the
moment they call somebody. The rivals know calls only. A missed event counts with its whole length as its delay. The
rivals are re-implemented (`src/mimamori/judge/rivals.py`) from what is published, are told who went out, and run at the
settings listed, which are not tuned to a set. Simulated noise: so many of all readings are lost, and phantom motion is
seen as often. Of the real recordings, most false alarms of `energy` are holidays, and the three event sets are one home
each. An event counts where nothing was in alarm already, so a way with more alerts can have fewer events.

Who fails to rise turns in bed like a sleeper, so no watch on signs of life finds it, ours or another's: those events
(4 of 17 in the simulated sets) are missed by every way but `mimamori, with the bed`. That row adds the shipped rules
about the bed (`bed-exit`, `not-up-yet`, `stayed-in-bed`), with their false alarms. All figures: `scoreboard.json`.
"""


def as_markdown(boards: Sequence[Board]) -> str:
    """The document."""
    parts = [HEAD]
    for board in boards:
        made = f" Code of {board.revision}." if board.revision else ""
        parts.append(
            f"\n## {board.name}\n\n{board.what}; {board.household_days:.1f} household-days after learning.{made}\n"
        )
        parts.append(f"\n![delay against false alarms]({figure_name(board)})\n")
        parts.append("\n| way | setting | false | of these calls | in 30 days | calls | found | by a call | median h")
        parts.append(
            " | to a call | mean h | to a call |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        )
        parts += [_row(score) for score in board.scores]
    return "".join(parts)


def _row(score: Score) -> str:
    a, c = score.alerts, score.calls
    cells = (
        score.way, score.setting, f"{a.false}", f"{c.false}", f"{a.false_per_30_days:.2f}",
        f"{c.false_per_30_days:.2f}", f"{a.found} / {a.events}", f"{c.found} / {c.events}", f"{a.median:.2f}",
        f"{c.median:.2f}", f"{a.mean:.2f}", f"{c.mean:.2f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"
