"""Many households by several processes: the same batches, in the same order, as one process would make.

May import model and the simulator's pure files. Each process draws what befalls its own households, makes their days
and leaves these in files, since memory that processes share is short in containers; here they are put in the order of
time. The number of processes changes no bit.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR
from mimamori.simulator.days import by_household, days_between, first_devices, simulate, step_ends
from mimamori.simulator.faults import MILLI, Rows
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.loops import arranged, order_of
from mimamori.simulator.truth import TruthEvent

_WORTH = 40  # households for which a process of their own is worth its start
_AHEAD = 2  # days a process may be ahead of what was read
_COLUMNS = (("at", "<i4"), ("value", "<f8"), ("device", "<i4"), ("metric", "<i2"))  # at: ms of the day

Part = Callable[..., Sequence[TruthEvent]]
"""A function of some households (first argument), the same for all of them as for each share of them."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """Who makes the households' days: this process (no lines), or several others, each its share of the households."""

    homes: Sequence[SimulatedHome]
    shares: Sequence[NDArray[np.intp]]
    lines: Sequence[Connection]

    def each(self, part: Part, **more: Any) -> list[TruthEvent]:
        """What `part` (of a module, so that others find it) tells of all households, in their order."""
        if not self.lines:
            return list(part(self.homes, **more))
        for line in self.lines:
            line.send((part, more))
        return [event for line in self.lines for event in _receive(line)]

    def days(self, *, start: int, end: int, seed: int, events: Sequence[TruthEvent] = ()) -> Iterator[ReadingBatch]:
        """As `simulate` with order="taken", but `got` is `taken`. To be asked for once, and last."""
        if not self.lines:
            yield from simulate(self.homes, start=start, end=end, seed=seed, events=events, order="taken")
            return
        for share, line in zip(self.shares, self.lines, strict=True):
            ids = {self.homes[i].id for i in share}
            mine = tuple(e for e in events if e.household in ids)
            line.send((None, {"start": start, "end": end, "seed": seed, "events": mine}))
        home_of = np.repeat(np.arange(len(self.homes)), [len(home.devices) for home in self.homes]).astype(np.int32)
        firsts = [first_devices(self.homes)[share[0]] for share in self.shares]
        held: dict[str, NDArray[Any]] = {}
        for low, high in days_between(start, end):
            yield from _in_time(_read(self.lines, firsts, held), low, high, home_of)


@contextmanager
def makers(homes: Sequence[SimulatedHome], processes: int = 0) -> Iterator[Makers]:
    """Processes that live as long as the block. processes: 0 for as many as are worth it; 1 or fewer: this one."""
    worth = max(len(homes) // _WORTH, 1)
    count = min(processes, len(homes)) if processes else min(processors(), worth)
    if count <= 1:
        yield Makers(homes=homes, shares=(), lines=())
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy locks of threads that run here
    shares = np.array_split(np.arange(len(homes)), count)
    with TemporaryDirectory(prefix="mimamori-simulate-") as folder, ExitStack() as ended:
        lines = []
        for number, share in enumerate(shares):
            ours, theirs = context.Pipe()
            mine = tuple(homes[i] for i in share)
            worker = context.Process(target=_work, args=(mine, Path(folder) / str(number), theirs), daemon=True)
            worker.start()
            theirs.close()
            for then in (worker.join, worker.terminate, ours.close):  # the last one first
                ended.callback(then)
            lines.append(ours)
        yield Makers(homes=homes, shares=shares, lines=lines)


def _work(homes: Sequence[SimulatedHome], folder: Path, line: Connection) -> None:
    """In a process of its own: answers with parts, and at last with days."""
    gc.freeze()  # what was imported stays; and what is made here holds no circles, so looking for them finds nothing
    gc.disable()
    folder.mkdir()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody wants the rest
        while True:
            part, more = line.recv()
            if part is None:
                _tell_days(homes, folder, line, more)
                return
            line.send(part(homes, **more))


def _tell_days(homes: Sequence[SimulatedHome], folder: Path, line: Connection, more: dict[str, Any]) -> None:
    """A file for each day, told by name; the other side says when it has read one."""
    firsts, days = first_devices(homes), days_between(more["start"], more["end"])
    made = by_household(homes, **more, order="taken")
    for number, (rows, (low, _)) in enumerate(zip(made, days, strict=True)):
        if number >= _AHEAD:
            line.recv()  # one of the days before was read
        path = folder / str(number)
        _write(path, rows, firsts, low)
        line.send((path, sum(len(r.taken) for r in rows)))


def _write(path: Path, homes: Sequence[Rows], firsts: Sequence[int], low: int) -> None:
    with path.open("wb") as file:
        for rows in homes:
            ((rows.taken - low) // MILLI).astype("<i4").tofile(file)
        for rows in homes:
            rows.value.astype("<f8", copy=False).tofile(file)
        for rows, first in zip(homes, firsts, strict=True):
            (rows.device + first).astype("<i4").tofile(file)
        for rows in homes:
            rows.metric.astype("<i2", copy=False).tofile(file)


def _receive(line: Connection) -> Any:
    try:
        return line.recv()
    except EOFError:
        msg = "a process that simulates has died; is there enough memory? --processes 1 needs least"
        raise OSError(msg) from None


def _read(lines: Sequence[Connection], firsts: Sequence[int], held: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The columns of a day of all processes, household by household; good until the next day is read.

    held: where the days lie; used again for each, since memory that was never used must be cleared first.
    """
    told: list[tuple[Path, int]] = [_receive(line) for line in lines]
    total = sum(rows for _, rows in told)
    if not held or len(held["at"]) < total:
        held |= {name: np.empty(total + total // 8, kind) for name, kind in _COLUMNS}
    columns = {name: column[:total] for name, column in held.items()}
    begin = 0
    for line, first, (path, rows) in zip(lines, firsts, told, strict=True):
        with path.open("rb") as file:
            for column in columns.values():
                file.readinto(column[begin : begin + rows].view(np.uint8).data)
        path.unlink()
        columns["device"][begin : begin + rows] += first
        begin += rows
        with suppress(BrokenPipeError, ConnectionResetError):  # it has told its last day and gone
            line.send(True)
    return columns


def _in_time(
    columns: dict[str, NDArray[Any]], low: int, high: int, home_of: NDArray[np.int32]
) -> Iterator[ReadingBatch]:
    """The readings of [low, high) in the order of time, one batch an hour."""
    at = columns["at"]
    turn, day, begin = order_of(at), tuple(columns[name] for name, _ in _COLUMNS), 0
    for end in np.searchsorted(at, (step_ends(low, high, HOUR) - low) // MILLI, sorter=turn).tolist():
        homes, devices, metrics, values, taken = arranged(turn[begin:end], day, low, home_of)
        yield ReadingBatch(
            home=homes, device=devices, metric=metrics, value=values, taken=taken, got=taken,
            flags=np.zeros(len(taken), np.uint8),
        )  # fmt: skip
        begin = end
