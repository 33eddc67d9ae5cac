"""Parameters that are one household's own: which set of them holds where, as one column for all rules.

May import model, rules.columns and rules.spec. Set 0 is the rule as it stands; the sets are configuration, handed
to the engine from outside and not part of its state: the column alone is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.rules.columns import Column, Columns
from mimamori.rules.spec import Condition

COLUMN = Column("own", "u2", 0, "which set of own parameters, 0: none")
MOST = 65_535


class Own:
    """One rule's parameters, by household. `derive` is called again whenever the sets change."""

    def __init__(self, columns: Columns, condition: Condition) -> None:
        self._columns = columns
        self._tables: dict[str, NDArray[Any]] = {}
        self.derive: Callable[[Sequence[Condition]], None] = lambda _: None
        self.take([condition])

    def take(self, conditions: Sequence[Condition]) -> None:
        """The rule's condition under each set, that of set 0 first."""
        self._conditions = tuple(conditions)
        self._apart = np.array([c != conditions[0] for c in conditions])
        self._tables.clear()
        self.derive(self._conditions)

    def sets(self, rows: NDArray[np.intp] | slice) -> NDArray[np.uint16]:
        """(r,) the set that holds in each of these households."""
        held: NDArray[np.uint16] = self._columns["own"][rows]
        return held

    def of(self, name: str, rows: NDArray[np.intp] | slice) -> Any:
        """(r,) the parameter `name` in these households, or one number where all have the rule's."""
        if len(self._conditions) == 1:
            return getattr(self._conditions[0], name)
        if name not in self._tables:
            self._tables[name] = np.array([getattr(c, name) for c in self._conditions])
        return self._tables[name][self.sets(rows)]

    def apart(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(r,) 1 where this rule has parameters of the household's own, else 0: a fact to be told."""
        return self._apart[self.sets(rows)].astype(np.float64)
