"""Twin of evidence's habit: hazards of a sign of life by time of day and length of quiet, and the threshold."""

from __future__ import annotations

from math import log

from mimamori.model.times import DAY, NEVER
from mimamori.rules import habit
from mimamori.rules.spec import SIGNS
from mimamori.twin.power import kept
from mimamori.twin.vitals import single

EVENTS = tuple(sign for sign in SIGNS if sign != "power")
LENGTHS = len(habit.RUN_PRIOR)


def length_of(run: int) -> int:
    """Which length of quiet so many cells are."""
    return sum(run >= edge for edge in habit.RUN_EDGES)


class HabitTwin:
    """Proportional hazards, learned as each quiet ends; peaks of evidence."""

    def __init__(self, budget: float, keep: float) -> None:
        self.budget, self.keep = budget, keep
        self.ended = {sign: [0.0] * habit.SLOTS for sign in EVENTS}
        self.exposed, self.spell = [0.0] * habit.SLOTS, [0.0] * habit.SLOTS
        self.active = [0.0] * habit.SLOTS
        self.run_ended, self.run_exposed, self.run_spell = [0.0] * LENGTHS, [0.0] * LENGTHS, [0.0] * LENGTHS
        self.peaks, self.excess = habit.PEAKS_A_DAY * habit.RATE_DAYS, single(habit.PEAK_MEAN * habit.MEAN_PEAKS)
        self.peak_days, self.peak_weight = habit.RATE_DAYS, habit.MEAN_PEAKS
        self.peak_at = self.first_seen = NEVER
        self.threshold = 99.0

    def hazards(self, slot: int, run: int, kinds: set[str]) -> tuple[float, dict[str, float]]:
        """(from the length of quiet alone, of each kind of sign)"""
        prior, bases = float(habit.RUN_PRIOR[0]), []
        for b in range(LENGTHS):
            base = (self.run_ended[b] + prior * habit.RUN_WEIGHT) / (self.run_exposed[b] + habit.RUN_WEIGHT)
            bases.append(single(base))
            prior = base * float(habit.RUN_PRIOR[min(b + 1, LENGTHS - 1)] / habit.RUN_PRIOR[b])
        base, exposed = bases[length_of(run)], habit.SLOT_WEIGHT
        near = [(weight, (slot + j) % habit.SLOTS) for j, weight in enumerate(habit.KERNEL.tolist(), -2)]
        for weight, s in near:
            exposed += weight * self.exposed[s]
        expected = float(habit.SLOT_WEIGHT * habit.DAY_PRIOR[slot]) / max(1, len(kinds))
        found = dict.fromkeys(SIGNS, 0.0)
        for sign in (s for s in EVENTS if s in kinds):
            ended = 0.0
            for weight, s in near:
                ended += weight * self.ended[sign][s]
            found[sign] = base * single((ended + expected) / exposed)
        total = sum(found.values())
        if total > habit.HIGHEST_HAZARD:
            found = {sign: h * (habit.HIGHEST_HAZARD / total) for sign, h in found.items()}
        return base, found

    def learn_activity(self, slot: int, *, sign: bool) -> None:
        """The share of cells with a sign."""
        self.active[slot] = kept(self.active[slot] + habit.ACTIVE_RATE * (sign - self.active[slot]))

    def learn_quiet_cell(self, slot: int, run: int, base: float, hazard: float) -> None:
        """It waits for the end of the spell."""
        self.spell[slot] = kept(self.spell[slot] + base)
        self.run_spell[length_of(run)] = single(self.run_spell[length_of(run)] + hazard / base)

    def learn_end(self, slot: int, run: int, signs: set[str]) -> None:
        """Signs ended a quiet spell."""
        for sign in signs:
            self.ended[sign][slot] = kept(self.ended[sign][slot] + 1 / len(signs))
        self.run_ended[length_of(run)] = single(self.run_ended[length_of(run)] + 1)

    def end_spell(self, slot: int, slots: int) -> None:
        """What was exposed in this slot and the `slots` before it is learned."""
        for s in {(slot - back) % habit.SLOTS for back in range(min(slots + 1, habit.SLOTS))}:
            self.exposed[s] = kept(self.exposed[s] + self.spell[s])
            self.spell[s] = 0.0
        self.run_exposed = [single(e + s) for e, s in zip(self.run_exposed, self.run_spell, strict=True)]
        self.run_spell = [0.0] * LENGTHS

    def fade(self, slot: int) -> None:
        """Before its first cell of a day."""
        self.exposed[slot] = kept(self.keep * self.exposed[slot])
        for ended in self.ended.values():
            ended[slot] = kept(self.keep * ended[slot])
        if slot == 0:
            self.run_ended = [single(n * single(self.keep)) for n in self.run_ended]
            self.run_exposed = [single(n * single(self.keep)) for n in self.run_exposed]

    def meet(self, now: int) -> None:
        """The household is seen for the first time."""
        self.first_seen = self.peak_at = now
        self.set_threshold(now)

    def record_peak(self, peak: float, now: int) -> None:
        """A quiet spell ended at that evidence."""
        days, age = (now - self.peak_at) / DAY, (now - self.first_seen) / DAY
        stays = habit.PEAK_FADES**days
        held = min(peak, self.threshold - habit.newcomer_extra(age))
        learns = age >= habit.PEAKS_AFTER_DAYS
        counted = learns and held > habit.PEAK_FROM
        self.peaks = single(self.peaks * stays + counted)
        self.excess = single(self.excess * stays + (held - habit.PEAK_FROM if counted else 0.0))
        self.peak_days = single(self.peak_days * stays + (days if learns else 0.0))
        self.peak_weight = single(self.peak_weight * stays + counted)
        self.peak_at = now
        self.set_threshold(now)

    def set_threshold(self, now: int) -> None:
        rate, mean = self.peaks / self.peak_days, self.excess / self.peak_weight
        usual = habit.PEAK_FROM + mean * log(max(rate / self.budget, 1.01))
        extra = habit.newcomer_extra((now - self.first_seen) / DAY)
        self.threshold = single(max(usual, habit.LOWEST_THRESHOLD) + extra)
