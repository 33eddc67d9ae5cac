"""`mimamori scoreboard`: our rules about inactivity beside re-implemented rivals, on the same files and scored alike.

May import everything from site down, sweep, rivals and plots. Reads no clock. Simulated households at three levels of
noise, with fixed seeds, and real recordings where they lie beside the project; those are read there, never copied.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mimamori.judge.boards import OURS, Board, Score, Worth, as_markdown, figure_name, plot, read_boards
from mimamori.judge.evaluate import Evaluation, Spans, evaluate, read_truth
from mimamori.judge.rivals import RIVALS, as_lines, read_households
from mimamori.judge.sweep import FACTORS, replay_swept
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, MINUTE, parse_instant
from mimamori.rules.spec import Evidence, Silent
from mimamori.simulator.days import simulate
from mimamori.simulator.households import households, registry
from mimamori.simulator.plan import plan_events
from mimamori.simulator.truth import TruthEvent, write_truth
from mimamori.site import Site
from mimamori.stream.written import write_readings

Lines = Sequence[Mapping[str, object]]

NOISE = {"no noise": 0.0, "5 % noise": 0.05, "20 % noise": 0.2}
START = parse_instant("2026-01-01T00:00:00+09:00")
RECORDED = (
    ("wsu_al", "events_wsu_al.csv.gz", 14, ()),
    ("house_A", "events_house_A.csv.gz", 12, ()),
    ("house_C", "events_house_C.csv.gz", 9, ()),
    ("energy", "energy_30min.csv.gz", 28, ("--days", "360")),
)  # name, file, days of learning, more arguments
OURS_WITH_BED = f"{OURS}, with the bed"
ONLY = ("inactivity",)
WITH_BED = (*ONLY, "bed-exit", "not-up-yet", "stayed-in-bed")
"""Beginnings of the names of all rules that may tell of somebody who cannot move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A set of simulated households: everybody lives, and some collapse."""

    households: int
    days: int
    learn_days: int
    seed: int
    bed_every: int = MINUTE


FULL = Simulated(households=60, days=35, learn_days=14, seed=7001)
SMALL = Simulated(households=6, days=16, learn_days=9, seed=7013, bed_every=10 * MINUTE)


def simulated_board(site: Site, folder: Path, chosen: Simulated, noise: str, *, rivals: bool = True) -> Board:
    """Simulate into `folder`, then let everybody watch."""
    file, truth = folder / "readings.parquet", folder / "truth.csv"
    homes = households(site.scene, count=chosen.households, seed=chosen.seed, bed_every=chosen.bed_every)
    end = START + chosen.days * DAY
    first = START + chosen.learn_days * DAY
    events = plan_events(homes, start=START, end=end, seed=chosen.seed, first_after=first)
    write_truth(truth, events, site.zone.name)
    days = simulate(homes, start=START, end=end, seed=chosen.seed, events=events, step=DAY, order="taken")
    told = stir(days, site.metrics, NOISE[noise], chosen.seed)
    write_readings(file, registry(homes), site.metrics, told, site.zone.name)
    what = f"{chosen.households} simulated households x {chosen.days} days, seed {chosen.seed}, {noise}"
    return _board(site, file, truth, name=f"simulated, {noise}", what=what, learn_days=chosen.learn_days, rivals=rivals)


def stir(days: Iterator[ReadingBatch], metrics: Metrics, share: float, seed: int) -> Iterator[ReadingBatch]:
    """Lose that share of all readings, and see phantoms: that share of each sensor's usual motions, at random times."""
    dice, motion = np.random.default_rng(seed), metrics.index("motion")
    usual: dict[int, float] = {}
    homes: dict[int, int] = {}
    for number, day in enumerate(days):
        if not share or not len(day):
            yield day
            continue
        seen = day.take((day.metric == motion) & (day.value > 0))
        counts = np.bincount(seen.device, minlength=0)
        for device in np.flatnonzero(counts).tolist():
            usual[device] = usual.get(device, 0.0) + float(counts[device])
        homes |= dict(zip(seen.device.tolist(), seen.home.tolist(), strict=True))
        low, high = int(day.taken[0]), int(day.taken[-1])
        times = [dice.poisson(share * usual[d] / (number + 1)) for d in sorted(usual)]
        seen_by = np.repeat(np.array(sorted(usual), np.int32), times)
        at = np.sort(dice.integers(low, high + 1, len(seen_by))) // 1_000_000 * 1_000_000
        phantom = ReadingBatch(
            home=np.array([homes[d] for d in seen_by.tolist()], np.int32), device=seen_by,
            metric=np.full(len(at), motion, np.int16), value=np.ones(len(at)), taken=at, got=at,
            flags=np.zeros(len(at), np.uint8),
        )  # fmt: skip
        both = concat([day.take(dice.random(len(day)) >= share), phantom])
        yield both.take(np.argsort(both.taken, kind="stable"))


def recorded_boards(site: Site, beside: Path, only: str = "") -> Iterator[Board]:
    """Boards of the real recordings in `beside`, cut off at random moments by the yardstick there; none without them.
    only: a part of the names of those wanted.

    Raises subprocess.CalledProcessError if the yardstick fails.
    """
    tool = beside / "yardstick" / "collapse.py"
    for name, data, learn, more in RECORDED:
        file = beside / "data" / data
        if not tool.is_file() or not file.is_file() or only not in f"recorded, {name}":
            continue
        with TemporaryDirectory() as kept:
            cut, truth = Path(kept) / "cut.csv.gz", Path(kept) / "truth.csv"
            command = [sys.executable, tool, file, cut, truth, "--learn-days", str(learn), "--seed", "1", *more]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own yardstick, no shell
            what = f"real recording {data}, 40 copies a home cut off at random moments (collapse.py --seed 1)"
            yield _board(site, cut, truth, name=f"recorded, {name}", what=what, learn_days=learn)


def _board(site: Site, file: Path, truth: Path, *, name: str, what: str, learn_days: int, rivals: bool = True) -> Board:
    events, learn = read_truth(truth), learn_days * DAY
    result, swept = replay_swept(file, judged_rules(site), FACTORS if rivals else (1.0,))

    def score(way: str, setting: str, lines: Lines, only: tuple[str, ...] = ONLY) -> Score:
        return scored(way, setting, lines, events, only, result.spans, learn)

    scores = [score(OURS, "as shipped" if f == 1 else f"budget x{f:g}", lines) for f, lines in sorted(swept.items())]
    if rivals and any(str(line["rule"]).startswith(WITH_BED[1:]) for line in swept[1.0]):
        scores.append(score(OURS_WITH_BED, "as shipped", swept[1.0], WITH_BED))
    if rivals:
        seen = read_households(file, site.metrics, site.zone)
        for way, settings in RIVALS.items():
            for setting, watch in settings:
                lines = as_lines({h: watch(home, site.zone) for h, home in seen.items()})
                scores.append(score(way, setting, lines))
    days = evaluate([], events, spans=result.spans, learn=learn).household_days
    return Board(name=name, what=what, household_days=days, scores=tuple(scores), revision=_revision())


def _revision() -> str:
    """The checkout's short commit, or "" where there is no checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def judged_rules(site: Site) -> Site:
    """The site with the rules about who cannot move, and about silence, which tells those whom not to believe."""
    kept = [
        i for i, rule in enumerate(site.rules)
        if isinstance(rule.condition, Evidence | Silent) or rule.name.startswith(WITH_BED)
    ]  # fmt: skip
    return replace(site, rules=tuple(site.rules[i] for i in kept), rule_infos=tuple(site.rule_infos[i] for i in kept))


def scored(  # noqa: PLR0917 - which way, at what, on what
    way: str, setting: str, lines: Lines, truth: Sequence[TruthEvent], only: tuple[str, ...], spans: Spans, learn: int
) -> Score:
    """What the rules whose names begin with `only` were worth: all their alerts, and those that call somebody.

    lines: alert lines. spans, learn: as for `evaluate`.
    """
    told = [line for line in lines if str(line["rule"]).startswith(only)]
    at_once = [{**line, "priority": "high", "called": None} for line in told]  # as if each had called when it opened
    alerts, calls = (_worth(evaluate(those, truth, spans=spans, learn=learn, only=only)) for those in (at_once, told))
    return Score(way=way, setting=setting, alerts=alerts, calls=calls)


def _worth(made: Evaluation) -> Worth:
    delay = made.emergencies.delay_hours or {"median": 0.0, "mean": 0.0, "p90": 0.0}
    return Worth(
        false=made.resident.false, false_per_30_days=round(made.resident.false_per_30_days or 0.0, 2),
        found=made.emergencies.found, events=made.emergencies.events,
        already_in_alarm=made.emergencies.already_in_alarm, median=round(delay["median"], 2),
        mean=round(delay["mean"], 2), p90=round(delay["p90"], 2),
    )  # fmt: skip


def small_board(site: Site, folder: Path) -> Score:
    """The part that the tests run every time: our rules as shipped on a small set of 5 % noise."""
    return simulated_board(site, folder, SMALL, "5 % noise", rivals=False).scores[0]


def make_scoreboard(site: Site, out: Path, beside: Path, only: str = "") -> Iterator[Board]:
    """Write OUT (Markdown), its figures, and OUT.json with every board; yields each board once it is in all of them.

    only: a part of the names of boards; those of other names stay as OUT.json has them. Raises ValueError if that file
    is none of ours.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    record = out.with_suffix(".json")
    boards = {board.name: board for board in read_boards(record)} if only and record.is_file() else {}
    with TemporaryDirectory() as kept:
        small = small_board(site, Path(kept))
    made = False
    for board in _boards(site, beside, only):
        made = True
        boards[board.name] = board
        told = {"small": asdict(small), "boards": [asdict(b) for b in boards.values()]}
        record.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        (out.parent / figure_name(board)).write_text(plot(board), encoding="utf-8")
        out.write_text(as_markdown(list(boards.values())), encoding="utf-8")
        yield board
    if not made:
        names = [f"simulated, {noise}" for noise in NOISE] + [f"recorded, {name}" for name, *_ in RECORDED]
        msg = f'no set has "{only}" in its name, or it does not lie beside the project: {"; ".join(names)}'
        raise ValueError(msg)


def _boards(site: Site, beside: Path, only: str) -> Iterator[Board]:
    for noise in NOISE:
        if only in f"simulated, {noise}":
            with TemporaryDirectory() as kept:
                yield simulated_board(site, Path(kept), FULL, noise)
    yield from recorded_boards(site, beside, only)
