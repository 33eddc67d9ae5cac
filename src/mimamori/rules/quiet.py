"""Five minutes of evidence, compiled: one loop over households, and what it does with each in plain steps.

May import model and rules. Every step is about one household, row `h` of the columns; `s` is everything it may touch.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import Level
from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.rules.cell import CELL, Cell, Devices, Everything, Kept
from mimamori.rules.changes import CLEAR, FIRING, PENDING, UNKNOWN
from mimamori.rules.habit import (
    ACTIVE_RATE,
    beyond,
    end_spell,
    hazards,
    learn_activity,
    learn_end,
    learn_quiet_cell,
    record_peak,
    set_threshold,
)  # fmt: skip
from mimamori.rules.kernel import compiled, inlined, lean, number, pattern
from mimamori.rules.latest import BED, DOOR, MOTION, POWER
from mimamori.rules.level import LEVEL_CELL, LOWEST_SUM, Shares, end_half_hour, weigh
from mimamori.rules.spec import SIGNS

WATCH_FROM = 0.6  # of the threshold: PENDING
LEFT_ON = 0.025  # chance that what was on stays on (assumed): power takes back at most -log of it
STANDS_STILL = 0.4  # chance that nothing runs today though somebody is in (assumed): power adds at most -log of it
MOSTLY = 0.5
OUT_MARGIN, OUT_FADES = 1.5, 0.98  # own longest outing times, and how much of it stays with each later outing
CALLS_FROM = DAY  # a shorter limit of an outing makes notes sooner, not calls
PARTS, BLOCK = 2, 1024  # in how many turns a cell is closed, and households on end of one: growth moves none of them
MOST = 255  # devices of a kind that are told apart
LOW = int(Level.LOW)


@compiled
def sensors(
    devices: Devices, rows: int, part: int, closes: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Shares]:
    """(everyone, speaking, wh) as in Cell, of the households of that part; wh is empty between half hours.

    It is NaN unless every meter and plug of the household has told its power in the half hour.
    """
    home, channel, silent = devices.device_home, devices.channel, devices.silent
    everyone, speaking = np.zeros((len(SIGNS), rows), np.uint8), np.zeros((len(SIGNS), rows), np.uint8)
    wh = np.zeros(rows if closes else 0)
    for d in range(len(home)):
        k, h = channel[d], home[d]
        if h // BLOCK % PARTS != part:
            continue
        if k >= 0:
            everyone[k, h] += everyone[k, h] < MOST
            speaking[k, h] += not silent[d] and speaking[k, h] < MOST
        if closes and k == POWER:
            n = devices.watts_n[d]
            wh[h] += devices.watts_sum[d] / n * (LEVEL_CELL / HOUR) if n else np.nan
    if closes:
        for h in range(rows):
            if everyone[POWER, h] == 0:
                wh[h] = np.nan
    return everyone, speaking, wh


@lean
def close(rows: int, part: int, cell: Cell, s: Everything) -> int:
    """Close the cell for the households of that part; how many, in `room.found`, changed verdict or level."""
    found, verdicts, levels, n = s.room.found, s.kept.verdict, s.kept.level, 0
    for h in range(rows):
        if h // BLOCK % PARTS != part or s.home.absence[h] != 0:  # declared away
            continue
        kinds, known = _working(h, cell, s)
        by_events, firing = kinds & ~(1 << POWER) != 0, s.kept.firing[h]
        if not (by_events or cell.closes):
            continue
        if known and s.habits.first_seen[h] == NEVER:
            s.habits.first_seen[h] = s.kept.since[h] = s.habits.peak_at[h] = cell.at
            set_threshold(h, cell.at, _budget(h, kinds, s), s.habits)
        abed = _abed(h, cell, kinds >> BED & 1 != 0, s)
        in_all_along = not (s.home.out[h] or s.kept.was_out[h] or abed)
        if by_events:
            _take_events(h, cell, kinds & ~(1 << POWER), known, abed, s)
        if cell.closes:
            _take_power(h, cell, in_all_along and s.room.working[POWER] > 0, not by_events, s)
        known = known and (by_events or not np.isnan(s.levels.edge[0, h]))
        verdict, level = _judge(h, cell, kinds, known, s)
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h] = verdict, level
            found[n] = h
            n += 1
        if cell.closes:
            alarmed = s.kept.firing[h] and not firing and not by_events
            end_half_hour(h, cell.wh[h], cell.slot, cell.day, alarmed, s.limits.sinks, s.levels)
    return n


@inlined
def _all_day(kinds: int) -> bool:
    """Watched in bed and about the home: other rules find most of what befalls somebody there, and no note is due."""
    return kinds >> BED & kinds >> MOTION & 1 != 0


@inlined
def _budget(h: int, kinds: int, s: Everything) -> float:
    """False alarms a day."""
    budget: float = s.limits.budget[s.home.own[h]] / (s.limits.with_bed if _all_day(kinds) else 1.0)
    return budget


@inlined
def _working(h: int, cell: Cell, s: Everything) -> tuple[int, bool]:
    """Kinds of sensor the home has, a bit each; whether any is not silent. Sets the share of each kind that is not.

    A silent sensor contributes nothing.
    """
    kinds, known = 0, False
    for k in range(len(SIGNS)):
        s.room.working[k] = 0.0
        if s.limits.uses[k] and s.home.has[k, h]:
            kinds |= 1 << k
            if cell.speaking[k, h]:
                s.room.working[k] = cell.speaking[k, h] / cell.everyone[k, h]
                known = True
    return kinds, known


@inlined
def _abed(h: int, cell: Cell, has: bool, s: Everything) -> bool:
    """In bed, and pulse or breath was told in this cell, and the body stirred.

    Then nothing is missing: whoever lies longer than usual is the business of the rules about rising. While the
    bed sensor is silent, whoever lies in bed at this time more often than not is taken to.
    """
    home, limits, share = s.home, s.limits, s.kept.abed
    since, works = cell.at - CELL, s.room.working[BED] > 0
    told = home.taken[limits.heart, h] > since or home.taken[limits.breath, h] > since
    abed: bool = told and home.stirred[h] > since and home.value[limits.bed, h] > 0
    if works:
        before = number(share[cell.slot, h])
        share[cell.slot, h] = pattern(before + ACTIVE_RATE * (abed - before))
    if has and not works:
        abed = number(share[cell.slot, h]) > MOSTLY
    return abed


@inlined
def _take_events(h: int, cell: Cell, kinds: int, known: bool, abed: bool, s: Everything) -> None:
    """Five minutes with or without a sign of life."""
    signs, slot, kept, habits, hazard = 0, cell.slot, s.kept, s.habits, s.room.hazard
    for k in range(len(SIGNS)):
        signs |= (s.limits.uses[k] and s.home.signs[k, h]) << k
    sign, out, was_out, run = signs != 0, s.home.out[h], kept.was_out[h], kept.run[h]
    adds = known and not (out or was_out or abed or sign)
    learns = known and not (was_out or abed or kept.firing[h]) and (sign or not out)
    if learns:
        learn_activity(h, slot, sign, habits)
    if run >= 1 and (learns or adds):
        base = hazards(h, slot, run, kinds, habits, s.worked, hazard)
        if learns:
            learn_quiet_cell(h, slot, run, base, hazard.sum(), habits)
        if learns and sign:
            learn_end(h, slot, run, signs, habits, s.worked)
        if adds:
            _add(h, slot, s)
    if run >= 1 and (sign or out):
        end_spell(h, slot, (cell.at - kept.since[h]) // LEVEL_CELL + 4, habits, s.worked)
    if run >= 1 and sign:
        record_peak(h, _total(h, kept), cell.at, _budget(h, kinds, s), habits)
    kept.run[h] += adds
    if sign or out:
        _settle(h, cell.at, signs >> DOOR & 1 != 0, s)
    kept.was_out[h] = out


@inlined
def _add(h: int, slot: int, s: Everything) -> None:
    """Nobody was seen: evidence, each kind of sensor's by its hazard and the share of it that is not silent."""
    nats, hazard, working, total = s.kept.nats, s.room.hazard, s.room.working, 0.0
    for k in range(len(SIGNS)):
        total += hazard[k] * working[k]
    if total > 0:
        a_unit = -math.log1p(-total) / total
        for k in range(len(SIGNS)):
            nats[k, h] += hazard[k] * working[k] * a_unit
    s.kept.expected[h] += number(s.habits.active[slot, h])


@inlined
def _settle(h: int, at: int, door: bool, s: Everything) -> None:
    """A sign of life, or being out, takes the sum back to zero; an outing that ends is remembered."""
    kept, out, was_out, last = s.kept, s.home.out[h], s.kept.was_out[h], s.home.last_sign[h]
    kept.nats[:, h] = 0
    s.levels.sum[h] = kept.expected[h] = kept.run[h] = 0
    if not out or door:
        kept.firing[h] = False
    kept.since[h] = max(kept.since[h], min(last, at))
    if was_out and not out:
        kept.longest_out[h] = max(last - kept.left_at[h], np.int64(kept.longest_out[h] * OUT_FADES))
    if out and not was_out:
        kept.left_at[h] = s.home.last_door[h]


@inlined
def beside_others(own: float) -> float:
    """Nats of power beside other sensors, of its own sum `own`: either way it may tell nothing, and counts no more.

    A mixture of both keeps an iron left on from outweighing a day without a step, and a mild day without heating from
    being taken for one.
    """
    if own < 0:
        return math.log(LEFT_ON + (1 - LEFT_ON) * math.exp(own))
    return -math.log(STANDS_STILL + (1 - STANDS_STILL) * math.exp(-own))


@inlined
def _take_power(h: int, cell: Cell, weighs: bool, alone: bool, s: Everything) -> None:
    """Half an hour of power.

    While an alarm stands nothing is learned, lest a long quiet become usual and end it; and a register that stands
    still is no sign of anybody.
    """
    wh, above, kept = cell.wh[h], False, s.kept
    weighs = weighs and not np.isnan(wh)
    if weighs:
        above = weigh(h, wh, 0.0 if alone else LOWEST_SUM, cell.slot, not kept.firing[h], s.levels, s.room.share)
    if s.home.last_sign[h] > cell.at - LEVEL_CELL:
        s.levels.sum[h] = 0  # this half hour had a sure sign of life
    own = np.float64(s.levels.sum[h])
    kept.nats[POWER, h] = own if alone else beside_others(own)
    if weighs and alone and wh != 0:
        if own <= 0:
            kept.firing[h] = False
        if own <= 0 or above:
            kept.since[h] = cell.at


@inlined
def _total(h: int, kept: Kept) -> float:
    """Nats; what power takes back never makes a debt."""
    total = np.float32(0)
    for k in range(len(SIGNS)):
        total += kept.nats[k, h]
    return max(np.float64(total), 0.0)


@inlined
def _judge(h: int, cell: Cell, kinds: int, known: bool, s: Everything) -> tuple[int, int]:
    """Verdict and level."""
    kept, limits, out, own = s.kept, s.limits, s.home.out[h], s.home.own[h]
    by_events, notes = kinds & ~(1 << POWER) != 0, not _all_day(kinds)
    total, threshold = _total(h, kept), s.habits.threshold[h] if by_events else s.levels.threshold[h]
    seen = known and s.habits.first_seen[h] != NEVER
    quiet, away = cell.at - kept.since[h], cell.at - s.home.last_door[h]
    longest = min(max(kept.longest_out[h] * OUT_MARGIN, limits.out_at_least[own]), limits.out_at_most[own])
    # A night away that nobody was told of is worth a word by day, not a call at night.
    calls_out = min(limits.out_high_after * max(longest, CALLS_FROM), limits.out_at_most[own])
    watched = total >= WATCH_FROM * threshold
    if seen and out:
        watched = watched or away >= longest
        kept.firing[h] = kept.firing[h] or away >= (longest if notes else calls_out)
    elif seen:
        long = not by_events or quiet >= limits.quiet_at_least
        kept.firing[h] = kept.firing[h] or (total >= threshold and long) or quiet >= limits.at_most[own]
    verdict, level = (PENDING if watched else CLEAR), 0
    if kept.firing[h]:
        if out:
            note = away < calls_out
        else:
            calls = threshold + beyond(h, limits.call_after, s.habits)
            note = by_events and kept.level[h] <= LOW and total < calls and quiet < limits.at_most[own]
        verdict, level = FIRING, LOW if note and notes else limits.priority
    return (verdict if seen else UNKNOWN), level
