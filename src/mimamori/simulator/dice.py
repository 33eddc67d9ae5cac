"""Chance, seeded by what it is for: the same seed, household, day and purpose give the same numbers on every run.

May import model and the compiled loops. The only place where generators are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from mimamori.model.times import MINUTE, Nanos
from mimamori.simulator.loops import arrivals, mixed, seeded


class Use(IntEnum):
    """What a generator is for. Numbers are part of the seed: never change them, only add."""

    HOMES = 0
    HOURS = 1  # when the day begins and ends
    LIFE = 2
    BED = 3
    MOTION = 4
    POWER = 5
    CLIMATE = 6
    BEATS = 7
    FAULTS = 8
    WEATHER = 9
    PLAN = 10
    DEMO = 11
    HABITS = 12
    PAUSES = 13  # of breathing


def generator(seed: int, use: Use, home: int = 0, day: int = 0) -> np.random.Generator:
    """A generator of its own for each (seed, use, home, day)."""
    words = (seed, int(use), home, day)
    if seed >> 32:
        return np.random.Generator(np.random.PCG64(words))
    known = _Seed(seeded(words))
    return np.random.Generator(np.random.PCG64(known))  # type: ignore[arg-type]  # its stubs forget ISeedSequence


class _Seed(ISeedSequence):
    """The state that a SeedSequence of numpy's would give, made sooner."""

    def __init__(self, state: NDArray[np.uint64]) -> None:
        self._state = state

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[np.uint64]:  # noqa: ARG002 - as PCG64 asks
        return self._state


class Dice:
    """Single draws in plain Python, some five times faster than a call of the generator for each."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._uniform: Iterator[float] = iter(())
        self._normal: Iterator[float] = iter(())

    def share(self) -> float:
        """Uniform in [0, 1)."""
        for value in self._uniform:
            return value
        self._uniform = iter(self._rng.random(128).tolist())
        return self.share()

    def bell(self) -> float:
        """Standard normal."""
        for value in self._normal:
            return value
        self._normal = iter(self._rng.standard_normal(128).tolist())
        return self.bell()

    def happens(self, chance: float) -> bool:
        """True with this chance."""
        return self.share() < chance

    def span(self, median: int, sigma: float = 0.45) -> int:
        """A log-normal duration in ns, at most six times its median."""
        return int(median * min(math.exp(sigma * self.bell()), 6.0))

    def around(self, middle: int, spread: int) -> int:
        """A normal time in ns, at most three spreads away."""
        return middle + int(spread * max(-3.0, min(3.0, self.bell())))

    def between(self, low: int, high: int) -> int:
        """Uniform in [low, high)."""
        return low + int(self.share() * max(high - low, 0))

    def count(self, mean: float) -> int:
        """Poisson, for small means."""
        rest, number = self.share(), 0
        term = math.exp(-mean)
        while rest > term and number < 20:
            rest -= term
            number += 1
            term *= mean / number
        return number

    def pick(self, weights: dict[str, float]) -> str:
        """A key, by weight (not all zero)."""
        rest = self.share() * sum(weights.values())
        for name, weight in weights.items():
            rest -= weight
            if rest < 0:
                return name
        return next(iter(weights))


def shares(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Uniform in [0, 1), an even number of them: those of `rng.random(shape, np.float32)`, in half the time."""
    raw = rng.bit_generator.random_raw(math.prod(shape) // 2).view(np.uint32)
    drawn = (raw >> np.uint32(8)).astype(np.float32)
    drawn *= np.float32(2**-24)
    return drawn.reshape(shape)


KNOT = 3 * MINUTE


def knots(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """(k,) standard normal: what a smooth noise goes through, one each KNOT of a stretch of `length` ns."""
    return rng.standard_normal(length // KNOT + 2)


def stream(rng: np.random.Generator, length: int, rate: float) -> Nanos:
    """(n,) ascending ns in [0, length): a Poisson stream of `rate` a ns."""
    mean = length * rate
    return np.asarray(arrivals(rng.standard_exponential(int(mean + 6 * math.sqrt(mean)) + 1), rate, length))


def bouts(rng: np.random.Generator, begin: int, length: int, share: float, mean: int) -> tuple[Nanos, Nanos]:
    """Starts and ends (each (k,) ascending) of intervals that cover about `share` of a stretch of time."""
    count = rng.poisson(length * -math.log1p(-min(share, 0.99)) / mean)
    starts = begin + (rng.random(count) * length).astype(np.int64)
    ends = starts + (rng.exponential(mean, count)).astype(np.int64)
    return np.sort(starts), np.sort(ends)


def lots(at: Nanos, salt: NDArray[np.int32] | Nanos | int, seed: int) -> NDArray[np.float64]:
    """(n,) uniform numbers in [0, 1) that hang on the moment and the salt alone, not on how many came before."""
    return np.asarray(mixed(at, np.asarray(salt, np.int64), seed))
