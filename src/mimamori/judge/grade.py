"""The work of `mimamori evaluate`: replay, score, and tell it as tables, JSON or a page. Wiring only.

May import everything from site down, evaluate and sweep. Reads no clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from mimamori.judge.evaluate import A_NURSE, evaluate, read_truth
from mimamori.judge.report import as_page
from mimamori.judge.scores import as_json, as_record, as_table
from mimamori.judge.sweep import Outing, curve, outing_curve, replay_outings, replay_swept
from mimamori.model.times import DAY
from mimamori.replay import replay
from mimamori.site import Site
from mimamori.stream.declared import read_absences


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for. report: where to write the page, which holds the curve, too. absences: a file of them."""

    learn_days: float
    absences: Path | None = None
    nurse_households: int = A_NURSE
    curve: bool = False
    outings: bool = False
    report: Path | None = None
    as_json: bool = False


def grade(file: Path, truth: Path, site: Site, wanted: Wanted) -> str:
    """What to print. Raises ValueError or OSError for files that cannot be used."""
    events, learn = read_truth(truth), int(wanted.learn_days * DAY)
    said = read_absences(wanted.absences) if wanted.absences else ()
    if wanted.curve or wanted.report:
        result, swept = replay_swept(file, site, absences=said)
    else:
        result, swept = replay(file, site, absences=said), {}
    if result.begins is None or result.ends is None:
        msg = f"{file.name} holds no reading that could be used"
        raise ValueError(msg)
    nurse = wanted.nurse_households
    made = evaluate(result.lines, events, spans=result.spans, learn=learn, households_a_nurse=nurse)
    points = curve(swept, events, site, spans=result.spans, learn=learn)
    outings: tuple[Outing, ...] = ()
    if wanted.outings:
        outings = outing_curve(replay_outings(file, site, absences=said), events, site, spans=result.spans, learn=learn)
    if wanted.report:
        wanted.report.write_text(as_page(made, points, outings, name=file.name), encoding="utf-8")
    if not wanted.as_json:
        return as_table(made, points, outings)
    record = as_record(made, begins=result.begins, ends=result.ends, zone=site.zone.name)
    return as_json(record | {"curve": [asdict(p) for p in points], "outings": [asdict(p) for p in outings]})
