"""The bench of rehearsals: households made several times over are households each, and all of them are rehearsed."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from mimamori.bench.rehearsal import bench_rehearsal, fill, measure
from mimamori.site import load_site

SITE = load_site(Path(__file__).parents[2])


def test_households_made_twice_over_are_rehearsed_alike(tmp_path: Path) -> None:
    fill(SITE, tmp_path, count=5, different=2, days=2, bed_every=120, seed=1)
    wide = measure(SITE, tmp_path, rule="heart-rate", settings={}, days=2, processes=1)
    tight = measure(SITE, tmp_path, rule="heart-rate", settings={"high.medium": 100.0}, days=2, processes=1)
    assert (wide.households, wide.days, wide.learned, wide.before) == (5, 2, 0, wide.after)
    assert wide.readings == tight.readings > 5_000
    assert tight.after >= tight.before == wide.before


def test_a_rule_that_is_not_there_is_said() -> None:
    told = CliRunner().invoke(bench_rehearsal, ["no-such-rule"])
    assert told.exit_code == 1
    assert "there is no rule no-such-rule" in told.output
