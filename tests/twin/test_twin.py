"""The plain twins and the engine say the same, finding by finding: on simulated households and on real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE
from mimamori.rules.engine import Engine
from mimamori.simulate import write_days
from mimamori.site import Site, load_site
from mimamori.stream.recorded import RecordedFile
from mimamori.twin.home import TWINS
from mimamori.twin.run import run, twins_of

FOLDER = os.environ.get("MIMAMORI_RECORDINGS", "")
"""A folder of real recordings (reading files) to compare them on as well."""
RECORDINGS = sorted(p for p in Path(FOLDER).glob("*.csv.gz") if p.name.count(".") == 2) if FOLDER else []
SPAN = 30 * DAY  # of a recording


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site()


def same(site: Site, homes: Homes, batch: ReadingBatch) -> set[tuple[str, int]]:
    """Hold both against each other; (rule, verdict) of all findings."""
    rules = [r for r in site.rules if type(r.condition) in TWINS]
    end = int(batch.got.max()) + 2 * MINUTE
    f = Engine(homes, rules, site.metrics, site.zone).step(batch, end)
    told = run(twins_of(rules, site.metrics, site.zone, len(homes)), batch, site.metrics, end)
    columns = (f.home, f.at, f.rule, f.verdict, f.level, f.since)
    mine = list(zip(*(c.tolist() for c in columns), strict=True))
    theirs = [(home, at, rule, int(verdict), int(level), since) for home, (at, rule, verdict, level, since) in told]
    for one, other in zip(mine, theirs, strict=False):
        assert one == other, (homes.ids[one[0]], rules[one[2]].name, rules[other[2]].name, one, other)
    assert len(mine) == len(theirs)
    return {(rules[rule].name, verdict) for _, _, rule, verdict, _, _ in mine}


def quiet(site: Site, batch: ReadingBatch, since: int) -> NDArray[np.bool_]:
    """(n,) what is left out: of two homes all signs of life from then on, of a third all but its meter."""
    of_life = [site.metrics.index(m) for m in ("motion", "in_bed", "presence", "body_movement", "door_open", "button")]
    power = [site.metrics.index(m) for m in ("power", "energy")]
    still = (batch.home < 2) & (batch.got > since) & np.isin(batch.metric, of_life)
    out: NDArray[np.bool_] = still | ((batch.home == 2) & ~np.isin(batch.metric, power))
    return out


def test_on_simulated_households(tmp_path: Path, site: Site) -> None:
    path = tmp_path / "days.csv.gz"
    write_days(
        site, path, tmp_path / "truth.csv", count=6, seed=11, bed_every=MINUTE, start=1_767_193_200 * 10**9, days=5
    )
    homes = Homes()
    batch = concat(RecordedFile(path, homes, site.metrics).batches())
    batch = batch.take(~quiet(site, batch, since=int(batch.got.min()) + 84 * HOUR))
    seen = same(site, homes, batch)
    assert int(batch.got.max() - batch.got.min()) > 4 * DAY
    rest = ("stayed-in-bed", "heater-failed")
    for name in ("bed-exit", "night-wandering", "heart-rate", "heart-rate-unusual", "no-breathing", "cold", *rest):
        assert {(name, Verdict.CLEAR)} <= seen
    assert {("bed-exit", Verdict.PENDING), ("heart-rate-unusual", Verdict.UNKNOWN)} <= seen
    assert {("inactivity", v) for v in (Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING)} <= seen


def test_on_real_recordings(site: Site) -> None:
    """Each recording of the folder, if there is one; without it the simulated households stand alone."""
    for path in RECORDINGS:
        homes = Homes()
        batch = concat(RecordedFile(path, homes, site.metrics).batches())
        same(site, homes, batch.take(batch.got < batch.got.min() + SPAN))
