"""The one order in which readings of a cell are folded in, however they came: a compiled bucket sort by household.

May import numpy and rules.kernel. A sort of packed keys by numpy takes several times as long. Readings are packed into
records first: in a large batch those of one household lie far apart, and five columns would be fetched from afar.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.rules.kernel import Block, compiled

SHORT = 24  # readings of a household; more are sorted by their key first
SPAN = 47  # bits of a key for the time, 39 hours; what lies beyond them is told apart by the time itself
MIDDLE = 1 << (SPAN - 1)
WHO, KEY, VALUE, TAKEN = range(4)
"""Words of a record: household and device row, half a word each; metric and time about the end of the cell; the value's
bits; when it was taken."""

Records = NDArray[np.int64]


@compiled
def by_household(block: Block, begin: int, end: int, at: int, homes: int) -> Records:
    """Records (rows, 4) of rows begin..end by household, those of one in the order in which they came.

    at: end of the cell, ns. homes: how many.
    """
    home, device, metric, taken = block.home, block.device, block.metric, block.taken
    value = block.value.view(np.int64)
    place = np.zeros(homes + 1, np.int32)  # where the next reading of a household goes
    for i in range(begin, end):
        place[home[i] + 1] += 1
    for h in range(homes):
        place[h + 1] += place[h]
    records = np.empty((end - begin, 4), np.int64)
    for i in range(begin, end):
        to = place[home[i]]
        place[home[i]] += 1
        records[to, WHO] = np.int64(home[i]) << 32 | np.int64(device[i])
        records[to, KEY] = (np.int64(metric[i]) << SPAN) + min(max(taken[i] - at + MIDDLE, 0), 2 * MIDDLE - 1)
        records[to, VALUE] = value[i]
        records[to, TAKEN] = taken[i]
    return records


@compiled
def in_order(records: Records) -> Block:
    """The readings by household, metric, taken, value, device. records: as `by_household` gives them, not changed.

    Value before device: of two devices that tell different things at once, rows must not decide.
    """
    n = len(records)
    rows, keys = np.arange(n), np.empty(n, np.int64)
    begin = 0
    while begin < n:
        end = begin
        while end < n and records[end, WHO] >> 32 == records[begin, WHO] >> 32:
            keys[end] = records[end, KEY]
            end += 1
        if end - begin > SHORT:
            order = np.argsort(keys[begin:end])
            rows[begin:end] = begin + order
            keys[begin:end] = keys[begin:end][order]
        for k in range(begin + 1, end):  # insertion: mostly they came in order
            row, key, j = rows[k], keys[k], k
            while j > begin and (keys[j - 1] > key or (keys[j - 1] == key and _after(rows[j - 1], row, records))):
                rows[j], keys[j] = rows[j - 1], keys[j - 1]
                j -= 1
            rows[j], keys[j] = row, key
        begin = end
    home, device, metric = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int16)
    value, taken = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        row = rows[i]
        home[i] = records[row, WHO] >> 32
        device[i] = records[row, WHO] & 0xFFFFFFFF
        metric[i] = keys[i] >> SPAN
        value[i] = records[row, VALUE]
        taken[i] = records[row, TAKEN]
    return Block(home, device, metric, value.view(np.float64), taken)


@compiled
def _after(one: int, other: int, records: Records) -> bool:
    """Whether a record comes after another of the same key."""
    values = records.view(np.float64)
    mine = (records[one, TAKEN], values[one, VALUE], records[one, WHO])
    return mine > (records[other, TAKEN], values[other, VALUE], records[other, WHO])
