"""Twin of evidence's level of power: the quiet nights of a household, and what it draws at which time of day."""

from __future__ import annotations

from itertools import pairwise
from math import inf, isnan, log, nan
from statistics import median

from mimamori.rules import level
from mimamori.twin.slow import half
from mimamori.twin.vitals import single


def share(parts: list[float]) -> list[float]:
    """Divided by their sum, taken one after the other."""
    total = 0.0
    for part in parts:
        total += part
    return [part / total for part in parts]


def mean_of(told: list[float]) -> float:
    """Of a night's half hours; infinite if too few of it are known."""
    return sum(told) / len(told) if len(told) >= level.CELLS_A_NIGHT else inf


def kept(value: float) -> float:
    """As the engine keeps it: rounded to single precision, then to half."""
    return half(single(value))


class PowerTwin:
    """Half hours as counts by bin of the quiet nights' energy."""

    def __init__(self) -> None:
        self.table = [[0.0] * level.BINS for _ in range(level.SLOTS)]
        self.day = [0.0] * level.BINS
        self.seen = [[0.0] * level.BINS for _ in range(level.ROWS)]
        self.meant = [[0.0] * level.BINS for _ in range(level.ROWS)]
        self.nights: dict[int, dict[int, float]] = {}  # by number of the local day: Wh by slot
        self.edges: list[float] = []
        self.quiet: list[float] = []
        self.follows: list[list[float]] = []
        self.sum, self.run, self.before = 0.0, 0, 0
        self.threshold = level.THRESHOLD

    def weigh(self, wh: float, lowest: float, slot: int, *, learns: bool) -> bool:
        """Whether the half hour drew more than any quiet night's; True where those are unknown."""
        if not self.edges:
            return True
        b = self.bin(wh)
        p = self.usual(slot)
        runs = sum(self.run >= edge for edge in level.RUNS)
        for row in (runs, len(level.RUNS) + 1 + self.before):
            p = self.correct(row, b, p, learns=learns)
        gain = min(max(log(self.follows[self.before][b] / p[b]), level.LOWEST_GAIN), level.HIGHEST_GAIN)
        self.sum = single(min(max(self.sum + gain, lowest), level.HIGHEST_SUM))
        self.before = b
        self.run = 0 if b >= level.LIFE else min(self.run, int(level.RUNS[-1])) + 1
        if learns:
            self.table[slot][b] = half(self.table[slot][b] + 1)
            self.day[b] = single(self.day[b] + 1)
        return b == level.BINS - 1

    def bin(self, wh: float) -> int:
        return sum(edge < wh for edge in self.edges)

    def usual(self, slot: int) -> list[float]:
        day, bins = 0.0, range(level.BINS)
        for count in self.day:
            day += count
        leaning = [self.day[k] + level.QUIET_WEIGHT * self.quiet[k] for k in bins]
        p = [level.DAY_WEIGHT * leaning[k] / (day + level.QUIET_WEIGHT) for k in bins]
        for j, weight in enumerate(level.KERNEL.tolist(), -2):
            p = [p[k] + weight * self.table[(slot + j) % level.SLOTS][k] for k in bins]
        return share(p)

    def correct(self, row: int, b: int, p: list[float], *, learns: bool) -> list[float]:
        """By observed over expected counts of that row."""
        seen, meant, weight = self.seen[row], self.meant[row], level.ROW_WEIGHT
        new = [q * (s + weight * q) / (m + weight * q) for q, s, m in zip(p, seen, meant, strict=True)]
        if learns:
            self.meant[row] = [kept(m + q) for m, q in zip(meant, p, strict=True)]
            seen[b] = half(seen[b] + 1)
        return share(new)

    def end_half_hour(self, wh: float, slot: int, day: int, sinks: float, *, alarmed: bool) -> None:
        """The threshold, and what a night has drawn."""
        limit = single(single(self.threshold + (level.ALARM_RAISES if alarmed else 0.0)) - single(sinks))
        self.threshold = min(max(limit, level.LOWEST), level.HIGHEST)
        if level.NIGHT_BEGINS <= slot < level.NIGHT_BEGINS + level.NIGHT_SLOTS:
            held = nan if isnan(wh) else kept(min(max(wh, -60_000.0), 60_000.0))
            self.nights.setdefault(day, {})[slot] = held
            self.nights.pop(day - level.NIGHTS, None)

    def forget(self) -> None:
        """Once a day."""
        for table in (self.table, self.seen, self.meant):
            table[:] = [[kept(level.KEEP * value) for value in row] for row in table]
        self.day = [single(count * single(level.KEEP)) for count in self.day]

    def learn_quiet(self) -> None:
        """After a night: the quieter half of the nights."""
        slots = range(level.NIGHT_BEGINS, level.NIGHT_BEGINS + level.NIGHT_SLOTS)
        nights = [[night.get(slot, nan) for slot in slots] for night in self.nights.values()]
        means = [mean_of([wh for wh in night if not isnan(wh)]) for night in nights]
        told = [mean for mean in means if mean < inf]
        if len(told) < level.LEAST_NIGHTS:
            return
        quiet = [night for night, mean in zip(nights, means, strict=True) if mean <= median(told)]
        cells = sorted(wh for night in quiet for wh in night if not isnan(wh))
        if len(cells) >= level.LEAST_CELLS:
            self.set_quiet(cells)
            self.set_follows(quiet)

    def set_quiet(self, cells: list[float]) -> None:
        """Edges at their quantiles, and the share of each bin."""
        new: list[float] = []
        for quantile in level.QUANTILES[:-1]:
            edge = cells[int(quantile * (len(cells) - 1) + 0.5)] + 0.5
            new.append(edge if not new or edge > new[-1] else new[-1] + 0.5)
        most = max(cells[-1] + 0.5, cells[-1] * level.MARGIN + level.MARGIN_WH, new[-1] + 0.5)
        new.append(most)
        moves = level.EDGE_MOVES
        mixed = [(1 - moves) * o + moves * n for o, n in zip(self.edges, new, strict=True)] if self.edges else new
        self.edges = [single(edge) for edge in mixed]
        bounds = [-inf, *self.edges, inf]
        counts = [sum(low < wh <= high for wh in cells) for low, high in pairwise(bounds)]
        parts = share([count + prior for count, prior in zip(counts, level.QUIET_PRIOR.tolist(), strict=True)])
        self.quiet = [single(q) for q in share([*parts[:-1], max(parts[-1], level.LAST_LEAST)])]

    def set_follows(self, nights: list[list[float]]) -> None:
        """Share of each bin after each."""
        pairs = [(self.bin(a), self.bin(b)) for night in nights for a, b in pairwise(night) if not isnan(a + b)]
        alike = level.ALIKE_WEIGHT
        self.follows = []
        for before in range(level.BINS):
            after = [b for a, b in pairs if a == before]
            whole = len(after) + alike
            self.follows.append([kept((after.count(b) + alike * self.quiet[b]) / whole) for b in range(level.BINS)])
