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
from mimamori.model.times import HOUR, Nanos
from mimamori.simulator.days import by_household, days_between, first_devices, simulate, step_ends
from mimamori.simulator.faults import MILLI
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.loops import ROW, arranged, filed
from mimamori.simulator.truth import TruthEvent

_WORTH = 40  # households for which a process of their own is worth its start
_AHEAD = 2  # days a process may be ahead of what was read

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
        for low, high in days_between(start, end):
            yield from _in_time(self.lines, _hours(low, high), home_of)


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
        lines, firsts = [], first_devices(homes)
        for number, share in enumerate(shares):
            ours, theirs = context.Pipe()
            mine = tuple(homes[i] for i in share)
            more = (firsts[share[0]], Path(folder) / str(number), theirs)
            worker = context.Process(target=_work, args=(mine, *more), daemon=True)
            worker.start()
            theirs.close()
            for then in (worker.join, worker.terminate, ours.close):  # the last one first
                ended.callback(then)
            lines.append(ours)
        yield Makers(homes=homes, shares=shares, lines=lines)


def _work(homes: Sequence[SimulatedHome], first: int, folder: Path, line: Connection) -> None:
    """In a process of its own: answers with parts, and at last with days. first: number of the homes' first device."""
    gc.freeze()  # what was imported stays; and what is made here holds no circles, so looking for them finds nothing
    gc.disable()
    folder.mkdir()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody wants the rest
        while True:
            part, more = line.recv()
            if part is None:
                _tell_days(homes, first, folder, line, more)
                return
            line.send(part(homes, **more))


def _tell_days(
    homes: Sequence[SimulatedHome], first: int, folder: Path, line: Connection, more: dict[str, Any]
) -> None:
    """A file for each day, hour by hour and in each household by household, told by name and by how many ROWs an hour
    has; the other side says when it has read one.
    """
    firsts = [first + device for device in first_devices(homes)]
    made, held = by_household(homes, **more, order="taken"), np.empty(0, ROW)
    for number, (rows, day) in enumerate(zip(made, days_between(more["start"], more["end"]), strict=True)):
        if number >= _AHEAD:
            line.recv()  # one of the days before was read
        hours, path = _hours(*day), folder / str(number)
        sizes = np.sum([np.diff(np.searchsorted(home.taken, hours)) for home in rows], axis=0)  # minutes are in order
        begins, total = np.cumsum(sizes) - sizes, int(sizes.sum())
        if len(held) < total:
            held = np.empty(total + total // 8, ROW)  # used again: memory that was never used must be cleared first
        for home, device in zip(rows, firsts, strict=True):
            filed((home.device, home.metric, home.value, home.taken), device, hours, begins, held)
        held[:total].tofile(path)
        line.send((path, sizes.tolist()))


def _hours(low: int, high: int) -> Nanos:
    """(h + 1,) where each hour of [low, high) begins, the first and the last cut, and where the last one ends: in whole
    milliseconds, as all readings.
    """
    return np.append(low // MILLI * MILLI, step_ends(low, high, HOUR))


def _receive(line: Connection) -> Any:
    try:
        return line.recv()
    except EOFError:
        msg = "a process that simulates has died; is there enough memory, and room for files? --processes 1 needs least"
        raise OSError(msg) from None


def _in_time(lines: Sequence[Connection], hours: Nanos, home_of: NDArray[np.int32]) -> Iterator[ReadingBatch]:
    """The next day's readings in the order of time, one batch an hour, out of what all processes have left in files."""
    told: list[tuple[Path, list[int]]] = [_receive(line) for line in lines]
    with ExitStack() as opened:
        files = [opened.enter_context(path.open("rb")) for path, _ in told]
        for low, *sizes in zip(hours[:-1].tolist(), *(sizes for _, sizes in told), strict=True):
            rows = b"".join(file.read(size * ROW.itemsize) for file, size in zip(files, sizes, strict=True))
            if len(rows) != sum(sizes) * ROW.itemsize:  # closing a file on a full disk may fail without a word
                msg = "a file of simulated readings is cut short; make room for temporary files and try again"
                raise OSError(msg)
            homes, devices, metrics, values, taken = arranged(np.frombuffer(rows, ROW), low, home_of)
            yield ReadingBatch(
                home=homes, device=devices, metric=metrics, value=values, taken=taken, got=taken,
                flags=np.zeros(len(taken), np.uint8),
            )  # fmt: skip
    for line, (path, _) in zip(lines, told, strict=True):
        path.unlink()
        with suppress(BrokenPipeError, ConnectionResetError):  # it has told its last day and gone
            line.send(True)
