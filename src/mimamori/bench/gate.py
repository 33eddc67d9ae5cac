"""`mimamori bench gate`: how many vital signs a device's profile lets count, of people and of empty rooms.

May import everything from site down. It asks the engine's own gate, reading by reading, and can look for a better one.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import MINUTE, format_duration, parse_instant
from mimamori.rules.backing import Gate, as_arrays, backed
from mimamori.rules.columns import Columns
from mimamori.rules.kernel import Block, State
from mimamori.rules.latest import Latest, cell_of, latest_columns
from mimamori.sensors.profile import Profile
from mimamori.site import Site, load_site
from mimamori.stream.recorded import RecordedFile

MOST_REFUSED, FEWEST_REFUSED = 0.03, 0.95  # of real ones, of phantoms: what is asked of a gate
SPARED = 0.5  # of MOST_REFUSED: a gate that is learned uses half of it, the other half is for the next person
BUDGETS = (0.25, 0.5, 0.75, 1.0)  # of MOST_REFUSED: the trade-off on recordings that the gate was not learned from
SHARES = tuple(round(0.05 * i, 2) for i in range(1, 20))
WITHIN = (MINUTE, 2 * MINUTE, 3 * MINUTE, 5 * MINUTE)
LEVELS = 12  # values of a metric that are tried as a least one


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """The guarded readings of one recording. real: (n,) somebody was there; phantom: nobody was; else not known."""

    batch: ReadingBatch
    homes: Homes
    needs: NDArray[np.bool_]
    real: NDArray[np.bool_]
    phantom: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Refused by a gate, of the vital signs with somebody there and with nobody."""

    by: str
    at_least: float
    share: float
    within: str
    real: int
    real_refused: float
    phantom: int
    phantom_refused: float


def read_vitals(site: Site, path: Path, profile: Profile, empty: Sequence[str], truth: Path | None) -> Vitals:
    """The whole recording as the device's messages would have come: what the profile calls "no data" is left out.

    empty: patterns of household ids in which nobody was. truth: CSV with household, time and heart_rate of another
    instrument; where it has a household, somebody was there from its first to its last value above 0.
    Raises ValueError for a file of another form, OSError if one cannot be read.
    """
    homes = Homes()
    whole = concat(RecordedFile(path, homes, site.metrics).batches())
    names = site.metrics.names()
    said = np.ones(len(whole), bool)
    for metric, measure in profile.metrics.items():
        mine = whole.metric == names.index(metric)
        low = -np.inf if measure.low is None else measure.low
        high = np.inf if measure.high is None else measure.high
        said &= ~(mine & (np.isin(whole.value, measure.no_data) | (whole.value < low) | (whole.value > high)))
    batch = whole.take(said)
    guarded = profile.backing.metrics if profile.backing else ("heart_rate", "respiration_rate")
    needs = np.isin(batch.metric, [names.index(m) for m in guarded])
    nobody = np.array([any(fnmatchcase(h, pattern) for pattern in empty) for h in homes.ids] or [False])
    phantom = needs & nobody[batch.home]
    real = needs & ~nobody[batch.home]
    for household, (begin, end) in _spans(truth).items() if truth else ():
        outside = (batch.home == homes.find(household)) & ((batch.taken < begin) | (batch.taken > end))
        real &= ~outside
    return Vitals(batch=batch, homes=homes, needs=needs, real=real, phantom=phantom)


def _spans(truth: Path) -> dict[str, tuple[int, int]]:
    with truth.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if not {"household", "time", "heart_rate"} <= set(rows.fieldnames or ()):
            msg = f"{truth.name}: the first line must be household,time,heart_rate"
            raise ValueError(msg)
        spans: dict[str, tuple[int, int]] = {}
        for row in rows:
            if float(row["heart_rate"]) > 0:
                at = parse_instant(row["time"])
                begin, end = spans.get(row["household"], (at, at))
                spans[row["household"]] = (min(begin, at), max(end, at))
    return spans


def counted(site: Site, vitals: Vitals, gate: Gate) -> NDArray[np.bool_]:
    """(n,) whether each reading counts, asked of the engine's own gate: one cell after the other, as in a replay."""
    b = vitals.batch
    order = np.lexsort((b.device, b.value, b.taken, b.metric, b.home, cell_of(b.got)))
    batch, ends = b.take(order), cell_of(b.got)[order]
    columns = Columns(latest_columns(len(site.metrics)))
    Latest(columns, site.metrics)  # declares the columns of the minute
    columns.fit(homes=len(vitals.homes), devices=vitals.homes.devices)
    columns["gate"][:] = 1
    gates = as_arrays((gate,), site.metrics)
    state = State(*columns.bundle(State._fields))
    cuts = [*np.flatnonzero(np.diff(ends, prepend=ends[0] - 1)).tolist(), len(batch)]
    counts = np.ones(len(batch), bool)
    for begin, end in itertools.pairwise(cuts):
        cell = batch.take(slice(begin, end))
        counts[order[begin:end]] = backed(
            Block(cell.home, cell.device, cell.metric, cell.value, cell.taken), gates, state
        )
    return counts


def measure(site: Site, vitals: Vitals, gate: Gate) -> Measured:
    """Both figures of one gate."""
    return _measured(gate, vitals, ~counted(site, vitals, gate))


def _measured(gate: Gate, vitals: Vitals, refused: NDArray[np.bool_]) -> Measured:
    return Measured(
        by=gate.by, at_least=gate.at_least, share=gate.share, within=format_duration(gate.within),
        real=int(vitals.real.sum()), real_refused=_part(refused, vitals.real),
        phantom=int(vitals.phantom.sum()), phantom_refused=_part(refused, vitals.phantom),
    )  # fmt: skip


def _part(refused: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return round(float(refused[of].mean()), 4) if of.any() else float("nan")


def curve(site: Site, vitals: Vitals, gate: Gate) -> list[Measured]:
    """The trade-off of a gate by share: the same metric, least value and time at each of SHARES."""
    return [measure(site, vitals, replace(gate, share=share)) for share in SHARES]


def candidates(site: Site, vitals: Vitals, profile: Profile, metrics: tuple[str, ...]) -> Iterator[Gate]:
    """Every gate that is tried: each other level of the profile, at values it takes, over some minutes."""
    for name in profile.metrics:
        metric = site.metrics[site.metrics.index(name)]
        told = vitals.batch.value[vitals.batch.metric == site.metrics.index(name)]
        if metric.nature != "level" or name in metrics or not len(told):
            continue
        levels = np.unique(np.quantile(told, np.linspace(0.02, 0.9, LEVELS), method="nearest"))
        for level, within in itertools.product(levels.tolist(), WITHIN):
            yield Gate(profile=profile.name, metrics=metrics, by=name, at_least=level, share=0.5, within=within)


def learn(site: Site, vitals: Vitals, profile: Profile) -> tuple[Measured, dict[float, Measured]]:
    """The gate that refuses most phantoms while it spares the real ones, and how such gates do on recordings left out.

    Of each candidate the largest share is taken that refuses at most SPARED x MOST_REFUSED of the real ones. Left out,
    by each of BUDGETS in place of SPARED: every household once, its vital signs judged by the gate that the others
    would have chosen. Raises ValueError without vital signs of both kinds.
    """
    if not vitals.real.any() or not vitals.phantom.any():
        msg = "needs vital signs with somebody there and from an empty room; name the empty households with --empty"
        raise ValueError(msg)
    guarded = profile.backing.metrics if profile.backing else ("heart_rate", "respiration_rate")
    tried = [
        (tried, ~counted(site, vitals, tried))
        for gate in candidates(site, vitals, profile, guarded)
        for tried in (replace(gate, share=share) for share in SHARES)
    ]
    everything = np.ones(len(vitals.batch), bool)
    best, refused = _best(tried, vitals, everything, SPARED)
    left_out = {}
    for budget in BUDGETS:
        out = np.zeros(len(vitals.batch), bool)
        for home in range(len(vitals.homes)):
            mine = vitals.batch.home == home
            _, others = _best(tried, vitals, ~mine, budget)
            out[mine] = others[mine]
        left_out[budget] = _measured(best, vitals, out)
    return _measured(best, vitals, refused), left_out


def _best(
    tried: Sequence[tuple[Gate, NDArray[np.bool_]]], vitals: Vitals, rows: NDArray[np.bool_], budget: float
) -> tuple[Gate, NDArray[np.bool_]]:
    real, phantom = vitals.real & rows, vitals.phantom & rows

    def worth(one: tuple[Gate, NDArray[np.bool_]]) -> tuple[bool, float, float]:
        spared = bool(one[1][real].mean() <= budget * MOST_REFUSED)
        return spared, float(one[1][phantom].mean()) if spared else 0.0, -float(one[1][real].mean())

    return max(tried, key=worth)


def as_table(measured: Iterable[tuple[str, Measured]]) -> str:
    """One line a gate."""
    lines = ["                      by               at_least  share  within   real refused      phantoms refused"]
    lines += [
        f"{name:<20}  {m.by:<16} {m.at_least:>8g}  {m.share:>5.2f}  {m.within:>6}"
        f"   {m.real_refused:>6.1%} of {m.real:<6}  {m.phantom_refused:>6.1%} of {m.phantom}"
        for name, m in measured
    ]
    return "\n".join(lines)


@click.command("gate")
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--profile", "model", required=True, help="The device model: a file of sensors/, without .toml.")
@click.option("--empty", multiple=True, help="Household ids in which nobody was, such as 'EMPTY*'; may be repeated.")
@click.option("--truth", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="household,time,heart_rate of another instrument: there was somebody where it saw one.")  # fmt: skip
@click.option("--learn", "learning", is_flag=True, help="Also look for a better gate; takes a minute.")
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the four content folders.")  # fmt: skip
@click.option("--json", "json_wanted", is_flag=True, help="As JSON instead of a table.")
def bench_gate(  # noqa: PLR0917
    recording: Path, model: str, empty: tuple[str, ...], truth: Path | None, learning: bool,  # noqa: FBT001
    site: Path | None, json_wanted: bool,  # noqa: FBT001
) -> None:  # fmt: skip
    """What the [backing] of a device's profile refuses: vital signs of people, and those from an empty room."""
    loaded = load_site(site)
    profile = next((p for p in loaded.profiles if p.name == model), None)
    if profile is None:
        names = ", ".join(sorted(loaded.profile_names))
        msg = f"no profile {model} in {loaded.folder / 'sensors'}; there are {names}"
        raise click.ClickException(msg)
    try:
        vitals = read_vitals(loaded, recording, profile, empty, truth)
        rows: list[tuple[str, Measured]] = []
        gate = next((g for g in loaded.gates if g.profile == model), None)
        if gate is not None:
            rows.append(("the profile's", measure(loaded, vitals, gate)))
            rows += [("  its trade-off", m) for m in curve(loaded, vitals, gate)] if gate.share else []
        if learning:
            best, left_out = learn(loaded, vitals, profile)
            rows.append(("learned", best))
            rows += [(f"  left out, at {budget * MOST_REFUSED:.2%}", m) for budget, m in left_out.items()]
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        json.dumps([{"gate": n.strip(), **asdict(m)} for n, m in rows], indent=1) if json_wanted else as_table(rows)
    )
