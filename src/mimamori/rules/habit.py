"""How usual quiet is in each household: hazards of a sign of life by time of day, and the threshold they call for.

May import model, rules.columns and rules.kernel. Compiled, each function about one household, row `h` of the columns.
Cause-specific discrete-time hazards (Prentice et al., Biometrics 1978) give the log-likelihood ratio of Page's test
(Page, Biometrika 1954) against "no sign will ever come"; peaks over a threshold with an exponential tail (Pickands,
Ann. Statist. 1975) set the limit from the false-alarm budget.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.rules.columns import Column
from mimamori.rules.kernel import compiled, inlined, number, pattern
from mimamori.rules.spec import SIGNS

SLOTS = 48
EVENTS = np.array([k for k, sign in enumerate(SIGNS) if sign != "power"])  # power has a level, and no single signs
RUN_EDGES = np.array([2, 4, 7, 13, 25, 49, 97])  # quiet cells of 5 min: 10, 20, 35, 65 min, 2 h, 4 h, 8 h
RUN_PRIOR = np.array([0.5, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1, 0.1])  # hazard a cell before anything is learned
RUN_WEIGHT = 60.0
KERNEL = np.array([0.25, 0.75, 1.0, 0.75, 0.25])  # neighbouring half hours lend strength to each other
SLOT_WEIGHT = 3.0
DAY_PRIOR = np.repeat([0.25, 0.6, 1.2, 0.8], [10, 4, 28, 6])  # nights quieter: until 05:00, 07:00, 21:00, 24:00
PEAK_FROM = 1.0  # nats; quiet spells that reach it count as peaks
PEAKS_A_DAY, PEAK_MEAN = 3.0, 0.9  # prior of their rate and mean excess (1.0 if the hazards were exact)
RATE_DAYS, MEAN_PEAKS = 3.0, 4.0  # and the weights of those priors
PEAK_FADES = 0.98  # a day
LOWEST_THRESHOLD = 2.5
NEWCOMER_EXTRA, NEWCOMER_DAYS = 6.0, 7.0  # nats on top while a household is new, falling to none in a week
PEAKS_AFTER_DAYS = 3.0  # earlier peaks tell of the prior hazards, not of this household
HIGHEST_HAZARD = 0.95
ACTIVE_RATE = 1 / 40  # a week of half hours of six cells
PART = 512  # rows worked out at a time: what stays in the processor's nearest cache


def habit_columns(prefix: str) -> list[Column]:
    """Columns of the habit of one evidence rule."""
    declared = [
        Column("ended", "f2", 0, "quiet spells ended, by kind of event", (len(EVENTS), SLOTS)),
        Column("exposed", "f2", 0, "ends expected from run length alone", (SLOTS,)),
        Column("active", "f2", 0, "share of cells with a sign", (SLOTS,)),
        Column("run_ended", "f4", 0, "quiet spells ended, by run length", (len(RUN_PRIOR),)),
        Column("run_exposed", "f4", 0, "ends expected from slot of day alone", (len(RUN_PRIOR),)),
        Column("spell_exposed", "f2", 0, "as exposed, of the quiet spell not over yet", (SLOTS,)),
        Column("spell_run_exposed", "f4", 0, "as run_exposed, of the quiet spell not over yet", (len(RUN_PRIOR),)),
        Column("peaks", "f4", PEAKS_A_DAY * RATE_DAYS, "faded count"),
        Column("excess", "f4", PEAK_MEAN * MEAN_PEAKS, "nats, faded sum over PEAK_FROM"),
        Column("peak_days", "f4", RATE_DAYS, "faded days"),
        Column("peak_weight", "f4", MEAN_PEAKS, "faded count"),
        Column("peak_at", "i8", NEVER, "ns, last update of the peaks"),
        Column("threshold", "f4", 99, "nats"),
        Column("first_seen", "i8", NEVER, "ns"),
    ]
    return [Column(f"{prefix}.{c.name}", c.dtype, c.fill, c.unit, c.shape, c.axis) for c in declared]


class Habits(NamedTuple):
    """The columns of `habit_columns`, whole; the half-precision ones as their patterns."""

    ended: NDArray[np.uint16]
    exposed: NDArray[np.uint16]
    active: NDArray[np.uint16]
    run_ended: NDArray[np.float32]
    run_exposed: NDArray[np.float32]
    spell_exposed: NDArray[np.uint16]
    spell_run_exposed: NDArray[np.float32]
    peaks: NDArray[np.float32]
    excess: NDArray[np.float32]
    peak_days: NDArray[np.float32]
    peak_weight: NDArray[np.float32]
    peak_at: NDArray[np.int64]
    threshold: NDArray[np.float32]
    first_seen: NDArray[np.int64]


class Worked(NamedTuple):
    """Worked out from Habits, not state: most rows stay as they are from one cell to the next."""

    brisk: NDArray[np.float32]  # (kinds, n) how much brisker than run length alone tells this slot of day is
    base: NDArray[np.float32]  # (run lengths, n) hazard from run length alone, in a slot as brisk as any
    kinds: NDArray[np.int8]  # (n,) which kinds of sign that holds for, a bit each
    stale: NDArray[np.bool_]  # (n,) to be worked out again


def nothing_worked(rows: int) -> Worked:
    """Room for so many rows, all stale."""
    return Worked(
        np.zeros((len(SIGNS), rows), np.float32), np.zeros((len(RUN_PRIOR), rows), np.float32),
        np.zeros(rows, np.int8), np.ones(rows, np.bool_),
    )  # fmt: skip


@inlined
def run_bucket(run: int) -> int:
    """Index of a run length in cells."""
    bucket = 0
    for edge in RUN_EDGES:
        bucket += run >= edge
    return bucket


@compiled
def work_out_slot(first: int, last: int, slot: int, habits: Habits, worked: Worked) -> None:
    """`brisk` of the rows first..last for this slot of day; the kinds of sign they have are known."""
    ended, exposed = np.empty((len(EVENTS), last - first)), np.empty(last - first)
    exposed[:] = SLOT_WEIGHT
    ended[:] = 0
    for j in range(len(KERNEL)):
        s, weight = (slot + j - len(KERNEL) // 2) % SLOTS, KERNEL[j]
        row = habits.exposed[s, first:last]
        for i in range(len(row)):
            exposed[i] += weight * number(row[i])
        for e in range(len(EVENTS)):
            row, total = habits.ended[e, s, first:last], ended[e]
            for i in range(len(row)):
                total[i] += weight * number(row[i])
    prior = SLOT_WEIGHT * DAY_PRIOR[slot]
    for i in range(last - first):
        kinds = worked.kinds[first + i]
        many = max(1, kinds_in(kinds))
        for e in range(len(EVENTS)):
            has = kinds >> EVENTS[e] & 1
            worked.brisk[EVENTS[e], first + i] = has * (ended[e, i] + prior / many) / exposed[i]


@inlined
def kinds_in(kinds: int) -> int:
    """How many kinds of sign a pattern holds."""
    many = 0
    for k in range(len(SIGNS)):
        many += kinds >> k & 1
    return many


@inlined
def work_out_base(h: int, habits: Habits, worked: Worked) -> None:
    """Hazard from run length alone.

    A run length this household has hardly known is taken to fall off from the one before it as the prior does, so
    that a brisk home stays brisk.
    """
    prior = RUN_PRIOR[0]
    for b in range(len(RUN_PRIOR)):
        base = (habits.run_ended[b, h] + prior * RUN_WEIGHT) / (habits.run_exposed[b, h] + RUN_WEIGHT)
        worked.base[b, h] = base
        prior = base * (RUN_PRIOR[min(b + 1, len(RUN_PRIOR) - 1)] / RUN_PRIOR[b])


@inlined
def hazards(
    h: int, slot: int, run: int, kinds: int, habits: Habits, worked: Worked, hazard: NDArray[np.float64]
) -> float:
    """Sets the hazard (kinds of sign,) of each kind in this cell, all together at most 0.95; returns the base alone.

    slot: half hour of the local day. run: quiet cells so far. kinds: which this home has, a bit each.
    """
    if worked.stale[h] or worked.kinds[h] != kinds:
        worked.kinds[h] = kinds
        work_out_slot(h, h + 1, slot, habits, worked)
        work_out_base(h, habits, worked)
        worked.stale[h] = False
    base = np.float64(worked.base[run_bucket(run), h])
    total = 0.0
    for k in range(len(SIGNS)):
        hazard[k] = base * worked.brisk[k, h]
        total += hazard[k]
    if total > HIGHEST_HAZARD:
        for k in range(len(SIGNS)):
            hazard[k] *= HIGHEST_HAZARD / total
    return base


@inlined
def learn_activity(h: int, slot: int, sign: bool, habits: Habits) -> None:
    """The share of cells with a sign."""
    active = number(habits.active[slot, h])
    habits.active[slot, h] = pattern(active + ACTIVE_RATE * (sign - active))


@inlined
def learn_quiet_cell(h: int, slot: int, run: int, base: float, hazard: float, habits: Habits) -> None:
    """A cell after `run` >= 1 quiet ones; hazard: of all kinds together.

    Each factor's exposure is weighted with the other one (proportional hazards fitted in turns): the night, when
    no hazard is expected, does not make a long quiet usual at noon. What is exposed waits for `end_spell`.
    """
    habits.spell_exposed[slot, h] = pattern(number(habits.spell_exposed[slot, h]) + base)
    habits.spell_run_exposed[run_bucket(run), h] += hazard / base


@inlined
def learn_end(h: int, slot: int, run: int, signs: int, habits: Habits, worked: Worked) -> None:
    """Signs of those kinds (a bit each) ended a quiet spell of `run` cells."""
    share = 1.0 / kinds_in(signs)
    for e in range(len(EVENTS)):
        if signs >> EVENTS[e] & 1:
            habits.ended[e, slot, h] = pattern(number(habits.ended[e, slot, h]) + share)
    habits.run_ended[run_bucket(run), h] += 1
    worked.stale[h] = True


@inlined
def end_spell(h: int, slot: int, slots: int, habits: Habits, worked: Worked) -> None:
    """A quiet spell is over: only now is its exposure learned, lest silence excuse itself.

    It lay in this slot and the `slots` before it.
    """
    for back in range(min(slots + 1, SLOTS)):
        s = (slot - back) % SLOTS
        if habits.spell_exposed[s, h] != 0:
            habits.exposed[s, h] = pattern(number(habits.exposed[s, h]) + number(habits.spell_exposed[s, h]))
            habits.spell_exposed[s, h] = 0
    for b in range(len(RUN_PRIOR)):
        habits.run_exposed[b, h] += habits.spell_run_exposed[b, h]
        habits.spell_run_exposed[b, h] = 0
    worked.stale[h] = True


@compiled
def fade(rows: int, slot: int, keep: float, habits: Habits, worked: Worked) -> None:
    """Once a day for each slot, before its first cell: forget a little."""
    for h in range(rows):
        habits.exposed[slot, h] = pattern(keep * number(habits.exposed[slot, h]))
    for e in range(len(EVENTS)):
        for h in range(rows):
            habits.ended[e, slot, h] = pattern(keep * number(habits.ended[e, slot, h]))
    if slot == 0:
        for b in range(len(RUN_PRIOR)):
            for h in range(rows):
                habits.run_ended[b, h] *= np.float32(keep)
                habits.run_exposed[b, h] *= np.float32(keep)
        worked.stale[:rows] = True


@compiled
def begin_slot(rows: int, slot: int, habits: Habits, worked: Worked) -> None:
    """Another slot of day: work it out for all rows."""
    for first in range(0, rows, PART):
        work_out_slot(first, min(first + PART, rows), slot, habits, worked)


@inlined
def record_peak(h: int, peak: float, now: int, budget: float, habits: Habits) -> None:
    """A quiet spell ended at evidence `peak` (nats): mends the threshold.

    A peak counts at most as the threshold itself, so that a holiday does not raise later thresholds.
    """
    before = habits.peak_at[h]
    days = 0.0 if before == NEVER else (now - before) / DAY
    kept = PEAK_FADES**days
    age = (now - habits.first_seen[h]) / DAY
    held = min(peak, np.float64(habits.threshold[h]) - newcomer_extra(age))
    learns = age >= PEAKS_AFTER_DAYS
    counted = learns and held > PEAK_FROM
    habits.peaks[h] = habits.peaks[h] * kept + counted
    habits.excess[h] = habits.excess[h] * kept + (held - PEAK_FROM if counted else 0.0)
    habits.peak_days[h] = habits.peak_days[h] * kept + (days if learns else 0.0)
    habits.peak_weight[h] = habits.peak_weight[h] * kept + counted
    habits.peak_at[h] = now
    set_threshold(h, now, budget, habits)


@inlined
def set_threshold(h: int, now: int, budget: float, habits: Habits) -> None:
    """Threshold (nats) at which this household's own quiet would be a false alarm as often as the budget allows.

    budget: a day.
    """
    rate = np.float64(habits.peaks[h]) / habits.peak_days[h]
    mean = np.float64(habits.excess[h]) / habits.peak_weight[h]
    usual = PEAK_FROM + mean * math.log(max(rate / budget, 1.01))
    habits.threshold[h] = max(usual, LOWEST_THRESHOLD) + newcomer_extra((now - habits.first_seen[h]) / DAY)


@inlined
def beyond(h: int, times: float, habits: Habits) -> float:
    """Nats above the threshold that this household's own quiet reaches so many times more seldom."""
    nats: float = np.float64(habits.excess[h]) / habits.peak_weight[h] * math.log(times)
    return nats


@inlined
def newcomer_extra(age: float) -> float:
    """Nats on top of the threshold of a household known for `age` days."""
    return NEWCOMER_EXTRA * max(0.0, 1 - age / NEWCOMER_DAYS)


def slot_of(local: int) -> int:
    """Half hour of the local day, 0..47, of local nanoseconds."""
    return int(local % DAY // (HOUR // 2))
