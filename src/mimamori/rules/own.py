"""Parameters that are one household's own: which set of them holds where, as one column for all rules.

May import model, rules.columns, rules.spec and rules.tune. Set 0 is the rule as it stands; the sets are configuration,
handed to the engine from outside and not part of its state: the column alone is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.rules.columns import Column, Columns
from mimamori.rules.spec import Condition, Rule
from mimamori.rules.tune import Settings, own_keys, with_settings

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


class Sets:
    """The sets of own parameters, and which of them holds in which household (row)."""

    def __init__(self) -> None:
        self._own: dict[int, dict[str, dict[str, float | str]]] = {}

    def take(self, own: Mapping[int, Mapping[str, Settings]], rules: Sequence[Rule]) -> dict[str, list[Condition]]:
        """Settings by row and rule; they replace all before. Returns each rule's condition under each set, as it
        stands first.

        Raises ValueError, and nothing has changed, where a rule does not take a setting or a bound is passed.
        """
        own = {row: held for row, held in own.items() if any(held.values())}
        named = {r.name: r for r in rules}
        sets = sorted({_canonical(held) for held in own.values()})
        if len(sets) > MOST:
            raise ValueError(f"{len(sets)} different sets of own parameters, at most {MOST}")
        each: dict[str, list[Condition]] = {name: [rule.condition] * (1 + len(sets)) for name, rule in named.items()}
        for k, held in enumerate(sets, 1):
            for name, settings in held:
                refused = [key for key, _ in settings if name not in named or key not in own_keys(named[name])]
                if refused:
                    raise ValueError(f"{name}: {refused[0]} は世帯ごとに変えられません / not for one household")
                each[name][k] = with_settings(named[name], dict(settings)).condition
        self._own = {row: {n: dict(s) for n, s in held.items()} for row, held in own.items()}
        return each

    def place(self, column: NDArray[np.uint16]) -> None:
        """Writes COLUMN: sets are numbered by what is in them, so that the order of rows changes nothing."""
        number = {s: k for k, s in enumerate(sorted({_canonical(held) for held in self._own.values()}), 1)}
        column[:] = 0
        for row, held in self._own.items():
            column[row] = number[_canonical(held)]


def _canonical(rules: Mapping[str, Settings]) -> tuple[tuple[str, tuple[tuple[str, float | str], ...]], ...]:
    return tuple(sorted((name, tuple(sorted(settings.items()))) for name, settings in rules.items() if settings))
