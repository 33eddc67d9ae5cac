"""How usual quiet is in each household: hazards of a sign of life by time of day, and the threshold they call for.

May import model and rules.columns. Cause-specific discrete-time hazards (Prentice et al., Biometrics 1978) give the
log-likelihood ratio of Page's test (Page, Biometrika 1954) against "no sign will ever come"; peaks over a threshold
with an exponential tail (Pickands, Ann. Statist. 1975) set the limit from the false-alarm budget.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, NEVER, Nanos
from mimamori.rules.columns import Column, Columns
from mimamori.rules.spec import SIGNS

SLOTS = 48
EVENTS = [k for k, sign in enumerate(SIGNS) if sign != "power"]  # power has a level, and no single signs
RUN_EDGES = np.array([2, 4, 7, 13, 25, 49, 97])  # quiet cells of 5 min: 10, 20, 35, 65 min, 2 h, 4 h, 8 h
RUN_PRIOR = np.array([0.5, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1, 0.1])  # hazard a cell before anything is learned
RUN_WEIGHT = 60.0
KERNEL = np.array([0.25, 0.75, 1.0, 0.75, 0.25])  # neighbouring half hours lend strength to each other
SLOT_WEIGHT = 3.0
DAY_PRIOR = np.repeat([0.25, 0.6, 1.2, 0.8], [10, 4, 28, 6])  # nights quieter: until 05:00, 07:00, 21:00, 24:00
PEAK_FROM = 1.0  # nats; quiet spells that reach it count as peaks
PEAKS_A_DAY, PEAK_MEAN = 3.0, 0.9  # prior of their rate and mean excess (1.0 if the hazards were exact)
RATE_DAYS, MEAN_PEAKS = 3.0, 4.0  # and the weights of those priors
PEAK_FADES = 0.98  # a day
LOWEST_THRESHOLD = 2.5
NEWCOMER_EXTRA, NEWCOMER_DAYS = 6.0, 7.0  # nats on top while a household is new, falling to none in a week
PEAKS_AFTER_DAYS = 3.0  # earlier peaks tell of the prior hazards, not of this household
HIGHEST_HAZARD = 0.95
ACTIVE_RATE = 1 / 40  # a week of half hours of six cells


def habit_columns(prefix: str) -> list[Column]:
    """Columns of the habit of one evidence rule."""
    declared = [
        Column("ended", "f2", 0, "quiet spells ended, by kind of event", (len(EVENTS), SLOTS)),
        Column("exposed", "f2", 0, "ends expected from run length alone", (SLOTS,)),
        Column("active", "f2", 0, "share of cells with a sign", (SLOTS,)),
        Column("run_ended", "f4", 0, "quiet spells ended, by run length", (len(RUN_PRIOR),)),
        Column("run_exposed", "f4", 0, "ends expected from slot of day alone", (len(RUN_PRIOR),)),
        Column("spell_exposed", "f2", 0, "as exposed, of the quiet spell not over yet", (SLOTS,)),
        Column("spell_run_exposed", "f4", 0, "as run_exposed, of the quiet spell not over yet", (len(RUN_PRIOR),)),
        Column("peaks", "f4", PEAKS_A_DAY * RATE_DAYS, "faded count"),
        Column("excess", "f4", PEAK_MEAN * MEAN_PEAKS, "nats, faded sum over PEAK_FROM"),
        Column("peak_days", "f4", RATE_DAYS, "faded days"),
        Column("peak_weight", "f4", MEAN_PEAKS, "faded count"),
        Column("peak_at", "i8", NEVER, "ns, last update of the peaks"),
        Column("threshold", "f4", 99, "nats"),
        Column("first_seen", "i8", NEVER, "ns"),
    ]
    return [Column(f"{prefix}.{c.name}", c.dtype, c.fill, c.unit, c.shape, c.axis) for c in declared]


class Habit:
    """Learns and tells the hazards of one evidence rule. All arrays have one entry a household."""

    def __init__(self, columns: Columns, prefix: str, *, false_alarm_every: int, forget_after: int) -> None:
        self._columns, self._prefix = columns, prefix
        self._budget = DAY / false_alarm_every
        self._keep = float(np.exp(-DAY / forget_after))
        # Worked out from the columns, not state: most rows stay as they are from one cell to the next.
        self._worked: tuple[int, int] = (-1, -1)  # slot, version of the columns
        self._stale = np.zeros(0, bool)
        self._has = np.zeros((len(SIGNS), 0), bool)
        self._relative = np.zeros((len(SIGNS), 0))
        self._bases = np.zeros((len(RUN_PRIOR), 0))

    def _c(self, name: str) -> NDArray[np.float64]:
        return self._columns[f"{self._prefix}.{name}"]

    def hazards(
        self, *, slot: int, run: NDArray[np.int32], has: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(hazard (k, n) of each kind of sign in this cell, base (n,) from run length alone), both in [0, 0.95].

        slot: half hour of the local day. run: (n,) quiet cells so far. has: (k, n) which kinds this home has.
        """
        self._refresh(slot, has)
        base = self._bases[np.searchsorted(RUN_EDGES, run, side="right"), np.arange(len(run))]
        hazard = base * self._relative
        return hazard * np.minimum(1.0, HIGHEST_HAZARD / np.maximum(hazard.sum(0), 1e-12)), base

    def _refresh(self, slot: int, has: NDArray[np.bool_]) -> None:
        """Work out again what has changed since the last cell: everything when the slot of day or the rows are new."""
        if self._worked != (slot, self._columns.version):
            self._worked = slot, self._columns.version
            self._stale, self._has = np.ones(has.shape[1], bool), has.copy()
            self._relative, self._bases = np.zeros(has.shape), np.zeros((len(RUN_PRIOR), has.shape[1]))
        rows = np.flatnonzero(self._stale | (has != self._has).any(0))
        self._has[:, rows] = has[:, rows]
        self._relative[:, rows] = self._relative_of(rows, slot, has[:, rows])
        self._bases[:, rows] = self._bases_of(rows)
        self._stale[:] = False

    def _relative_of(self, rows: NDArray[np.intp], slot: int, has: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(k, r): how much brisker than run length alone tells this slot of day is, by kind of sign."""
        near = (slot + np.arange(len(KERNEL)) - len(KERNEL) // 2) % SLOTS
        exposed, ended = np.zeros(len(rows)), np.zeros((len(SIGNS), len(rows)))
        for weight, s in zip(KERNEL.tolist(), near.tolist(), strict=True):
            exposed += weight * self._c("exposed")[s][rows].astype(np.float64)
            ended[EVENTS] += weight * self._c("ended")[:, s][:, rows].astype(np.float64)
        share = has / np.maximum(has.sum(0), 1)
        relative: NDArray[np.float64] = has * (ended + SLOT_WEIGHT * DAY_PRIOR[slot] * share) / (exposed + SLOT_WEIGHT)
        return relative

    def _bases_of(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(runs, r) hazard from run length alone, as in a slot of day that is as brisk as any.

        A run length this household has hardly known is taken to fall off from the one before it as the prior does, so
        that a brisk home stays brisk.
        """
        ended, exposed = self._c("run_ended")[:, rows], self._c("run_exposed")[:, rows]
        prior = np.full(len(rows), RUN_PRIOR[0])
        bases = np.empty((len(RUN_PRIOR), len(rows)))
        for b in range(len(RUN_PRIOR)):
            bases[b] = (ended[b] + prior * RUN_WEIGHT) / (exposed[b] + RUN_WEIGHT)
            prior = bases[b] * (RUN_PRIOR[min(b + 1, len(RUN_PRIOR) - 1)] / RUN_PRIOR[b])
        return bases

    def learn(
        self, *, slot: int, run: NDArray[np.int32], base: NDArray[np.float64], hazard: NDArray[np.float64],
        signs: NDArray[np.bool_], rows: NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """One cell of experience for the households in `rows` (n,) bool: quiet for `run` cells, then `signs` (k, n).

        Each factor's exposure is weighted with the other one (proportional hazards fitted in turns): the night, when
        no hazard is expected, does not make a long quiet usual at noon. What is exposed waits for `end_spells`.
        """
        sign = np.logical_or.reduce(signs)
        active = self._c("active")[slot, rows]
        self._c("active")[slot, rows] = active + np.float16(ACTIVE_RATE) * (sign[rows] - active)
        exposed = np.flatnonzero(rows & (run >= 1))
        bucket = np.searchsorted(RUN_EDGES, run[exposed], side="right")
        self._c("spell_exposed")[slot, exposed] += base[exposed].astype(np.float16)
        relative = hazard.sum(0)[exposed] / base[exposed]
        self._c("spell_run_exposed")[bucket, exposed] += relative.astype(np.float32)
        done = exposed[sign[exposed]]
        share = signs[:, done] / signs[:, done].sum(0)
        self._c("ended")[:, slot, done] += share[EVENTS].astype(np.float16)
        self._c("run_ended")[np.searchsorted(RUN_EDGES, run[done], side="right"), done] += np.float32(1)
        self._stale[done] = True

    def end_spells(self, rows: NDArray[np.intp]) -> None:
        """Quiet spells of `rows` are over: only now is their exposure learned, lest silence excuse itself."""
        for name in ("exposed", "run_exposed"):
            table = self._c(name)
            table[:, rows] = table[:, rows].astype(np.float32) + self._c(f"spell_{name}")[:, rows]
            self._c(f"spell_{name}")[:, rows] = 0
        self._stale[rows] = True

    def fade(self, *, slot: int) -> None:
        """Once a day for each slot, before its first cell: forget a little."""
        for name in ("ended", "exposed"):
            table = self._c(name)
            table[..., slot, :] *= table.dtype.type(self._keep)
        if slot == 0:
            self._c("run_ended")[:] *= np.float32(self._keep)
            self._c("run_exposed")[:] *= np.float32(self._keep)

    def record_peaks(self, rows: NDArray[np.intp], peak: NDArray[np.float64], now: int) -> None:
        """Quiet spells of `rows` ended at evidence `peak` (same length, nats): mends their thresholds.

        A peak counts at most as the threshold itself, so that a holiday does not raise later thresholds.
        """
        before = self._c("peak_at")[rows]
        days = np.where(before == NEVER, 0, now - np.where(before == NEVER, now, before)) / DAY
        kept = PEAK_FADES**days
        age = (now - self._columns[f"{self._prefix}.first_seen"][rows]) / DAY
        usual = self._c("threshold")[rows] - _extra(age)
        held = np.minimum(peak, usual)
        learns = age >= PEAKS_AFTER_DAYS
        days = np.where(learns, days, 0)
        counted = learns & (held > PEAK_FROM)
        for name, gain in (
            ("peaks", counted), ("excess", counted * (held - PEAK_FROM)), ("peak_days", days), ("peak_weight", counted),
        ):  # fmt: skip
            self._c(name)[rows] = self._c(name)[rows] * kept + gain
        self._columns[f"{self._prefix}.peak_at"][rows] = now
        self.set_thresholds(rows, now)

    def set_thresholds(self, rows: NDArray[np.intp], now: int) -> None:
        """Threshold (nats) at which this household's own quiet would be a false alarm as often as the budget allows."""
        rate = self._c("peaks")[rows] / self._c("peak_days")[rows]
        mean = self._c("excess")[rows] / self._c("peak_weight")[rows]
        usual = PEAK_FROM + mean * np.log(np.maximum(rate / self._budget, 1.01))
        first: Nanos = self._columns[f"{self._prefix}.first_seen"]
        age = (now - first[rows]) / DAY
        self._c("threshold")[rows] = np.maximum(usual, LOWEST_THRESHOLD) + _extra(age)


def _extra(age: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) nats on top of the threshold of households known for `age` days."""
    return NEWCOMER_EXTRA * np.maximum(0.0, 1 - age / NEWCOMER_DAYS)


def slot_of(local: int) -> int:
    """Half hour of the local day, 0..47, of local nanoseconds."""
    return int(local % DAY // (HOUR // 2))
