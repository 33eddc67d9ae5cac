"""The one order in which readings of a cell are folded in, however they came: a compiled bucket sort by household.

May import numpy and rules.kernel. A sort of packed keys by numpy takes several times as long.
"""

from __future__ import annotations

import numpy as np

from mimamori.rules.kernel import Block, Rows, compiled

SHORT = 24  # readings of a household; more are sorted by their key first
SPAN = 55  # bits of a key for the time; beyond that insertion has more to do


@compiled
def by_household(block: Block, begin: int, end: int, homes: int) -> Rows:
    """Rows begin..end of the block by household, those of one in the order in which they came. homes: how many."""
    home = block.home
    place = np.zeros(homes + 1, np.intp)  # where the next reading of a household goes
    for i in range(begin, end):
        place[home[i] + 1] += 1
    for h in range(homes):
        place[h + 1] += place[h]
    rows = np.empty(end - begin, np.intp)
    for i in range(begin, end):
        rows[place[home[i]]] = i
        place[home[i]] += 1
    return rows


@compiled
def sort_within(rows: Rows, block: Block) -> None:
    """Sorts the rows of each household by metric, taken, value, device in place. rows: as `by_household` gives them.

    Value before device: of two devices that tell different things at once, rows must not decide.
    """
    home, metric, taken = block.home, block.metric, block.taken
    begin = 0
    for end in range(1, len(rows) + 1):
        if end < len(rows) and home[rows[end]] == home[rows[begin]]:
            continue
        run = rows[begin:end]
        if len(run) > SHORT:
            key = (metric[run].astype(np.int64) << SPAN) + (taken[run] - taken[run].min())
            run[:] = run[np.argsort(key)]
        _insert(run, block)
        begin = end


@compiled
def _insert(rows: Rows, block: Block) -> None:
    """Insertion sort: readings of one household mostly came in order."""
    device, metric, value, taken = block.device, block.metric, block.value, block.taken
    for k in range(1, len(rows)):
        i, j = rows[k], k
        key = (metric[i], taken[i], value[i], device[i])
        while j > 0:
            b = rows[j - 1]
            if (metric[b], taken[b], value[b], device[b]) <= key:
                break
            rows[j] = b
            j -= 1
        rows[j] = i
