"""The one loop over readings: folds sorted cells into the shared columns, compiled to machine code.

May import numpy, model.times, rules.backing, rules.kernel and rules.order. Reads and writes nothing but the arrays it
is given.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND
from mimamori.rules.backing import Gates, backed
from mimamori.rules.kernel import Block, Kinds, Rows, State, compiled
from mimamori.rules.order import WHO, Records, by_household, in_order

PASSAGE = 10 * MINUTE  # door events closer than this may be one going out or coming in: opened, and closed at last
SETTLES = 20 * SECOND  # after the door: a swinging door, a draught or a slow sensor is nobody inside by itself
LONE_WINDOW = HOUR  # three signs of life within it, apart, end an outing; fewer may be phantoms or a chattering mat
LONE_APART = 5 * MINUTE
AT_THE_DOOR, NEAR_APART = 10 * MINUTE, MINUTE  # so soon after the door two signs do: somebody called, and left
PERIOD_FADES = 0.02  # a device's longest pause is remembered for fifty times its length
MOST = 255  # that a column of one byte can count
NOTHING, DOOR, MOVEMENT, STATE, INSTANT = range(5)  # what makes a reading of a metric a sure sign of life

PART = 4096  # readings folded in at a time, of whole households: what stays in the processor's cache

# Arrays are local names in the loops: taking one out of a tuple counts references, which costs more than the work.


@compiled
def fold(  # noqa: PLR0917
    block: Block, begin: int, ends: Rows, at: NDArray[np.int64], kinds: Kinds, gates: Gates, state: State
) -> None:
    """Fold cells in, one after the other. Rows must lie within the columns: nothing here checks them.

    ends, at: (cells,), the row behind each cell, the first of which is `begin`, and its end in ns.
    """
    homes = block.home[begin : ends[-1]].max() + 1
    for cell in range(len(ends)):
        records = by_household(block, begin, ends[cell], at[cell], homes)
        first, last = 0, 0
        while first < len(records):
            last = min(first + PART, len(records))
            while last < len(records) and records[last, WHO] >> 32 == records[last - 1, WHO] >> 32:
                last += 1
            _fold_part(records[first:last], at[cell], kinds, gates, state)
            first = last
        begin = ends[cell]


@compiled
def cells_of(got: NDArray[np.int64], cell: int) -> tuple[Rows, NDArray[np.int64], bool]:
    """(ends, at, in order) of cells of that length in ns, as `fold` takes them; in order: each after the one before.

    A reading got in (at - cell, at] is of the cell that ends `at`.
    """
    n, last, ordered = 0, NEVER, True
    for i in range(len(got)):
        if got[i] > last or got[i] <= last - cell:
            ordered = ordered and got[i] > last
            last = -(-got[i] // cell) * cell
            n += 1
    ends, at = np.empty(n, np.intp), np.empty(n, np.int64)
    n, last = 0, NEVER
    for i in range(len(got)):
        if got[i] > last or got[i] <= last - cell:
            last = -(-got[i] // cell) * cell
            at[n] = last
            n += 1
        ends[n - 1] = i + 1
    return ends, at, ordered


@compiled
def _fold_part(records: Records, at: int, kinds: Kinds, gates: Gates, state: State) -> None:
    told = in_order(records)
    _speak(told, kinds, state)
    _hear(told, kinds, state, at)
    signs = _signs(told, kinds, state)
    _keep(told, backed(told, gates, state), kinds, state)
    _draw(told, kinds, state)
    if len(signs):
        _live(signs, told, kinds, state)


@compiled
def _speak(told: Block, kinds: Kinds, state: State) -> None:
    """Whoever speaks is not offline, unless the broker's will is among the words of this cell."""
    device, metric, value, home = told.device, told.metric, told.value, told.home
    fresh, spoke, offline, beats = state.fresh, state.spoke, state.offline, state.beats
    gone, gateway, beaten = state.gone, state.gateway, state.beaten
    heartbeats = False
    for i in range(len(told.home)):
        fresh[home[i]] = True
        spoke[device[i]] = True
        offline[device[i]] = False
        if metric[i] == kinds.alive:
            heartbeats = True
        else:
            gone[home[i]] = False
    if not heartbeats:
        return
    for i in range(len(told.home)):
        if metric[i] == kinds.alive and value[i] > 0:
            beats[device[i]] = True
            beaten[home[i]] += beaten[home[i]] < MOST
            gone[home[i]] = False
    for i in range(len(told.home)):
        if metric[i] == kinds.alive and value[i] == 0:
            offline[device[i]] = True
            gone[home[i]] = gone[home[i]] or gateway[device[i]]


@compiled
def _hear(told: Block, kinds: Kinds, state: State, at: int) -> None:
    """A device with a heartbeat is judged by its beats: its other messages say that it lives, not how often."""
    device, metric, value, alive = told.device, told.metric, told.value, kinds.alive
    heard, period, silent, beats = state.heard, state.period, state.silent, state.beats
    home, spoken, longest, cause = told.home, state.spoken, state.pause, state.cause
    for i in range(len(told.home)):
        who, where = device[i], home[i]
        before = heard[who]
        if before == at or (metric[i] == alive and value[i] == 0):  # heard in this cell before, or its will
            continue
        if before != NEVER and not (silent[who] and beats[who]):
            pause = at - before
            period[who] = max(pause, period[who] - np.int64(pause * PERIOD_FADES))
        heard[who] = at
        if spoken[where] == at:
            continue
        if spoken[where] != NEVER and cause[where] == 0:  # else it was cut off: no pause of its own
            pause = at - spoken[where]
            longest[where] = max(pause, longest[where] - np.int64(pause * PERIOD_FADES))
        spoken[where] = at


@compiled
def _signs(told: Block, kinds: Kinds, state: State) -> Rows:
    """Which rows are a sure sign of life. A state is one when it differs from the one of the cell before."""
    home, device, metric, value, taken = told.home, told.device, told.metric, told.value, told.taken
    sign, channels = kinds.sign, kinds.channel
    movement_from, stir_from = kinds.movement_from, kinds.stir_from
    has, channel, moved, stirred, last, seen, old = (
        state.has, state.channel, state.moved, state.stirred, state.last_sign, state.signs, state.value,
    )  # fmt: skip
    found, n = np.empty(len(told.home), np.intp), 0
    for i in range(len(told.home)):
        h, m = home[i], metric[i]
        if channels[m] < 0:
            continue
        has[channels[m], h] = True
        channel[device[i]] = channels[m]
        alive = sign[m] == DOOR or (sign[m] == INSTANT and value[i] > 0)
        if sign[m] == MOVEMENT and value[i] >= stir_from:
            stirred[h] = max(stirred[h], taken[i])
            if value[i] >= movement_from:
                alive = True
                moved[h] = max(moved[h], taken[i])
        elif sign[m] == STATE:
            alive = not np.isnan(old[m, h]) and value[i] != old[m, h]
        if alive:
            seen[channels[m], h] = True
            last[h] = max(last[h], taken[i])
            found[n] = i
            n += 1
    return found[:n]


@compiled
def _keep(told: Block, counts: NDArray[np.bool_], kinds: Kinds, state: State) -> None:
    """The newest value of each household, and the sums of the minute. Rows come in order of time.

    counts: (n,) which to take; empty: all.
    """
    home, metric, value, taken, place = told.home, told.metric, told.value, told.taken, kinds.place
    newest, newest_at, count, total = state.value, state.taken, state.minute_count, state.minute_sum
    least = state.minute_least
    for i in range(len(told.home)):
        if len(counts) and not counts[i]:
            continue
        h, m = home[i], metric[i]
        newest[m, h] = value[i]
        newest_at[m, h] = max(newest_at[m, h], taken[i])
        p = place[m]
        if p >= 0:
            least[p, h] = value[i] if count[p, h] == 0 else min(least[p, h], value[i])
            count[p, h] += 1
            total[p, h] += value[i]


@compiled
def _draw(told: Block, kinds: Kinds, state: State) -> None:
    """Power of the half hour by device; a register tells its mean since its value of at least a minute before.

    A register that falls was reset, and tells nothing.
    """
    device, metric, value, taken = told.device, told.metric, told.value, told.taken
    watts, n, register, register_at = state.watts_sum, state.watts_n, state.register, state.register_at
    for i in range(len(told.home)):
        d = device[i]
        if metric[i] == kinds.power:
            watts[d] += value[i]
            n[d] += 1
        elif metric[i] == kinds.energy:
            if register_at[d] != NEVER and value[i] >= register[d]:
                span = taken[i] - register_at[d]
                if span < MINUTE:
                    continue
                watts[d] += (value[i] - register[d]) * (HOUR / span)
                n[d] += 1
            register[d] = value[i]
            register_at[d] = taken[i]


@compiled
def _live(signs: Rows, told: Block, kinds: Kinds, state: State) -> None:
    """Sure signs of life of one cell, by household and metric; the door before all others."""
    home, taken, metric, out, last_door = told.home, told.taken, told.metric, state.out, state.last_door
    inside, found = np.empty(len(signs), np.intp), 0
    for part, i in enumerate(signs):
        last = part + 1 == len(signs) or home[signs[part + 1]] != home[i] or metric[signs[part + 1]] != metric[i]
        if last and kinds.sign[metric[i]] == DOOR:
            _pass(state, home[i], taken[i])
    for i in signs:
        h = home[i]
        if out[h] and kinds.sign[metric[i]] != DOOR and (last_door[h] == NEVER or taken[i] > last_door[h]):
            inside[found] = i
            found += 1
    inside = inside[:found]
    begin = 0
    for end in range(1, found + 1):
        if end == found or home[inside[end]] != home[inside[begin]]:
            _come_back(told, state, inside[begin:end])
            begin = end


@compiled
def _pass(state: State, home: int, taken: int) -> None:
    """Somebody went through the door: whoever was in is out, and whoever was out may have come home."""
    before = state.last_door[home]
    if before == NEVER or taken - before >= PASSAGE:
        state.arrived[home] = state.out[home] and not state.arrived[home]
    state.last_door[home] = max(before, taken)
    state.out[home] = True
    state.lone[home] = state.second[home] = NEVER


@compiled
def _come_back(told: Block, state: State, signs: Rows) -> None:
    """End an outing: one sign if the door has just ended it; soon after it two, of two devices or a minute apart; else
    two, of two devices or five minutes apart, and a third at least a minute later. What the first seconds after the
    door tell ends nothing, but may be the first of two: whoever stays in is seen in the hall, and then beyond it.

    signs: rows of `told`, of one household.
    """
    home = told.home[signs[0]]
    newest, lowest, highest = NEVER, told.device[signs[0]], told.device[signs[0]]
    for i in signs:
        newest = max(newest, told.taken[i])
        lowest, highest = min(lowest, told.device[i]), max(highest, told.device[i])
    lone = state.lone[home]
    if newest <= state.last_door[home] + SETTLES:
        if lone == NEVER:
            _note(told, state, signs, newest)
        return
    known = lone != NEVER and newest - lone <= LONE_WINDOW
    near, second = newest - state.last_door[home] <= AT_THE_DOOR, state.second[home]
    two = lowest != highest
    if known:
        two = two or state.inside[highest] != lone or newest - lone >= (NEAR_APART if near else LONE_APART)
    third = known and second != NEVER and newest - second >= NEAR_APART
    if state.arrived[home] or third or (two and near):
        state.out[home] = False
        return
    if not known:
        second = NEVER
        _note(told, state, signs, newest)
    state.second[home] = newest if two and second == NEVER else second


@compiled
def _note(told: Block, state: State, signs: Rows, newest: int) -> None:
    """Remember a single sign, and each device that gave it: which one stands highest is chance."""
    state.lone[told.home[signs[0]]] = newest
    for i in signs:
        state.inside[told.device[i]] = newest
