"""The order in which a cell is folded in is numpy's own sort by five columns, however late a reading was taken."""

from __future__ import annotations

import numpy as np
import pytest

from mimamori.model.times import DAY, SECOND
from mimamori.rules.kernel import Block
from mimamori.rules.order import SHORT, SPAN, by_household, in_order

AT = 1_767_193_200 * SECOND


@pytest.mark.parametrize(("homes", "readings"), [(1, 0), (1, 4 * SHORT), (7, 300), (400, 900)])
@pytest.mark.parametrize("late", [3 * SECOND, 3000 * DAY])
def test_a_cell_is_sorted_as_numpy_sorts_it(homes: int, readings: int, late: int) -> None:
    rng, skipped = np.random.default_rng(readings + homes), 5
    n = readings + skipped
    home = rng.integers(0, homes, n).astype(np.int32)
    # few times and values, so that many readings differ in the last columns only, or in none
    taken = AT - rng.choice([0, 1, late, late + 1, late - 1], n)
    block = Block(
        home, (3 * home + rng.integers(0, 3, n)).astype(np.int32), rng.choice([0, 5, 300], n).astype(np.int16),
        rng.choice([-1.5, 0.0, 2.0, 80.0], n), taken,
    )  # fmt: skip
    told = in_order(by_household(block, skipped, n, AT, homes))
    rows = np.lexsort((block.device, block.value, block.taken, block.metric, block.home))
    rows = rows[rows >= skipped]
    for mine, whole in zip(told, block, strict=True):
        assert mine.dtype == whole.dtype
        assert mine.tolist() == whole[rows].tolist()
    assert late < 1 << (SPAN - 1) or late > 1 << SPAN  # times within a key's reach, and beyond
