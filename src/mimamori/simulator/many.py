"""Many households by several processes: the same batches, in the same order, as one process would make.

May import model and the simulator's pure files. Each process makes the days of its own households and leaves them in
files, since memory that processes share is short in containers; here they are put in the order of time. The number of
processes changes no bit.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR
from mimamori.simulator.days import by_household, days_between, in_steps, simulate
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.truth import TruthEvent

_WORTH = 40  # households for which a process of their own is worth its start
_AHEAD = 2  # days a process may be ahead of what was read
_COLUMNS = (("taken", "<i8"), ("value", "<f8"), ("device", "<i4"), ("metric", "<i2"))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def simulate_days(
    homes: Sequence[SimulatedHome], *, start: int, end: int, seed: int, events: Sequence[TruthEvent] = (),
    processes: int = 0,
) -> Iterator[ReadingBatch]:  # fmt: skip
    """As `simulate` with order="taken", but `got` is `taken`. processes: 0 for as many as are worth it."""
    count = (
        min(processes or processors(), max(len(homes) // _WORTH, 1)) if not processes else min(processes, len(homes))
    )
    if count <= 1:
        yield from simulate(homes, start=start, end=end, seed=seed, events=events, order="taken")
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy locks of threads that run here
    shares = np.array_split(np.arange(len(homes)), count)
    home_of = np.repeat(np.arange(len(homes)), [len(home.devices) for home in homes]).astype(np.int32)
    first_device = [int(np.searchsorted(home_of, share[0])) for share in shares]
    with TemporaryDirectory(prefix="mimamori-simulate-") as folder, ExitStack() as ended:
        lines = []
        for number, share in enumerate(shares):
            ids = {homes[i].id for i in share}
            order = _Order(
                number=number, homes=tuple(homes[i] for i in share), start=start, end=end, seed=seed,
                events=tuple(e for e in events if e.household in ids),
            )  # fmt: skip
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(order, Path(folder), theirs), daemon=True)
            worker.start()
            theirs.close()
            for then in (worker.join, worker.terminate, ours.close):  # the last one first
                ended.callback(then)
            lines.append(ours)
        days = _together(lines, first_device, home_of)
        for day, (low, high) in zip(days, days_between(start, end), strict=True):
            yield from in_steps(day, low, high, step=HOUR, order="taken")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a process is to make."""

    number: int
    homes: tuple[SimulatedHome, ...]
    start: int
    end: int
    seed: int
    events: tuple[TruthEvent, ...]


def _work(order: _Order, folder: Path, line: Connection) -> None:
    """In a process of its own: a file for each day, told by name; the other side says when it has read one."""
    days = by_household(
        order.homes, start=order.start, end=order.end, seed=order.seed, events=order.events, order="taken"
    )
    try:
        for number, batch in enumerate(days):
            if number >= _AHEAD:
                line.recv()  # one of the days before was read
            path = folder / f"{order.number}-{number}"
            with path.open("wb") as file:
                for name, kind in _COLUMNS:
                    getattr(batch, name).astype(kind, copy=False).tofile(file)
            line.send((str(path), len(batch)))
        line.send(None)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # nobody wants the rest


def _together(
    lines: Sequence[Connection], first_device: Sequence[int], home_of: NDArray[np.int32]
) -> Iterator[ReadingBatch]:
    """Each day of all processes, household by household."""
    while True:
        told = [_receive(line) for line in lines]
        if None in told:
            return
        columns = _read([t for t in told if t is not None])
        for line in lines:
            with suppress(BrokenPipeError, ConnectionResetError):  # it has told its last day and gone
                line.send(True)
        edges = np.cumsum([0, *(t[1] for t in told if t is not None)]).tolist()
        for first, begin, end in zip(first_device, edges, edges[1:], strict=False):
            columns["device"][begin:end] += first
        device, taken = columns["device"], columns["taken"]
        yield ReadingBatch(
            home=home_of[device], device=device, metric=columns["metric"], value=columns["value"], taken=taken,
            got=taken, flags=np.zeros(len(taken), np.uint8),
        )  # fmt: skip


def _receive(line: Connection) -> tuple[str, int] | None:
    try:
        told: tuple[str, int] | None = line.recv()
    except EOFError:
        msg = "a process that simulates has died; is there enough memory? --processes 1 needs least"
        raise OSError(msg) from None
    return told


def _read(files: Sequence[tuple[str, int]]) -> dict[str, NDArray[Any]]:
    """The columns of (path, rows) files, one file's after the other's; the files are gone then."""
    columns: dict[str, NDArray[Any]] = {name: np.empty(sum(rows for _, rows in files), kind) for name, kind in _COLUMNS}
    begin = 0
    for path, rows in files:
        with Path(path).open("rb") as file:
            for column in columns.values():
                file.readinto(column[begin : begin + rows].view(np.uint8).data)
        Path(path).unlink()
        begin += rows
    return columns
