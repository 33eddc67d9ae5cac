"""The scoreboard: our rules do not get worse on the small set, and the rivals do what they are said to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mimamori.judge.boards import OURS, Board, Score, Worth, as_markdown, plot, read_boards, read_score
from mimamori.judge.evaluate import answers
from mimamori.judge.rivals import RIVALS, Household, Rival, fixed, inactivity_score, meter, profile
from mimamori.judge.scoreboard import judged_rules, scored, small_board
from mimamori.model.times import DAY, HOUR, MINUTE, iso, parse_instant
from mimamori.simulator.truth import KINDS, TruthEvent
from mimamori.site import load_site

RECORD = Path(__file__).resolve().parents[2] / "docs" / "scoreboard.json"
T0 = parse_instant("2026-01-01T00:00:00+09:00")
ZONE = load_site().zone


def household(*, stops: int, days: int = 20, door: bool = False) -> Household:
    """Motion every ten minutes from 07:00 to 21:00 and 300 W by day, until `stops` (ns after T0); 50 W from then on."""
    at = [d * DAY + m * MINUTE for d in range(days) for m in range(7 * 60, 21 * 60, 10)]
    signs = np.array([T0 + t for t in at if t <= stops])
    doors = np.zeros(len(signs), bool)
    doors[-1] = door
    half = np.arange(days * 48)
    day_time = (half % 48 >= 14) & (half % 48 < 42) & (half * 30 * MINUTE < stops)
    return Household(signs=signs, door=doors, watts=np.where(day_time, 300.0, 50.0), first_half=T0 // (30 * MINUTE),
                     begins=T0, ends=T0 + days * DAY)  # fmt: skip


STOPS = 18 * DAY + 10 * HOUR


class TestRivals:
    @pytest.mark.parametrize(
        ("rival", "low", "high"),
        [
            pytest.param(fixed(12), 12, 12, id="twelve hours are twelve hours"),
            pytest.param(profile(2.0), 1, 1, id="ten minutes are usual at ten; never sooner than an hour"),
            pytest.param(inactivity_score(1.0), 1, 1.2, id="the score of that hour of day"),
            pytest.param(meter(15), 15, 15.5, id="the meter's window"),
        ],
    )
    def test_someone_who_stops_moving_is_noticed_when_it_says(self, rival: Rival, low: float, high: float) -> None:
        alarms = rival(household(stops=STOPS), ZONE)
        after = [(o - T0 - STOPS) / HOUR for o, _ in alarms if o > T0 + STOPS]
        assert low <= after[0] <= high
        assert alarms[-1][1] == 2**62
        assert not [o for o, _ in alarms if T0 + 4 * DAY < o <= T0 + STOPS]

    def test_whoever_went_out_is_left_alone_for_44_hours(self) -> None:
        out = household(stops=STOPS, door=True)
        assert fixed(8)(out, ZONE) == fixed(8)(household(stops=STOPS), ZONE)[:-1]
        for way in ("fixed window", "quantile profile", "Inactivity Score"):
            for _, rival in RIVALS[way]:
                assert not [o for o, _ in rival(out, ZONE) if T0 + STOPS < o <= T0 + STOPS + 37 * HOUR]

    def test_a_home_without_a_meter_tells_a_meter_watch_nothing(self) -> None:
        home = household(stops=STOPS)
        bare = Household(signs=home.signs, door=home.door, watts=np.zeros(0), first_half=home.first_half,
                         begins=home.begins, ends=home.ends)  # fmt: skip
        assert meter(15)(bare, ZONE) == []


def some_score(way: str = "fixed window") -> Score:
    alerts = Worth(
        false=5, false_per_30_days=3.75, found=10, events=10, already_in_alarm=0, median=6.5, mean=7.0, p90=7.5
    )
    calls = Worth(false=2, false_per_30_days=1.5, found=9, events=10, already_in_alarm=0, median=7.5, mean=8.0, p90=8.5)
    return Score(way=way, setting="8 h", alerts=alerts, calls=calls)


class TestBoard:
    def test_we_are_no_worse_than_recorded_on_the_small_set(self, tmp_path: Path) -> None:
        """If an engine or simulator change is meant to move these, `make scoreboard` records them anew."""
        recorded = read_score(json.loads(RECORD.read_text(encoding="utf-8"))["small"])
        made = small_board(load_site(), tmp_path)
        for now, then in ((made.alerts, recorded.alerts), (made.calls, recorded.calls)):
            assert now.events > 0
            assert now.events - now.found <= then.events - then.found
            assert now.false <= then.false
            assert now.mean <= then.mean * 1.05 + 0.1

    def test_all_rules_that_may_find_who_cannot_move_are_judged(self) -> None:
        """By the inactivity rules alone, somebody who fails to rise and turns in bed would be missed for ever."""
        site = load_site()
        asked = {rule.name for rule in judged_rules(site).rules}
        kinds = [k for k, role in KINDS.items() if role == "emergency" and answers(k, "inactivity")]
        assert {"collapse", "night-fall", "bath-fall", "no-rise"} <= set(kinds)
        assert {rule.name for rule in site.rules if any(answers(kind, rule.name) for kind in kinds)} <= asked

    def test_sets_that_were_not_asked_for_stay_as_they_are(self, tmp_path: Path) -> None:
        score = some_score()
        board = Board(name="a set", what="ten homes", household_days=40.0, scores=(score, score))
        record = tmp_path / "board.json"
        record.write_text(json.dumps({"small": asdict(score), "boards": [asdict(board)]}), encoding="utf-8")
        assert read_boards(record) == [board]
        record.write_text('{"boards": [{"name": "a set"}]}', encoding="utf-8")
        with pytest.raises(ValueError, match="without --only"):
            read_boards(record)

    def test_the_document_names_each_way_with_its_figures(self) -> None:
        score = some_score()
        text = as_markdown([Board(name="a set", what="ten homes", household_days=40.0, scores=(score,),
                                  revision="c0ffee1")])  # fmt: skip
        assert "ten homes; 40.0 household-days after learning. Code of c0ffee1." in text
        row = "| fixed window | 8 h | 5 | 2 | 3.75 | 1.50 | 10 / 10 | 9 / 10 | 6.50 | 7.50 | 7.00 | 8.00 |"
        assert row in text
        table = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in table}) == 1
        assert "(scoreboard-a-set.svg)" in text

    def test_the_figure_shows_alerts_and_calls_of_ours(self) -> None:
        """Two lines of ours, at different false alarms; a rival has one."""
        scores = (some_score(OURS), some_score())
        drawn = plot(Board(name="a set", what="ten homes", household_days=40.0, scores=scores))
        for name in (f"{OURS}, calls", f"{OURS}, all alerts", "fixed window"):
            assert name in drawn
        assert "fixed window, " not in drawn

    def test_what_is_noted_first_is_an_alert_then_and_a_call_when_it_calls(self) -> None:
        watch = TruthEvent(household="a", kind="collapse", start=T0 + HOUR, end=T0 + 9 * HOUR)
        opened, called = iso(T0 + 2 * HOUR), iso(T0 + 4 * HOUR)
        line = {"household": "a", "rule": "inactivity", "category": "resident", "priority": "high",
                "opened": opened, "called": called, "resolved": None}  # fmt: skip
        note = {**line, "priority": "low", "called": None, "opened": iso(T0 + HOUR // 2), "resolved": iso(T0 + HOUR)}
        score = scored("mimamori", "as shipped", [note, line], [watch], ("inactivity",), {"a": (T0, T0 + DAY)}, 0)
        assert (score.alerts.false, score.calls.false) == (1, 0)
        assert (score.alerts.median, score.calls.median) == (1.0, 3.0)
