"""The plain twins and the engine say the same, finding by finding: on simulated households and on real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mimamori.model.declared import Declaration, Span
from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND
from mimamori.rules.engine import Engine
from mimamori.rules.told import Told
from mimamori.simulate import write_days
from mimamori.site import Site, load_site
from mimamori.stream.recorded import RecordedFile
from mimamori.twin.run import Town, run

MIDNIGHT = 1_767_193_200 * SECOND  # the first of 2026, in Japan
FOLDER = os.environ.get("MIMAMORI_RECORDINGS", "")
"""A folder of real recordings (reading files) to compare them on as well."""
RECORDINGS = sorted(p for p in Path(FOLDER).glob("*.csv.gz") if p.name.count(".") == 2) if FOLDER else []
SPAN = 30 * DAY  # of a recording


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site()


Said = list[tuple[int, dict[int, list[Span]]]]
"""(ns, all absences by household row): what was declared when."""


def same(site: Site, homes: Homes, batch: ReadingBatch, said: Said) -> set[tuple[str, int]]:
    """Hold both against each other; (rule, verdict) of all findings."""
    rules, end = site.rules, int(batch.got.max()) + 2 * MINUTE
    lists = [
        Declaration(at=at, household=name, spans=tuple(by_row.get(row, ())))
        for at, by_row in said for row, name in enumerate(homes.ids)
    ]  # fmt: skip
    f = Told(Engine(homes, rules, site.metrics, site.zone), homes, lists).step(batch, end)
    told = run(Town(rules, site.metrics, site.zone, homes), batch, site.metrics, end, said)
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


def silent(batch: ReadingBatch, begin: int) -> NDArray[np.bool_]:
    """(n,) what is lost: of a home for hours, of everybody, of nearly a district, and of a device over and over."""
    hours = (batch.got - begin) / HOUR
    home = (batch.home == 3) & (hours > 60) & (hours < 66)
    everybody = (hours > 50) & (hours < 50.4)
    district = (batch.home != 2) & (hours > 70) & (hours < 71)
    loose = (batch.device == batch.device[batch.home == 4].min()) & (hours > 90) & (batch.got // (50 * MINUTE) % 2 == 0)
    out: NDArray[np.bool_] = home | everybody | district | loose
    return out


def away(begin: int) -> Said:
    """Who is declared away: one who is home all the time, and later cuts it short; one who does not come back; one who
    is called back at once.
    """

    def hours(*spans: tuple[float, float]) -> list[Span]:
        return [(begin + int(a * HOUR), begin + int(b * HOUR)) for a, b in spans]

    home, gone, short = hours((26, 60)), hours((86, 92)), hours((40, 56))
    return [
        (begin + 20 * HOUR + 7, {5: home, 0: gone, 4: short}),
        (begin + 47 * HOUR, {5: home, 0: gone, 4: hours((40, 47))}),
        (begin + 62 * HOUR, {5: [*home, *hours((63, 70), (69, 81))], 0: gone}),
    ]


def test_on_simulated_households(tmp_path: Path, site: Site) -> None:
    path = tmp_path / "days.csv.gz"
    write_days(site, path, tmp_path / "truth.csv", count=6, seed=11, bed_every=MINUTE, start=MIDNIGHT, days=5)
    homes = Homes()
    batch = concat(RecordedFile(path, homes, site.metrics).batches())
    for name in homes.ids:
        homes.place(name, "north")
    begin = int(batch.got.min())
    batch = batch.take(~(quiet(site, batch, since=begin + 84 * HOUR) | silent(batch, begin)))
    seen = same(site, homes, batch, away(begin))
    assert int(batch.got.max() - batch.got.min()) > 4 * DAY
    rest = ("stayed-in-bed", "heater-failed")
    for name in ("bed-exit", "night-wandering", "heart-rate", "heart-rate-unusual", "no-breathing", "cold", *rest):
        assert {(name, Verdict.CLEAR)} <= seen
    assert {("bed-exit", Verdict.PENDING), ("heart-rate-unusual", Verdict.UNKNOWN)} <= seen
    for name in ("device-silent", "gateway-silent", "broker-silent", "power-outage", "sensor-flapping"):
        assert {(name, Verdict.CLEAR), (name, Verdict.FIRING)} <= seen
    for name in ("not-returned", "unexpected-presence"):
        assert {(name, Verdict.PENDING), (name, Verdict.FIRING)} <= seen
    assert {("inactivity", v) for v in (Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING)} <= seen


def any_absences(homes: int, begin: int, end: int) -> Said:
    """Twenty words about somebody's absences: for later or already begun, without an end, cut short, called off."""
    rng, held = np.random.default_rng(7), dict[int, list[Span]]()
    said: Said = []
    for at in np.sort(rng.integers(begin, end, 20)).tolist():
        row, hour = int(rng.integers(homes)), min(HOUR, (end - begin) // 50)
        kept = [(a, min(b, at)) for a, b in held.get(row, []) if a < at]  # what has begun ends now at the latest
        first = at + int(rng.integers(-3, 20)) * hour
        last = first + int(rng.integers(1, 60)) * hour
        new = [(first, NEVER if rng.random() < 0.2 else last)] if rng.random() < 0.7 else []
        held[row] = [span for span in kept if not new or span[1] < first] + new
        said.append((at, dict(held)))
    return said


@pytest.mark.parametrize("path", [None, *RECORDINGS], ids=lambda p: p.name.partition(".")[0] if p else "simulated")
def test_with_any_absences(path: Path | None, site: Site, tmp_path: Path) -> None:
    """On simulated households, and on each recording of the folder."""
    homes = Homes()
    if path is None:
        path = tmp_path / "made.parquet"
        write_days(site, path, tmp_path / "truth.csv", count=2, seed=12, bed_every=MINUTE, start=MIDNIGHT, days=2)
    batch = concat(RecordedFile(path, homes, site.metrics).batches())
    begin = int(batch.got.min())
    batch = batch.take(batch.got < begin + SPAN)
    seen = same(site, homes, batch, any_absences(len(homes), begin, int(batch.got.max())))
    assert {("not-returned", Verdict.CLEAR), ("unexpected-presence", Verdict.CLEAR)} <= seen
