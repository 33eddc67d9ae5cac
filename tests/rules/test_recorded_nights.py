"""Night bed exits on a real recording: in_bed is made from the activities that its resident was labelled with.

Set MIMAMORI_RECORDINGS to a folder with events_wsu_al.csv.gz and events_wsu_al.labels.csv (WSU CASAS, one home).
"""

from __future__ import annotations

import csv
import gzip
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat, reading_batch
from mimamori.model.times import HOUR, MINUTE, parse_instant
from mimamori.rules.engine import Engine
from mimamori.site import load_site
from mimamori.stream.recorded import RecordedFile

HOME = "events_wsu_al"
FOLDER = Path(os.environ.get("MIMAMORI_RECORDINGS") or "-")
RECORDINGS = [FOLDER] if (FOLDER / f"{HOME}.labels.csv").is_file() else []
IN_BED = {"Sleep", "Go_To_Sleep", "Wake_Up"}  # whoever wakes is in bed until the next activity
SITE = load_site()


def in_bed(labels: Path) -> Iterator[tuple[int, float]]:
    """(ns, 0 or 1): at each change of activity, and every minute between, as a bed sensor tells it."""
    with labels.open(newline="", encoding="utf-8") as lines:
        changes = [(parse_instant(row["time"]), float(row["activity"] in IN_BED)) for row in csv.DictReader(lines)]
    for (begin, lies), (end, _) in itertools.pairwise(changes):
        yield begin, lies
        yield from ((at, lies) for at in range(begin - begin % MINUTE + MINUTE, end, MINUTE))


def recording(folder: Path) -> tuple[Homes, ReadingBatch]:
    homes = Homes()
    events = concat(RecordedFile(folder / f"{HOME}.csv.gz", homes, SITE.metrics).batches())
    household = homes.ids[0]
    bed, metric = homes.add_device(household, "bed"), SITE.metrics.index("in_bed")
    rows = [(0, bed, metric, lies, at, at, 0) for at, lies in in_bed(folder / f"{HOME}.labels.csv")]
    both = concat([events, reading_batch(rows)])
    return homes, both.take(np.argsort(both.got, kind="stable"))


def invent(folder: Path) -> Path:
    """Twenty nights with two walks to the toilet each, three to nine minutes long, in the form of the recording."""
    rng = np.random.default_rng(3)
    labels, events = [], []
    for day in range(1, 21):
        for clock, activity in (
            (22.5, "Go_To_Sleep"),
            (22.6, "Sleep"),
            (25.5, "Toilet"),
            (28.2, "Toilet"),
            (30.4, "Dress"),
        ):
            hour, at = divmod(clock, 24)[1], day + clock // 24
            start = f"2026-01-{int(at):02}T{int(hour):02}:{int(hour % 1 * 60):02}"
            labels.append(f"{start}:00+09:00,{activity}")
            if activity == "Toilet":
                back = int(hour % 1 * 60) + int(rng.integers(3, 10))
                labels.append(f"{start[:14]}{back:02}:00+09:00,Sleep")
                events.append(f"{start}:30+09:00,a,hall,motion,1")
    folder.joinpath(f"{HOME}.labels.csv").write_text("time,activity\n" + "\n".join(labels) + "\n")
    with gzip.open(folder / f"{HOME}.csv.gz", "wt") as out:
        out.write("time,household,device,metric,value\n" + "\n".join(events) + "\n")
    return folder


@pytest.mark.parametrize("folder", [None, *RECORDINGS], ids=lambda f: "recorded" if f else "invented")
def test_no_false_alarm_at_a_limit_of_about_twenty_minutes(folder: Path | None, tmp_path: Path) -> None:
    homes, batch = recording(folder or invent(tmp_path))
    rules = [rule for rule in SITE.rules if rule.name in {"bed-exit", "device-silent"}]
    engine = Engine(homes, rules, SITE.metrics, SITE.zone)
    end = int(batch.got.max())
    found = engine.step(batch, end - SITE.zone.time_of_day(end) + 47 * HOUR)  # the evening after: by day it is patient
    mine = [i for i, rule in enumerate(rules) if rule.name == "bed-exit"]
    fired = found.take(np.isin(found.rule, mine) & (found.verdict == Verdict.FIRING))
    now = engine.current()
    _, limit, usual, _ = now.facts[now.rule == mine[0]][0, :4].tolist()
    said = f"{len(fired)} alerts; usually back in {usual:.1f} min, limit {limit:.1f} min"
    assert len(fired) == 0, said
    assert 15 <= limit <= 25, said
