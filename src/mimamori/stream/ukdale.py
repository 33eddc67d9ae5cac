"""UK-DALE (Kelly and Knottenbelt 2015) into readings: a house's folder with labels.dat and channel_N.dat.

May import model and the importers' shared part. A channel file has one row a sample, `1352500095 599`: epoch seconds
and watts; `labels.dat` has one channel a line, `1 aggregate`. Columnar; the epoch needs no zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import EPOCH_HIGH, EPOCH_LOW, SECOND, Nanos
from mimamori.stream.foreign import Intake, as_number, lines, make_batch

_WHOLE = ("aggregate", "mains", "site_meter", "site meter")


def houses(place: Path) -> list[Path]:
    """The house folders of a place: itself, or the house_N in it. Raises ValueError if there is none."""
    if place.suffix in {".h5", ".hdf5"}:
        msg = f"{place.name}: is the whole set in one HDF5 file; give the folder of text files (house_1/channel_1.dat)"
        raise ValueError(msg)
    if place.is_file() or (place / "labels.dat").is_file() or list(place.glob("channel_*.dat*")):
        return [place]
    found = sorted((p for p in place.glob("house_*") if p.is_dir()), key=lambda p: (len(p.name), p.name))
    if not found:
        msg = f"{place}: neither a house's folder (labels.dat, channel_1.dat) nor one that holds house_1"
        raise ValueError(msg)
    return found


def read_ukdale(place: Path, intake: Intake, channels: Sequence[str], every: int) -> Iterator[ReadingBatch]:
    """Readings of power, channel after channel (not sorted over channels).

    channels: numbers or labels; none: the whole house (labelled aggregate or mains, else channel 1), as device `meter`;
    ("all",): every channel, each a device named by its label. every: ns; above 0 the mean of each such stretch, told at
    its end. Raises ValueError if a house lacks a channel asked for.
    """
    for folder in houses(place):
        household = "" if place.is_file() else folder.name
        for file, name in _chosen(folder, channels):
            device = intake.device(name, household)
            yield from _channel(file, device, intake, every)


def _chosen(folder: Path, channels: Sequence[str]) -> list[tuple[Path, str]]:
    if folder.is_file():
        return [(folder, "meter")]
    labels = _labels(folder / "labels.dat")
    files = {
        m[1]: p for p in folder.glob("channel_*.dat*") if (m := re.fullmatch(r"channel_(\d+)\.dat(\.gz)?", p.name))
    }
    order = sorted(files, key=int)
    if not channels:
        whole = [n for n in order if labels.get(n, "").lower() in _WHOLE] or [n for n in order if n == "1"]
        wanted = whole[:1]
    else:
        wanted = [n for n in order if channels == ("all",) or n in channels or labels.get(n) in channels]
    if not wanted:
        told = ", ".join(f"{n} {labels.get(n, '')}".strip() for n in order) or "none"
        msg = f"{folder.name}: has no channel {' or '.join(channels) or 'of the whole house'}; it has {told}"
        raise ValueError(msg)
    return [(files[n], "meter" if labels.get(n, "").lower() in _WHOLE or not channels
             else f"{labels.get(n, 'channel')}-{n}") for n in wanted]  # fmt: skip


def _labels(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    parts = [line.split(maxsplit=1) for _, line in lines(path)]
    return {p[0]: p[1].strip() for p in parts if len(p) == 2}


def _channel(path: Path, device: int, intake: Intake, every: int) -> Iterator[ReadingBatch]:
    metric = intake.metrics.index("power")
    low, high = intake.metrics[metric].low, intake.metrics[metric].high
    rest: tuple[Nanos, np.ndarray] = (np.zeros(0, np.int64), np.zeros(0))
    for at, watts, span in _columns(path, intake):
        reasons = (
            (~np.isfinite(at) | ~np.isfinite(watts), "not-a-number", "write epoch seconds and watts"),
            (
                (at * SECOND < EPOCH_LOW) | (at * SECOND >= EPOCH_HIGH),
                "time-too-old",
                "the years 2000 to 2099 are taken",
            ),
            ((watts < low) | (watts > high), "out-of-range", f"power lies between {low:g} and {high:g} W"),
        )
        bad = np.zeros(len(at), bool)
        for which, reason, mend in reasons:
            for row in np.flatnonzero(which & ~bad).tolist():
                intake.reject(f"{path.name}:{span[row]}", reason, mend, f"{at[row]:g} {watts[row]:g}")  # type: ignore[arg-type]
            bad |= which
        whole = np.floor(at[~bad])
        taken = whole.astype(np.int64) * SECOND + np.rint((at[~bad] - whole) * 1e3).astype(np.int64) * 1_000_000
        if every:
            taken, value, rest = _means(np.concatenate([rest[0], taken]), np.concatenate([rest[1], watts[~bad]]), every)
        else:
            value = watts[~bad]
        yield make_batch(intake, taken, np.full(len(taken), device), np.full(len(taken), metric), value)
    if every and len(rest[0]):
        end = rest[0][:1] // every * every + every
        yield make_batch(intake, end, np.array([device]), np.array([metric]), np.round([rest[1].mean()], 1))


def _means(at: Nanos, watts: np.ndarray, every: int) -> tuple[Nanos, np.ndarray, tuple[Nanos, np.ndarray]]:
    """(ends, means) of whole stretches, and the samples of the last one, which may go on. Samples in order of time."""
    cell = at // every
    heads = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]])) if len(at) else np.zeros(0, np.intp)
    if not len(heads):
        return at, watts, (at, watts)
    sums = np.add.reduceat(watts, heads)
    means = np.round(sums / np.diff(np.concatenate([heads, [len(at)]])), 1)
    last = int(heads[-1])
    return (cell[heads[:-1]] + 1) * every, means[:-1], (at[last:], watts[last:])


def _columns(path: Path, intake: Intake) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(epoch seconds, watts, line numbers), each (n,), a block at a time; NaN for what is no number."""
    first = next((line for _, line in lines(path)), "")
    wide = max(len(first.split()), 2)  # mains.dat has three: active, apparent, voltage
    line, odd = 1, list[int]()

    def odd_row(row: pa.csv.InvalidRow) -> str:
        odd.append(row.number)
        intake.reject(f"{path.name}:{row.number}", "bad-row", "write epoch seconds, a blank and watts", str(row.text))
        return "skip"

    names = [str(i) for i in range(wide)]
    with pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None) as raw:
        try:
            reader = pyarrow.csv.open_csv(
                raw, read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 22),
                parse_options=pyarrow.csv.ParseOptions(delimiter=" ", invalid_row_handler=odd_row),
                convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )  # fmt: skip
        except pa.ArrowInvalid:
            return  # an empty file
        for part in reader:
            span = np.setdiff1d(np.arange(line, line + len(part) + len(odd)), odd)[: len(part)]
            line, odd = (int(span[-1]) + 1 if len(span) else line), []
            yield _floats(part.column(0)), _floats(part.column(1)), span


def _floats(column: pa.Array) -> np.ndarray:
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return np.array([np.nan if (v := as_number(w or "")) is None else v for w in column.to_pylist()])
