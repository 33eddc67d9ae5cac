"""Twin of the kind about lack of activity: evidence."""

from __future__ import annotations

from math import exp, isnan, log, log1p, nan
from typing import TYPE_CHECKING

from mimamori.model.findings import Level, Verdict
from mimamori.model.times import DAY, NEVER
from mimamori.rules import habit, level, quiet
from mimamori.rules.absences import HOME
from mimamori.rules.cell import CELL
from mimamori.rules.changes import LEVELS
from mimamori.rules.spec import SIGNS, Evidence, Rule
from mimamori.twin.habit import HabitTwin
from mimamori.twin.power import PowerTwin, kept
from mimamori.twin.vitals import Judged, single

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin


class EvidenceTwin:
    """`kind = "evidence"`: five minutes at a time."""

    every = CELL

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Evidence)
        self.spec, self.zone, self.priority = rule.condition, home.zone, int(LEVELS[rule.priority])
        self.habit = HabitTwin(DAY / self.spec.one_false_alarm_in, exp(-DAY / self.spec.forget_after))
        self.power = PowerTwin()
        self.sinks = level.ALARM_RAISES * DAY / self.spec.power_alone_false_alarm_in / habit.SLOTS
        self.nats = dict.fromkeys(SIGNS, 0.0)
        self.abed = [0.0] * habit.SLOTS
        self.run, self.longest_out, self.grade = 0, 0, 0
        self.was_out = self.firing = self.alarmed = False
        self.left_at = self.since = NEVER
        self.working: dict[str, float] = {}

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        local = self.zone.local(at - 1)
        slot, closes = habit.slot_of(local), (local + 1) % level.LEVEL_CELL == 0
        if habit.slot_of(local - CELL) != slot:
            self.habit.fade(slot)
        judged = None
        if home.absence.state == HOME:  # forgetting goes by the calendar, learning does not
            judged = self.close(home, at, slot, home.watt_hours() if closes else nan, closes=closes)
        if closes:
            if judged is not None:
                self.power.end_half_hour(home.watt_hours(), slot, local // DAY, self.sinks, alarmed=self.alarmed)
            if slot == level.NIGHT_BEGINS + level.NIGHT_SLOTS - 1:
                self.power.learn_quiet()
            if slot == habit.SLOTS - 1:
                self.power.forget()
        return judged

    def begin_anew(self, at: int) -> None:
        self.nats = dict.fromkeys(SIGNS, 0.0)
        self.run, self.grade, self.power.sum, self.power.run = 0, 0, 0.0, 0
        self.was_out = self.firing = False
        self.left_at = NEVER
        self.since = self.since if self.since == NEVER else at

    def close(self, home: HomeTwin, at: int, slot: int, wh: float, *, closes: bool) -> Judged | None:
        kinds: set[str] = {sign for sign in self.spec.signs if sign in home.has}
        self.working = {sign: home.working(sign) for sign in kinds}
        known, by_events, fired = any(self.working.values()), bool(kinds - {"power"}), self.firing
        if not (by_events or closes):
            return None
        all_day = {"bed", "motion"} <= kinds
        self.habit.budget = DAY / self.spec.one_false_alarm_in / (self.spec.call_after_with_bed if all_day else 1.0)
        if known and self.habit.first_seen == NEVER:
            self.habit.meet(at)
            self.since = at
        abed = self.lies(home, at, slot, has="bed" in kinds)
        in_all_along = not (home.out or self.was_out or abed)
        if by_events:
            self.take_events(home, at, slot, kinds - {"power"}, known=known, abed=abed)
        if closes:
            weighs = in_all_along and self.working.get("power", 0) > 0 and not isnan(wh)
            self.take_power(home, at, slot, wh, weighs=weighs, alone=not by_events)
        known = known and (by_events or bool(self.power.edges))
        judged = self.verdict(home, at, known=known, by_events=by_events, notes=not all_day)
        self.alarmed = self.firing and not fired and not by_events
        return judged

    def lies(self, home: HomeTwin, at: int, slot: int, *, has: bool) -> bool:
        """In bed and alive, as told, or as usual at this time while the bed sensor is silent."""
        told = max(home.taken.get("heart_rate", NEVER), home.taken.get("respiration_rate", NEVER))
        stirs = min(told, home.stirred) > at - CELL
        abed = stirs and home.value.get("in_bed", 0) > 0
        if self.working.get("bed", 0) > 0:
            self.abed[slot] = kept(self.abed[slot] + habit.ACTIVE_RATE * (abed - self.abed[slot]))
        elif has:
            abed = self.abed[slot] > quiet.MOSTLY
        return abed

    def take_events(self, home: HomeTwin, at: int, slot: int, kinds: set[str], *, known: bool, abed: bool) -> None:
        signs: set[str] = home.signs.intersection(self.spec.signs)
        adds = known and not (home.out or self.was_out or abed or signs)
        learns = known and not (self.was_out or abed or self.firing) and (bool(signs) or not home.out)
        if learns:
            self.habit.learn_activity(slot, sign=bool(signs))
        if self.run and (learns or adds):
            base, hazard = self.habit.hazards(slot, self.run, kinds)
            if learns:
                self.habit.learn_quiet_cell(slot, self.run, base, sum(hazard.values()))
            if learns and signs:
                self.habit.learn_end(slot, self.run, signs)
            if adds:
                self.add(hazard)
        if self.run and (signs or home.out):
            self.habit.end_spell(slot, (at - self.since) // level.LEVEL_CELL + 4)
        if self.run and signs:
            self.habit.record_peak(self.total(), at)
        self.run += adds
        if signs or home.out:
            self.settle(home, at, door="door" in signs)
        self.was_out = home.out

    def add(self, hazard: dict[str, float]) -> None:
        parts = {sign: h * self.working.get(sign, 0.0) for sign, h in hazard.items()}
        total = sum(parts.values())
        if total > 0:
            a_unit = -log1p(-total) / total
            self.nats = {sign: single(self.nats[sign] + part * a_unit) for sign, part in parts.items()}

    def settle(self, home: HomeTwin, at: int, *, door: bool) -> None:
        self.nats = dict.fromkeys(SIGNS, 0.0)
        self.power.sum, self.run = 0.0, 0
        if not home.out or door:
            self.firing = False
        self.since = max(self.since, min(home.sign, at))
        if self.was_out and not home.out:
            self.longest_out = max(home.sign - self.left_at, int(self.longest_out * quiet.OUT_FADES))
        if home.out and not self.was_out:
            self.left_at = home.door

    def take_power(self, home: HomeTwin, at: int, slot: int, wh: float, *, weighs: bool, alone: bool) -> None:
        lowest = 0.0 if alone else level.LOWEST_SUM
        above = weighs and self.power.weigh(wh, lowest, slot, learns=not self.firing)
        if home.sign > at - level.LEVEL_CELL:
            self.power.sum = 0.0
        own = self.power.sum
        nothing = quiet.LEFT_ON if own < 0 else quiet.STANDS_STILL
        mixed = log(nothing + (1 - nothing) * exp(-abs(own)))
        self.nats["power"] = single(own if alone else mixed if own < 0 else -mixed)
        if weighs and alone and wh != 0:
            self.firing = self.firing and own > 0
            if own <= 0 or above:
                self.since = at

    def total(self) -> float:
        total = 0.0
        for nats in self.nats.values():
            total = single(total + nats)
        return max(total, 0.0)

    def verdict(self, home: HomeTwin, at: int, *, known: bool, by_events: bool, notes: bool) -> Judged:
        spec, threshold = self.spec, self.habit.threshold if by_events else self.power.threshold
        seen, gone, still = known and self.habit.first_seen != NEVER, at - home.door, at - self.since
        longest = min(max(self.longest_out * quiet.OUT_MARGIN, spec.out_at_least), spec.out_at_most)
        calls_out = min(spec.out_high_after * max(longest, quiet.CALLS_FROM), spec.out_at_most)
        watched = self.total() >= quiet.WATCH_FROM * threshold
        if seen and home.out:
            watched = watched or gone >= longest
            self.firing = self.firing or gone >= (longest if notes else calls_out)
        elif seen:
            long = not by_events or still >= spec.quiet_at_least
            self.firing = self.firing or (self.total() >= threshold and long) or still >= spec.at_most
        grade, verdict = 0, Verdict.PENDING if watched else Verdict.CLEAR
        if self.firing:
            calls = threshold + self.habit.excess / self.habit.peak_weight * log(spec.call_after)
            note = by_events and self.grade <= Level.LOW and self.total() < calls and still < spec.at_most
            if home.out:
                note = gone < calls_out
            verdict, grade = Verdict.FIRING, int(Level.LOW) if note and notes else self.priority
        self.grade = grade
        return (verdict if seen else Verdict.UNKNOWN), grade, self.since
