"""Which vital signs count: a cheap sensor reports a pulse from an empty room, so each device model says what backs it.

May import numpy, model and rules.kernel. The gate is told by the device's profile; a device without one is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.metrics import Metrics
from mimamori.model.times import NEVER
from mimamori.rules.kernel import Block, State, compiled, inlined, lean


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """When the `metrics` of devices of `profile` count.

    by: the metric that backs them, of the same device. share 0: one value of at least `at_least` within the last
    `within` (ns), and a state for as long as it holds. share above 0: that share of the values was, older ones fading
    to a third after each `within`; and the last is no older than that.
    """

    profile: str
    metrics: tuple[str, ...]
    by: str
    at_least: float
    share: float
    within: int


class Gates(NamedTuple):
    """Gates as arrays, (k,) each, guards (k, metrics); row 0 is no gate."""

    by: NDArray[np.int16]
    holds: NDArray[np.bool_]  # `by` is a state
    at_least: NDArray[np.float64]
    share: NDArray[np.float64]
    within: NDArray[np.int64]
    guards: NDArray[np.bool_]


def as_arrays(gates: Sequence[Gate], metrics: Metrics) -> Gates:
    """Raises KeyError for a metric that is not in the table."""
    by = [-1, *(metrics.index(g.by) for g in gates)]
    guards = np.zeros((len(by), len(metrics)), bool)
    for row, gate in enumerate(gates, 1):
        guards[row, [metrics.index(m) for m in gate.metrics]] = True
    return Gates(
        by=np.array(by, np.int16), holds=np.array([m >= 0 and metrics[m].nature == "state" for m in by]),
        at_least=np.array([0, *(g.at_least for g in gates)], np.float64),
        share=np.array([0, *(g.share for g in gates)], np.float64),
        within=np.array([1, *(g.within for g in gates)], np.int64), guards=guards,
    )  # fmt: skip


@compiled
def backed(told: Block, gates: Gates, state: State) -> NDArray[np.bool_]:
    """(n,) whether each reading of a cell counts; empty where no gate is known, and all do.

    told: sorted by household, metric and time. What backs is looked at before what needs it, wherever in the cell it
    lies: which message of one moment comes first is chance.
    """
    if len(gates.by) == 1:
        return np.empty(0, np.bool_)
    counts = np.ones(len(told.device), np.bool_)
    _look(told, gates, state, counts)
    return counts


@lean
def _look(told: Block, gates: Gates, state: State, counts: NDArray[np.bool_]) -> None:
    for i in range(len(counts)):
        device = told.device[i]
        g = state.gate[device]
        if g > 0 and gates.by[g] == told.metric[i]:
            _observe(device, told.value[i] >= gates.at_least[g], told.taken[i], g, gates, state)
    for i in range(len(counts)):
        device = told.device[i]
        g = state.gate[device]
        if g > 0 and gates.guards[g, told.metric[i]]:
            counts[i] = _is_backed(device, told.taken[i], g, gates, state)


@inlined
def _observe(device: int, enough: bool, taken: int, g: int, gates: Gates, state: State) -> None:  # noqa: FBT001, PLR0917
    before = state.backing_at[device]
    if gates.share[g] > 0:
        kept = 0.0 if before == NEVER else np.exp(-max(taken - before, 0) / gates.within[g])
        state.backing[device] = state.backing[device] * kept + (1.0 if enough else 0.0)
        state.backing_of[device] = state.backing_of[device] * kept + 1.0
        state.backing_at[device] = max(before, taken)
    else:
        if enough or (gates.holds[g] and state.backing[device] > 0):
            state.backing_at[device] = max(before, taken)
        state.backing[device] = 1.0 if enough else 0.0


@inlined
def _is_backed(device: int, taken: int, g: int, gates: Gates, state: State) -> bool:
    at, backing, counts = state.backing_at[device], state.backing[device], False
    if at != NEVER:
        recent = taken - at <= gates.within[g]
        if gates.share[g] > 0:
            counts = backing >= gates.share[g] * state.backing_of[device] and recent
        else:
            counts = recent or (gates.holds[g] and backing > 0)
    return counts
