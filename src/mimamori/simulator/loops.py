"""The two loops of the simulator in which each step needs the one before, compiled.

May import numpy and numba. What is compiled here reads and writes nothing but its arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    """Machine code, made at first use and kept on disk; where no folder can be written to, made anew at each start."""
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast("F", njit(nogil=True)(function))


@_compiled
def follow(target: Any, up: float, down: float) -> Any:
    """(n,) float64: a value that goes after (n,) `target` by a share of the distance a step, `up` when it is above."""
    out = np.empty(len(target))
    now = target[0]
    for i in range(len(target)):
        aim = target[i]
        now += (up if aim > now else down) * (aim - now)
        out[i] = now
    return out


@_compiled
def apart(at: Any, hold_off: int) -> Any:
    """(n,) bool: which of the (n,) ascending times are at least `hold_off` after the last one kept."""
    kept = np.zeros(len(at), np.bool_)
    last = -(2**62)
    for i in range(len(at)):
        if at[i] - last >= hold_off:
            kept[i] = True
            last = at[i]
    return kept
