"""Half precision in machine code, and when kept machine code is out of date."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numba.core.dispatcher
import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, no_readings
from mimamori.model.times import MINUTE, parse_instant
from mimamori.rules.engine import Engine
from mimamori.rules.kernel import compiled, made_of, number, pattern
from mimamori.site import load_site


def test_half_precision_patterns_are_as_numpys() -> None:
    every = np.arange(65536).astype(np.uint16)
    halves = every.view(np.float16)
    finite = np.isfinite(halves)
    told = np.array([number(p) for p in every[finite]], np.float32)
    assert (told == halves[finite].astype(np.float32)).all()
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [rng.normal(size=20_000) * 10 ** rng.uniform(-9, 4, 20_000), told, np.diff(told) / 2 + told[:-1]]
    )
    values = values[np.abs(values) < 65_500].astype(np.float32)
    assert [pattern(v) for v in values] == values.astype(np.float16).view(np.uint16).tolist()


def test_machine_code_is_known_by_all_that_went_into_it() -> None:
    def source(rate: float, step: str) -> str:
        names: dict[str, Any] = {"compiled": compiled, "RATE": rate}
        exec(f"def inner(x):\n    return {step}\n", names)
        names["inner"] = compiled(names["inner"])
        exec("def outer(x):\n    return RATE * inner(x)\n", names)
        return made_of(names["outer"])

    assert source(2.0, "x + 1") == source(2.0, "x + 1")
    assert len({source(2.0, "x + 1"), source(3.0, "x + 1"), source(2.0, "x + 2")}) == 3


MODULE = """
from typing import NamedTuple
import numpy as np
from mimamori.rules.kernel import compiled
class {bundle}(NamedTuple):
    rows: np.ndarray
@compiled
def count(b):
    return b.rows.sum() + {more}
def ask():
    return count({bundle}(np.ones(3)))
"""
UPPER = """
from mimamori.rules.kernel import compiled
import below
@compiled
def ask():
    return _part()
STEP = below.step
@compiled
def _part():
    return STEP()
"""
BELOW = """
from mimamori.rules.kernel import compiled
@compiled
def step():
    return {more}
"""
GIVEN = """
import given
from mimamori.rules.kernel import compiled
@compiled
def take(every: given.Outer) -> float:
    return every.bundle.least
def ask():
    return take(given.Outer(given.Bundle(**dict(least=1.0, most=2.0))))
"""
BUNDLES = """
from __future__ import annotations
from typing import NamedTuple
class Bundle(NamedTuple):
    {first}: float
    {second}: float
class Outer(NamedTuple):
    bundle: Bundle
"""


class Files:
    """Modules that are edited, a minute apart: Python takes two edits of one second and one length for one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._edited = folder, count(start=1_800_000_000, step=60)
        self.loaded: set[str] = set()

    def edit(self, name: str, text: str) -> None:
        file = self._folder / f"{name}.py"
        file.write_text(text)
        os.utime(file, (at := next(self._edited), at))

    def load(self, name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, self._folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        self.loaded.add(name)
        spec.loader.exec_module(module)
        return module


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    made = Files(tmp_path)
    yield made
    for name in made.loaded:
        del sys.modules[name]


def test_machine_code_of_a_version_before_is_passed_over(files: Files) -> None:
    def ask(bundle: str, more: int) -> float:
        files.edit("of_a_version", MODULE.format(bundle=bundle, more=more))
        told: float = files.load("of_a_version").ask()
        return told

    assert [ask("Kept", 1), ask("Kept", 2), ask("Named", 2), ask("Named", 3)] == [4, 5, 5, 6]


def test_machine_code_is_made_anew_when_another_file_was_edited_that_a_part_further_down_calls(files: Files) -> None:
    def ask(more: int) -> int:
        files.edit("below", BELOW.format(more=more))
        files.load("below")
        told: int = files.load("above").ask()
        return told

    files.edit("above", UPPER)
    assert [ask(1), ask(2)] == [1, 2]


def test_machine_code_is_made_anew_when_fields_of_a_bundle_change_places_in_another_file(files: Files) -> None:
    def ask(first: str, second: str) -> float:
        files.edit("given", BUNDLES.format(first=first, second=second))
        files.load("given")
        told: float = files.load("taker").ask()
        return told

    files.edit("taker", GIVEN)
    assert [ask("least", "most"), ask("most", "least")] == [1.0, 1.0]


def test_no_function_is_typed_anew_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bundles of one name and the same columns are one to numba's table of calls, and neither then fits."""
    typed: Counter[str] = Counter()
    of_numba = numba.core.dispatcher._DispatcherBase
    type_anew = of_numba._compile_for_args

    def counted(self: Any, *values: Any, **named: Any) -> Any:
        typed[f"{self.py_func.__module__}.{self.py_func.__name__}"] += 1
        return type_anew(self, *values, **named)

    monkeypatch.setattr(of_numba, "_compile_for_args", counted)
    site, homes = load_site(Path(__file__).parents[2]), Homes()
    for device in ("bed-sensor", "gateway", "motion-sensor"):
        homes.add_device("H001", device, device)
    engine, begin = Engine(homes, site.rules, site.metrics, site.zone), parse_instant("2026-11-23T06:00:00+09:00")
    one = np.zeros(1, np.int32)
    at = np.array([begin])
    here = ReadingBatch(
        home=one, device=one, metric=one.astype(np.int16) + site.metrics.index("in_bed"), value=np.ones(1),
        taken=at, got=at, flags=np.zeros(1, np.uint8),
    )  # fmt: skip
    engine.step(here, begin + MINUTE)
    engine.step(no_readings(), begin + 30 * MINUTE)
    assert {name: n for name, n in typed.items() if n > 5} == {}
