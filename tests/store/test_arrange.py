"""A day's readings in the order of cells equal numpy's stable sort by cell, column by column."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import DAY, SECOND
from mimamori.rules.latest import cell_of
from mimamori.store.arrange import in_cells

BEGIN, CELL = 20_000 * DAY, 10 * SECOND


def test_rows_stand_by_the_cell_they_came_in_and_keep_their_order_within_it() -> None:
    rng, n = np.random.default_rng(5), 20_000
    got = BEGIN + rng.integers(0, 8640, n) * CELL + rng.choice([0, 1, 3 * SECOND, CELL - 1], n)
    rows = ReadingBatch(
        home=rng.integers(0, 2**31, n).astype(np.int32), device=rng.integers(0, 2**31, n).astype(np.int32),
        metric=rng.integers(0, 2**15, n).astype(np.int16), value=rng.normal(0, 1e9, n),
        taken=got - rng.integers(0, DAY, n), got=got, flags=rng.integers(0, 256, n).astype(np.uint8),
    )  # fmt: skip
    found = in_cells(rows, BEGIN, CELL, DAY // CELL)
    wanted = rows.take(np.argsort(cell_of(got), kind="stable"))
    for field in fields(rows):
        assert getattr(found, field.name).tolist() == getattr(wanted, field.name).tolist(), field.name
    assert (np.diff(cell_of(found.got)) >= 0).all()
