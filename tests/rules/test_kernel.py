"""Half precision in machine code, and when kept machine code is out of date."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimamori.rules.kernel import compiled, made_of, number, pattern


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
