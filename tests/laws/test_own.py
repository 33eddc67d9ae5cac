"""Parameters of one household: it is judged as if the rule were written so, and the others as if it were not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mimamori.rules.tune import own_keys, with_settings

KINDS = ("band", "away", "rise", "climate", "count")
Make = Callable[..., Any]


@pytest.mark.parametrize("kind", KINDS)
def test_own_parameters_equal_a_rule_written_so(
    kind: str, invent: Make, start: Make, rule_sets: dict[str, tuple[Any, ...]]
) -> None:
    rules = rule_sets[kind]
    written = tuple(with_settings(r, {k: r.bounds[k][0] for k in own_keys(r)}) for r in rules)
    assert written != rules
    told = 0
    for seed in (3, 4):
        stream = invent(seed, hours=20)
        apart, plain, changed = (start(stream, r) for r in (rules, rules, written))
        plain.engine.set_own({})
        changed.engine.set_own({})
        mine, others, all_changed = (
            [_told(run, line) for line in run.upto(stream.end).lines()] for run in (apart, plain, changed)
        )
        assert _of(mine, first=True) == _of(all_changed, first=True)
        assert _of(mine, first=False) == _of(others, first=False)
        told += _of(mine, first=True) != _of(others, first=True)
    assert told  # they made a difference


def _of(lines: list[tuple[Any, ...]], *, first: bool) -> list[tuple[Any, ...]]:
    return [line for line in lines if (line[2] == "A-00") is first]


def _told(run: Any, line: tuple[Any, ...]) -> tuple[Any, ...]:
    """A line without its fact `own`, which alone says by whose parameters it was judged."""
    facts = np.frombuffer(line[-1]).copy()
    facts[run.engine.detectors[line[1]].facts.index("own")] = 0
    return (*line[:-1], facts.tobytes())


def test_what_does_not_fit_is_refused_and_changes_nothing(
    invent: Make, start: Make, rule_sets: dict[str, tuple[Any, ...]]
) -> None:
    run = start(invent(3, hours=9), rule_sets["all"])
    before = run.engine.view("own").tolist()
    assert before[0] == 1
    for bad in (
        {"heart-rate": {"low.high": 20}}, {"heart-rate": {"hold": "5m"}}, {"inactivity": {"at_most": "24h"}},
        {"bed-exit": {"longest_limit": 45}}, {"no-such-rule": {"low.high": 40}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(bad))):
            run.engine.set_own({0: {"heart-rate": {"low.high": 45}}, 1: bad})
        assert run.engine.view("own").tolist() == before
