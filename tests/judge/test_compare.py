"""Simulated beside real homes: each measure on days made by hand, and the simulated days within what homes do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import ks_2samp

from mimamori.cli import main
from mimamori.judge.compare import (
    Seen,
    bed_exits,
    compare,
    compare_days,
    counts_a_day,
    gaps_by_hour,
    load_shape,
    risings,
)
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.site import load_site


def at(*clocks: float, days: int = 1) -> np.ndarray:
    return np.array([d * DAY + round(c * 60) * MINUTE for d in range(days) for c in clocks], np.int64)


def test_quiet_counts_from_a_minute_by_the_hour_it_began() -> None:
    minutes, hour = gaps_by_hour(np.concatenate([at(7, 7.5, 9), at(9) + 30_000_000_000]))
    assert minutes.tolist() == [30, 90]
    assert hour.tolist() == [7, 7]


def test_rising_is_the_end_of_the_longest_quiet_of_the_night() -> None:
    signs = np.sort(at(2.0, 6.5, 7, 7.25, 8, 21, 22, days=4))
    assert risings(signs[signs > 20 * HOUR]).tolist() == [6.5, 6.5, 6.5]


def test_signs_are_counted_on_whole_days() -> None:
    assert counts_a_day(at(6, 12, 18, days=5)).tolist() == [3, 3, 3]


def test_bed_exits_are_short_and_at_night() -> None:
    edges = [(0, 1), (2.0, 0), (2.1, 1), (4.0, 0), (5.5, 1), (6.5, 0), (22, 1)]  # 6 minutes; 90 minutes; up for the day
    times, inside = at(*(e[0] for e in edges), 24), np.array([*(float(e[1]) for e in edges), 1.0])
    often, minutes = bed_exits((times, inside))
    assert often == 1
    assert minutes.tolist() == [6]


def test_equal_days_of_electricity_are_alike_and_a_flat_home_is_idle() -> None:
    slots = np.arange(10 * 48)
    same = load_shape((slots, np.where(slots % 48 < 36, 100.0, 400.0)))
    assert same["alike"] == pytest.approx(1)
    assert same["idle"] == 0.75
    assert same["peak"] == pytest.approx(400 / 175)
    noise = np.random.default_rng(1).uniform(100, 900, len(slots))
    assert abs(load_shape((slots, noise))["alike"]) < 0.2
    assert load_shape((slots[:100], noise[:100])) == {}


def test_a_home_beside_itself_is_at_distance_0() -> None:
    home = Seen(signs=at(6, 7, 9, 12, 18, 21, days=10), watts=(np.arange(480), np.random.default_rng(1).random(480)))
    rows = compare({"a": home}, {"b": home})
    assert all(r.ks in {None, 0.0} for r in rows)
    assert all(r.real[0][1] == pytest.approx(r.simulated[1], nan_ok=True) for r in rows)


def test_the_distance_is_that_of_scipy() -> None:
    dice = np.random.default_rng(1)
    watts = [(np.arange(480), dice.integers(1, top, 480).astype(float)) for top in (4, 30)]
    rows = compare({"a": Seen(watts=watts[0])}, {"b": Seen(watts=watts[1])})
    pools = [values / values.mean() for _, values in watts]
    assert [r.ks for r in rows if r.ks is not None] == [pytest.approx(ks_2samp(*pools).statistic)]


def test_simulated_days_are_not_more_regular_than_those_of_homes() -> None:
    """Limits from real homes (simulator/README.md): what a watch on inactivity finds easy must not be made easier."""
    from mimamori.judge.compare import gather
    from mimamori.simulator.days import simulate
    from mimamori.simulator.households import households, registry

    site, start = load_site(), parse_instant("2026-10-01T00:00:00+09:00")
    homes = households(site.scene, count=10, seed=11)
    seen = gather(
        simulate(homes, start=start, end=start + 12 * DAY, seed=11, step=DAY, order="taken"), registry(homes),
        site.metrics, site.zone,
    )  # fmt: skip
    rows = {r.measure: r.simulated[1] for r in compare(seen, seen)}
    assert rows["quiet, minutes, afternoon 12-18: 90%"] > 20
    assert rows["quiet, minutes, evening 18-24: 90%"] > 20
    assert rows["signs of life: spread of days by mean"] > 0.13
    assert rows["rising: spread of days, minutes"] > 60
    assert rows["half-hour energy: spread by mean"] > 0.7
    assert rows["half-hour energy: a day like the day before"] < 0.45


def test_the_command_prints_a_row_a_measure(tmp_path: Path) -> None:
    file = tmp_path / "home.csv"
    rows = [f"2026-01-{d:02d}T{h:02d}:{m:02d}:00+09:00,h1,hall,motion,1"
            for d in range(1, 15) for h in range(6, 23) for m in (0, 20)]  # fmt: skip
    file.write_text("\n".join(["time,household,device,metric,value", *rows]) + "\n", encoding="utf-8")
    labels = ["time,activity"] + [
        f"2026-01-{d:02d}T{t}+09:00,{a}" for d in range(1, 15)
        for t, a in (("03:00:00", "Bed_Toilet_Transition"), ("03:05:00", "Sleep"), ("06:00:00", "Cook"),
                     ("22:00:00", "Sleep"))
    ]  # fmt: skip
    (tmp_path / "home.labels.csv").write_text("\n".join(labels), encoding="utf-8")
    told = CliRunner().invoke(main, ["simulate", "--compare", str(tmp_path), "--households", "3", "--days", "9"])
    assert told.exit_code == 0, told.output
    assert "signs of life a day" in told.stdout
    assert "h1 34" in told.stdout
    assert "bed exits: median minutes" in told.stdout
    assert "h1 5" in told.stdout
    with pytest.raises(ValueError, match="holds no reading file"):
        compare_days(load_site(), tmp_path / "..", count=1, days=1, seed=1, start=0, noise="default", bed_every=None)
