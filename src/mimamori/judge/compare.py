"""`mimamori simulate --compare FOLDER`: how days differ in simulated homes and in real recordings, side by side.

May import everything from site down. The measures are pure; reading the folder and simulating are not. Nothing of the
recordings is kept.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import DAY, HOUR, MINUTE, Nanos, Zone, parse_instant
from mimamori.simulator.days import simulate
from mimamori.simulator.households import households, registry
from mimamori.site import Site
from mimamori.stream.recorded import RecordedFile

Floats = NDArray[np.float64]
_HALF = 30 * MINUTE
_FEW_DAYS = 7  # a home with fewer says nothing about how days differ
_LEAST_EXIT, _MOST_EXIT = MINUTE, 45 * MINUTE  # a bed exit of the night; longer is the end of it, or a walk

_ASLEEP = {"Sleep", "Sleeping", "Go_To_Sleep", "Wake_Up"}  # labels that put somebody into bed


@dataclass(slots=True)
class Seen:
    """What one home shows, as columns. All times are ns on the wall clock.

    signs: motion and door, ascending. bed: (times, 0/1) of an occupied bed. watts: (half-hour numbers, mean W).
    """

    signs: Nanos = field(default_factory=lambda: np.zeros(0, np.int64))
    bed: tuple[Nanos, Floats] = field(default_factory=lambda: (np.zeros(0, np.int64), np.zeros(0)))
    watts: tuple[Nanos, Floats] = field(default_factory=lambda: (np.zeros(0, np.int64), np.zeros(0)))


def gaps_by_hour(signs: Nanos) -> tuple[Floats, NDArray[np.int64]]:
    """(minutes of quiet, hour in which it began), each (n,): stretches of a minute at least without a sign of life."""
    gaps = np.diff(signs)
    long = gaps >= MINUTE
    return gaps[long] / MINUTE, (signs[:-1][long] % DAY) // HOUR


def risings(signs: Nanos) -> Floats:
    """(days,) hour of day at which the longest quiet between 20:00 and 12:00 ends: a proxy of getting up."""
    out = []
    for day in np.unique(signs // DAY).tolist():
        night = signs[(signs >= day * DAY - 4 * HOUR) & (signs < day * DAY + 12 * HOUR)]
        if len(night) > 5:
            end = night[1:][np.argmax(np.diff(night))]
            if end >= day * DAY:
                out.append((end % DAY) / HOUR)
    return np.array(out)


def counts_a_day(signs: Nanos) -> Floats:
    """(days,) signs of life of each whole day but the first and last."""
    if not len(signs):
        return np.zeros(0)
    day = signs // DAY - signs[0] // DAY
    return np.bincount(day)[1:-1].astype(np.float64)


def bed_exits(bed: tuple[Nanos, Floats]) -> tuple[float, Floats]:
    """(times up a night between 22:00 and 06:00, minutes of each)."""
    at, inside = bed
    if len(at) < 2:
        return 0.0, np.zeros(0)
    change = np.flatnonzero(np.diff(inside) != 0) + 1
    edges, states = at[change], inside[change]
    out = np.flatnonzero(states[:-1] == 0)
    length = edges[out + 1] - edges[out]
    hour = (edges[out] % DAY) // HOUR
    counted = (length >= _LEAST_EXIT) & (length <= _MOST_EXIT) & ((hour >= 22) | (hour < 6))
    nights = max((at[-1] - at[0]) / DAY, 1.0)
    return float(counted.sum() / nights), length[counted] / MINUTE


def load_shape(watts: tuple[Nanos, Floats]) -> dict[str, float]:
    """How a home's half-hours of electricity vary.

    spread: standard deviation by mean. idle: share within a fifth of the home's own base (10 % quantile). peak: 95 %
    quantile by mean. alike: mean correlation of a day with the day before.
    """
    slots, value = watts
    if len(value) < _FEW_DAYS * 48 or value.mean() <= 0:
        return {}
    base = float(np.quantile(value, 0.1))
    table = np.full((int(slots[-1] // 48 - slots[0] // 48) + 1, 48), np.nan)
    table[slots // 48 - slots[0] // 48, slots % 48] = value
    alike = [
        np.corrcoef(a, b)[0, 1]
        for a, b in pairwise(table)
        if np.isfinite(a).all() and np.isfinite(b).all() and a.std() > 0 and b.std() > 0
    ]
    return {
        "spread": float(value.std() / value.mean()), "idle": float((value <= 1.2 * base).mean()),
        "peak": float(np.quantile(value, 0.95) / value.mean()), "alike": float(np.mean(alike)) if alike else np.nan,
    }  # fmt: skip


def gather(batches: Iterable[ReadingBatch], homes: Homes, metrics: Metrics, zone: Zone) -> dict[str, Seen]:
    """What each household of a recording shows."""
    wanted = {metrics.index(m) for m in ("motion", "door_open", "in_bed", "power", "energy")}
    kept: dict[int, list[ReadingBatch]] = {}
    for batch in batches:
        part = batch.take(np.isin(batch.metric, list(wanted)))
        for home in np.unique(part.home).tolist():
            kept.setdefault(home, []).append(part.take(part.home == home))
    return {homes.ids[home]: _seen(parts, metrics, zone) for home, parts in sorted(kept.items())}


def _seen(parts: Sequence[ReadingBatch], metrics: Metrics, zone: Zone) -> Seen:
    taken = zone.local_many(np.concatenate([p.taken for p in parts]))
    metric = np.concatenate([p.metric for p in parts])
    value = np.concatenate([p.value for p in parts])
    is_a = {m: metric == metrics.index(m) for m in ("motion", "door_open", "in_bed", "power", "energy")}
    signs = np.unique(taken[(is_a["motion"] & (value > 0)) | is_a["door_open"]])
    bed = taken[is_a["in_bed"]], value[is_a["in_bed"]]
    if is_a["power"].any():
        watts = _half_hours(taken[is_a["power"]], value[is_a["power"]])
    else:
        watts = _from_register(taken[is_a["energy"]], value[is_a["energy"]])
    return Seen(signs=signs, bed=bed, watts=watts)


def _half_hours(at: Nanos, watts: Floats) -> tuple[Nanos, Floats]:
    if not len(at):
        return at, watts
    slot, first = np.unique(at // _HALF, return_index=True)
    sums = np.add.reduceat(watts, first)
    return slot, sums / np.diff(np.concatenate([first, [len(at)]]))


def _from_register(at: Nanos, register: Floats) -> tuple[Nanos, Floats]:
    if len(at) < 2:
        return np.zeros(0, np.int64), np.zeros(0)
    span, used = np.diff(at), np.diff(register)
    good = (span == _HALF) & (used >= 0)
    return at[:-1][good] // _HALF, used[good] * 2  # Wh of half an hour = half the W


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure: real homes' values by name, the simulated homes' median and 10 and 90 % quantiles.

    ks: Kolmogorov-Smirnov distance of the pooled distributions, None where a home gives one number.
    """

    measure: str
    real: tuple[tuple[str, float], ...]
    simulated: tuple[float, float, float]
    ks: float | None = None


_HOURS = (("night 00-06", 0, 6), ("morning 06-12", 6, 12), ("afternoon 12-18", 12, 18), ("evening 18-24", 18, 24))


def compare(real: dict[str, Seen], made: dict[str, Seen]) -> list[Row]:
    """Every measure that the real recordings allow."""
    rows: list[Row] = []
    moving = {n: s for n, s in real.items() if len(counts_a_day(s.signs)) >= _FEW_DAYS}
    ours = {n: s for n, s in made.items() if len(counts_a_day(s.signs)) >= _FEW_DAYS}
    if moving and ours:
        rows += _quiet_rows(moving, ours)
        measures: tuple[tuple[str, Callable[[Nanos], float]], ...] = (
            ("signs of life a day", lambda s: float(counts_a_day(s).mean())),
            ("signs of life: spread of days by mean", lambda s: _spread(counts_a_day(s))),
            ("rising: spread of days, minutes", lambda s: _minutes_apart(risings(s))),
        )
        for measure, of in measures:
            values = {n: of(s.signs) for n, s in moving.items()}
            rows.append(_row(measure, values, [of(s.signs) for s in ours.values()]))
    rows += _bed_rows(real, made)
    shapes, mine = ({n: load_shape(s.watts) for n, s in group.items()} for group in (real, made))
    for key, measure in (
        ("spread", "half-hour energy: spread by mean"), ("idle", "half-hour energy: share near the base"),
        ("peak", "half-hour energy: 95 % quantile by mean"), ("alike", "half-hour energy: a day like the day before"),
    ):  # fmt: skip
        theirs = {n: s[key] for n, s in shapes.items() if s}
        if theirs:
            rows.append(_row(measure, theirs, [s[key] for s in mine.values() if s]))
    if any(shapes.values()):
        rows.append(_load_distance(real, made))
    return rows


def _minutes_apart(hours: Floats) -> float:
    return float(60 * hours.std()) if len(hours) > 2 else np.nan


def _spread(values: Floats) -> float:
    return float(values.std() / max(values.mean(), 1e-9))


def _row(measure: str, real: dict[str, float], made: Sequence[float], ks: float | None = None) -> Row:
    low, middle, high = (float(np.quantile(made, q)) for q in (0.1, 0.5, 0.9)) if len(made) else (np.nan,) * 3
    return Row(measure=measure, real=tuple(real.items()), simulated=(low, middle, high), ks=ks)


def _quiet_rows(real: dict[str, Seen], made: dict[str, Seen]) -> Iterator[Row]:
    theirs, ours = ({n: gaps_by_hour(s.signs) for n, s in group.items()} for group in (real, made))
    for words, low, high in _HOURS:
        parts = [{n: g[(h >= low) & (h < high)] for n, (g, h) in group.items()} for group in (theirs, ours)]
        parts = [{n: p for n, p in group.items() if len(p)} for group in parts]
        for q in (0.5, 0.9, 0.99):
            values = [{n: float(np.quantile(p, q)) for n, p in group.items()} for group in parts]
            if not values[0]:
                continue
            distance = _distance(parts[0].values(), parts[1].values()) if q == 0.5 else None
            yield _row(f"quiet, minutes, {words}: {q:.0%}", values[0], list(values[1].values()), distance)


def _distance(real: Iterable[Floats], made: Iterable[Floats]) -> float | None:
    """Kolmogorov-Smirnov distance of two groups' pooled values, None where one has none."""
    theirs, ours = ([p for p in group if len(p)] for group in (real, made))
    if not theirs or not ours:
        return None
    pools = [np.sort(np.concatenate(group)) for group in (theirs, ours)]
    # By hand, since scipy.stats costs every `simulate` a second of loading.
    shares = [np.searchsorted(pool, np.concatenate(pools), side="right") / len(pool) for pool in pools]
    return float(np.abs(shares[0] - shares[1]).max())


def _bed_rows(real: dict[str, Seen], made: dict[str, Seen]) -> list[Row]:
    theirs = {n: bed_exits(s.bed) for n, s in real.items() if len(s.bed[0])}
    ours = [bed_exits(s.bed) for s in made.values() if len(s.bed[0])]
    if not theirs or not ours:
        return []
    distance = _distance([x[1] for x in theirs.values()], [x[1] for x in ours])
    return [
        _row("bed exits a night", {n: x[0] for n, x in theirs.items()}, [x[0] for x in ours]),
        _row("bed exits: median minutes", {n: float(np.median(x[1])) for n, x in theirs.items()},
             [float(np.median(x[1])) for x in ours if len(x[1])], distance),
    ]  # fmt: skip


def _load_distance(real: dict[str, Seen], made: dict[str, Seen]) -> Row:
    """All half-hours by their home's mean, pooled."""
    pools = [
        {n: s.watts[1] / s.watts[1].mean() for n, s in group.items() if len(s.watts[1]) >= _FEW_DAYS * 48}
        for group in (real, made)
    ]
    return _row("half-hour energy by mean: median", {n: float(np.median(v)) for n, v in pools[0].items()},
                [float(np.median(v)) for v in pools[1].values()],
                _distance(pools[0].values(), pools[1].values()))  # fmt: skip


def read_real(folder: Path, site: Site) -> dict[str, Seen]:
    """Every household of every reading file of the folder. Raises ValueError if there is none."""
    found: dict[str, Seen] = {}
    for path in sorted(p for p in folder.iterdir() if p.name.endswith((".csv", ".csv.gz", ".parquet"))):
        homes = Homes()
        recorded = RecordedFile(path=path, homes=homes, metrics=site.metrics)
        try:
            made = gather(recorded.batches(), homes, site.metrics, site.zone)
        except ValueError:
            continue  # another table, such as labels
        for seen in made.values():
            if not len(seen.bed[0]) and len(made) == 1:
                seen.bed = _labelled(path, site.zone) or seen.bed
        found |= made
    if not found:
        msg = f"{folder}: holds no reading file (.csv, .csv.gz, .parquet)"
        raise ValueError(msg)
    return found


def _labelled(path: Path, zone: Zone) -> tuple[Nanos, Floats] | None:
    """The bed from labels beside the recording of one home (NAME.labels.csv: time, activity), on the wall clock."""
    labels = path.with_name(path.name.partition(".")[0] + ".labels.csv")
    if not labels.is_file():
        return None
    at, inside = [], []
    with labels.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            at.append(zone.local(parse_instant(row["time"])))
            inside.append(float(row["activity"] in _ASLEEP))
    return np.array(at, np.int64), np.array(inside)


def compare_days(
    site: Site, folder: Path, *, count: int, days: int, seed: int, start: int, noise: str, bed_every: int | None
) -> str:
    """The comparison of simulated homes, in which nothing befalls anybody, with the recordings in `folder`, as a table.

    Raises ValueError if the folder holds no reading file.
    """
    real = read_real(folder, site)
    homes = households(site.scene, count=count, seed=seed, noise=noise, bed_every=bed_every)
    told = simulate(homes, start=start, end=start + days * DAY, seed=seed, step=DAY, order="taken")
    return as_table(compare(real, gather(told, registry(homes), site.metrics, site.zone)))


def as_table(rows: Sequence[Row]) -> str:
    """The comparison for people."""
    lines = [f"{'':42} {'simulated: 10 % / median / 90 %':>34}   KS    real"]
    for r in rows:
        low, middle, high = r.simulated
        ks = "    " if r.ks is None else f"{r.ks:.2f}"
        real = ", ".join(f"{name} {value:.3g}" for name, value in r.real)
        lines.append(f"{r.measure:42} {low:10.3g} / {middle:8.3g} / {high:8.3g}    {ks}   {real}")
    return "\n".join(lines)
