"""Compiled loops over readings: how they are compiled, and the arrays they are given.

May import numpy and numba. What is compiled here reads and writes nothing but its arrays, and never checks an index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

import numpy as np
from numba import njit, typeof
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Rows = NDArray[np.intp]


def compiled(function: F, **options: Any) -> F:
    """Machine code of `function`, made at first use and kept on disk: only the first start of an installation waits.

    Where no folder can be written to, it is made anew at each start. What is kept is only used while the functions and
    constants that went into it are the same: numba by itself looks at the function's own file alone.
    """
    options = {"_nrt": True} | options  # not as whoever calls it first: a `lean` one would forbid it to make arrays
    try:
        machine: Any = njit(cache=True, nogil=True, **options)(function)
        kept = machine._cache._cache_file  # noqa: SLF001 - numba is pinned
        kept._load_index = partial(_known, kept, kept._load_index, kept._source_stamp, function)  # noqa: SLF001
    except RuntimeError:  # no place for the cache
        machine = njit(nogil=True, **options)(function)
    return cast("F", machine)


def _known(
    kept: Any, load: Callable[[], dict[Any, str]], stamp: object, function: Callable[..., Any]
) -> dict[Any, str]:
    """What is kept on disk; nothing where an older version left it, whose bundles are called otherwise.

    What went into the function is looked at now, not when it is defined: a part of it may stand further down.
    """
    kept._source_stamp = (stamp, made_of(function))  # noqa: SLF001
    try:
        return load()
    except (AttributeError, ImportError):
        return {}


def lean(function: F) -> F:
    """As `compiled`, of a function that makes no arrays: then nothing counts references to those it is given.

    In a loop that looks at many columns, that counting takes many times as long as the work.
    """
    return compiled(function, _nrt=False)


def inlined(function: F) -> F:
    """A part of compiled functions, written into each that calls it: handing many columns on costs, too."""
    return compiled(function, inline="always")


def bound(function: F, *arguments: Any) -> F:
    """Machine code of `function` for arguments of just these types, which are not looked at again: that takes longer
    for dozens of columns than a thousand households take. Whoever calls it with others reads memory that is not theirs.
    """
    machine = cast("Any", function)
    return cast("F", machine.compile(tuple(typeof(argument) for argument in arguments)))  # type: ignore[no-untyped-call]


def made_of(function: Callable[..., Any]) -> str:
    """Digest of a function's code and of the functions, constants and bundles of ours that it names or is given."""
    digest = hashlib.sha256(function.__code__.co_code)
    digest.update(repr(function.__code__.co_consts).encode())
    for bundle in get_type_hints(function).values():
        digest.update(_fields(bundle).encode())
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        inner = getattr(value, "py_func", None)
        digest.update(f"{name}={made_of(inner) if inner else _constant(value)};".encode())
    return digest.hexdigest()


def _fields(bundle: Any) -> str:
    """What stands where in a bundle, and in those within it: machine code knows a field by its place alone."""
    if not hasattr(bundle, "_fields"):
        return ""
    return ",".join(f"{name}({_fields(held)})" for name, held in get_type_hints(bundle).items())


def _constant(value: object) -> str:
    if isinstance(value, type):
        return _fields(value) or value.__name__
    return repr(value) if isinstance(value, int | float | bool | tuple | list | range | np.ndarray) else ""


@inlined
def bits_of(word: Any) -> Any:
    """How many bits of 32 are set (Warren, Hacker's Delight, 5-1)."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (((word + (word >> 4)) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24


@inlined
def number(half: Any) -> Any:
    """Value of a half-precision pattern (uint16), which must be finite: machine code has no halves of its own."""
    bits = np.int64(half)
    return np.uint32((bits & 0x7FFF) << 13 | (bits & 0x8000) << 16).view(np.float32) * np.float32(2.0**112)


@inlined
def pattern(value: Any) -> Any:
    """Half-precision pattern (uint16) nearest to a finite value of less than 65,520, ties to even, as numpy rounds."""
    bits = np.int64(np.float32(value).view(np.uint32))
    sign, bits = (bits >> 16) & 0x8000, bits & 0x7FFFFFFF
    if bits < 0x38800000:  # below the smallest normal one: the addition rounds at its last place
        small = np.float32(np.float32(np.abs(value)) + np.float32(0.5))
        return np.uint16(sign | (np.int64(np.float32(small).view(np.uint32)) - 0x3F000000))
    return np.uint16(sign | ((bits - 0x38000000 + 0xFFF + ((bits >> 13) & 1)) >> 13))


class Block(NamedTuple):
    """Readings as columns, all (n,), as in model.readings.ReadingBatch."""

    home: NDArray[np.int32]
    device: NDArray[np.int32]
    metric: NDArray[np.int16]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]


class Kinds(NamedTuple):
    """What the metrics are; the arrays are (metrics,)."""

    sign: NDArray[np.int8]  # what makes a reading a sure sign of life: rules.fold.NOTHING .. INSTANT
    channel: NDArray[np.int8]  # index in SIGNS, -1: of no kind
    place: NDArray[np.int8]  # row in the sums of the minute, -1: no rule asks
    alive: int
    power: int
    energy: int
    movement_from: float
    stir_from: float


class State(NamedTuple):
    """The shared columns of rules.latest of the same names, whole: the last axis may be longer than the rows."""

    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    minute_sum: NDArray[np.float64]
    minute_count: NDArray[np.uint16]
    minute_least: NDArray[np.float64]
    signs: NDArray[np.bool_]
    has: NDArray[np.bool_]
    last_sign: NDArray[np.int64]
    last_door: NDArray[np.int64]
    moved: NDArray[np.int64]
    stirred: NDArray[np.int64]
    out: NDArray[np.bool_]
    arrived: NDArray[np.bool_]
    lone: NDArray[np.int64]
    second: NDArray[np.int64]
    heard: NDArray[np.int64]
    spoke: NDArray[np.bool_]
    period: NDArray[np.int64]
    offline: NDArray[np.bool_]
    beats: NDArray[np.bool_]
    channel: NDArray[np.int8]
    silent: NDArray[np.bool_]
    inside: NDArray[np.int64]
    watts_sum: NDArray[np.float64]
    watts_n: NDArray[np.int32]
    register: NDArray[np.float64]
    register_at: NDArray[np.int64]
    gate: NDArray[np.int16]
    backing: NDArray[np.float32]
    backing_of: NDArray[np.float32]
    backing_at: NDArray[np.int64]
    spoken: NDArray[np.int64]  # the rest: rules.cause
    pause: NDArray[np.int64]
    beaten: NDArray[np.uint8]
    gone: NDArray[np.bool_]
    cause: NDArray[np.int8]
    gateway: NDArray[np.bool_]
