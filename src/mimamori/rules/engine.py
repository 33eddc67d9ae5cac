"""The engine: applies cells of readings and evaluates every rule on a fixed grid of time. Pure and in place.

May import model and rules. `step` buffers the readings of the cell that is not over yet, so that cutting the stream
anywhere gives bit-equal state, and evaluates a grid point only once `now` has passed it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.declared import Span
from mimamori.model.findings import DECLARED_AWAY, FindingBatch, Verdict, no_findings
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat, no_readings
from mimamori.model.times import MINUTE, NEVER, Nanos, Zone
from mimamori.rules.absences import ABSENCE_COLUMNS, Absences, Still, holds
from mimamori.rules.backing import Gate
from mimamori.rules.cell import CELL as EVIDENCE_CELL
from mimamori.rules.changes import findings_of, in_order
from mimamori.rules.columns import Columns
from mimamori.rules.evidence import EvidenceDetector
from mimamori.rules.fold import cells_of
from mimamori.rules.kinds import LAST, Detector, Evaluate, detector_of, turn_of, turns_of
from mimamori.rules.latest import CELL, Latest, Shared, cell_of, latest_columns
from mimamori.rules.level import LEVEL_CELL
from mimamori.rules.own import Own, Sets
from mimamori.rules.spec import CutOff, Evidence, Outage, Rule
from mimamori.rules.tune import Settings

GRID = MINUTE
FORMAT = 5
AT_ONCE = 4  # the format before rules were judged one after another: all at the minute
READABLE = {FORMAT, AT_ONCE}
PENDING = ("home", "device", "metric", "value", "taken", "got", "flags")


class Engine:
    """State of all households and the rules over it.

    homes may grow between steps. The engine never learns ids: findings carry rows. gates: by profile, when the vital
    signs of a device count.
    """

    def __init__(
        self, homes: Homes, rules: Sequence[Rule], metrics: Metrics, zone: Zone, *, gates: Sequence[Gate] = (),
        capacity: int = 64,
    ) -> None:  # fmt: skip
        self.rules, self._gate_of = tuple(rules), {gate.profile: row for row, gate in enumerate(gates, 1)}
        self._homes, self._zone = homes, zone
        declared = [*latest_columns(len(metrics)), *ABSENCE_COLUMNS]
        for rule in self.rules:
            declared += detector_of(rule).columns(rule)
        self._columns = Columns(declared, capacity=capacity)
        self._latest = Latest(self._columns, metrics, gates)
        shared = Shared(self._columns, self._latest, zone, metrics)
        self.detectors: list[Detector] = [detector_of(r)(r, i, shared) for i, r in enumerate(self.rules)]
        # Silence is judged first, larger causes before lesser: the others ask whom not to believe.
        self._order = sorted(self.detectors, key=turn_of)
        self._gateways = {
            g for r in self.rules if isinstance(r.condition, CutOff | Outage) for g in r.condition.gateways
        }
        self._turns = turns_of(self._order)
        self._stride = math.gcd(*(d.every for d in self.detectors)) or GRID
        self._latest.sum_up(sorted({d.metric for d in self.detectors if d.metric is not None}))
        self._later = [later for d in self.detectors for later in getattr(d, "later", ())]
        self._sent: set[int] = set()  # metrics that some household has sent
        self._absences = Absences(self._columns, self.rules)
        self._held = {i: self._names(r) for i, r in enumerate(self.rules) if holds(r.condition)}
        self._waiting = no_readings()
        self._evaluated = NEVER  # the last grid point, and so long after it as its rules have judged it
        self._sets = Sets()
        self._placed = 0
        self._fit()

    def _fit(self) -> None:
        known = self._columns.rows["device"]
        self._columns.fit(homes=len(self._homes), devices=self._homes.devices)
        if self._homes.devices > known:
            self._columns["device_home"][known:] = self._homes.device_home[known:]
            names = zip(self._homes.profile_of[known:], self._homes.device_ids[known:], strict=True)
            self._columns["gateway"][known:] = [(profile or device) in self._gateways for profile, device in names]
            self._set_gates(known)
        if self._homes.placed != self._placed:
            self._placed = self._homes.placed
            self._columns["district"][:] = self._homes.district_of

    def _set_gates(self, known: int) -> None:
        profiles = self._homes.profile_of[known : self._columns.rows["device"]]
        self._columns["gate"][known:] = [self._gate_of.get(profile, 0) for profile in profiles]

    def step(self, batch: ReadingBatch, now: int) -> FindingBatch:
        """Take readings that arrived up to `now` (ns) and evaluate every grid point before `now`.

        batch: any order; every got <= now and later than all readings of the step before. Returns what changed.
        """
        self._fit()
        if (batch.taken > batch.got).any():  # a clock that is ahead: nothing has happened before it was heard
            batch = replace(batch, taken=np.minimum(batch.taken, batch.got))
        found: list[FindingBatch] = []
        before, waited = self._evaluated, len(self._waiting) + len(batch)
        for readings in _parted(self._waiting, self._latest.news(batch), now):
            found += self._fold(readings, now)
        if self._evaluated != NEVER:
            found += self._evaluate_before(now)
        if self._evaluated == before and len(self._waiting) >= waited:  # a tick with time to spare
            for later in self._later:
                later.go_on()
        return in_order(found)

    def _fold(self, waiting: ReadingBatch, now: int) -> list[FindingBatch]:
        """Fold in the cells that are over at `now`, and evaluate the grid points that pass; the rest waits."""
        found: list[FindingBatch] = []
        ends, at, in_order = cells_of(waiting.got, CELL)
        if not in_order:
            waiting = waiting.take(np.argsort(cell_of(waiting.got), kind="stable"))
            ends, at, _ = cells_of(waiting.got, CELL)
        if self._evaluated == NEVER and len(at):
            self._evaluated = (int(at[0]) - 1) // GRID * GRID + LAST
        whole = int(np.searchsorted(at, now))  # the cell that `now` lies in may still bring more
        begin = first = 0
        for last in [*(np.flatnonzero(np.diff(-(-at[:whole] // GRID))) + 1).tolist(), whole]:
            if last > first:
                found += self._evaluate_before(int(at[first]))
                self._latest.apply(waiting, begin, ends[first:last], at[first:last])
                begin, first = int(ends[last - 1]), last
        self._waiting = waiting.take(slice(begin, None))
        return found

    def _evaluate_before(self, at: int) -> list[FindingBatch]:
        """Judge whatever is due in (last, at): all readings up to its grid points have been applied."""
        found: list[FindingBatch] = []
        point = self._evaluated // GRID * GRID
        while point < at:
            for after, turns in self._turns:
                if self._evaluated < point + after < at:
                    if after == 0:
                        found += self._turn_absences(point)
                    for detector, evaluate in turns:
                        if point % detector.every == 0 and not self._idle(detector):
                            found.append(self._judge(detector, evaluate, point))
                    if after == LAST:
                        self._begin_cells(point)
                    self._evaluated = point + after
            point += GRID
            if point % self._stride:  # no rule looks before the next whole one
                point = max(point, min(-(-point // self._stride) * self._stride, (at - 1 - LAST) // GRID * GRID))
        return [f for f in found if len(f)]

    def declare(self, absences: Mapping[int, Sequence[Span]]) -> None:
        """All declared absences, by household (row): (from, until) in ns, until NEVER for until further notice.

        It replaces all before, and holds from the first grid point that is not judged yet: to be called after the step
        of the time at which it was said.
        """
        self._fit()
        self._absences.declare(absences)

    def _turn_absences(self, at: int) -> list[FindingBatch]:
        """Who left, and who came home: what is held says UNKNOWN once, and begins anew at the return."""
        left, back = self._absences.turn(at)
        found: list[FindingBatch] = []
        if len(left):
            for i in self._held:
                verdict = self._columns[f"{self.rules[i].name}.verdict"]
                knew = left[verdict[left] != Verdict.UNKNOWN]
                if len(knew):
                    verdict[knew] = Verdict.UNKNOWN
                    level = self._columns[f"{self.rules[i].name}.level"]
                    found.append(_held(knew, i, level[knew], self._columns["absent_from"][knew], at))
        if len(back):
            self._absences.come_home(back, [self.rules[i] for i in self._held], at)
        return found

    def _judge(self, detector: Detector, evaluate: Evaluate, at: int) -> FindingBatch:
        """What a rule finds at `at`; in homes where it is held it finds nothing, and nothing of it changes."""
        rows = self._absences.held
        names = self._held.get(self.detectors.index(detector)) if len(rows) else None
        if names is None:
            return evaluate(at)
        still = Still(self._columns, names, rows)
        found = evaluate(at)
        still.put_back()
        return found.take(np.flatnonzero(~np.isin(found.home, rows))) if len(found) else found

    def _names(self, rule: Rule) -> tuple[str, ...]:
        """The columns of a rule that have a row a household; none of a rule that passes over the held by itself."""
        if isinstance(rule.condition, Evidence):
            return ()
        return tuple(c.name for c in detector_of(rule).columns(rule) if c.axis == "home")

    def _begin_cells(self, at: int) -> None:
        """Empty what ends at `at`, after every rule has seen it: a site may have several rules of one kind."""
        self._latest.begin_minute()
        if at % EVIDENCE_CELL == 0:
            self._latest.begin_evidence_cell()
            if (self._zone.local(at - 1) + 1) % LEVEL_CELL == 0:
                self._latest.begin_level_cell()

    def _idle(self, detector: Detector) -> bool:
        """A rule about a metric that no household has ever sent has nothing to say."""
        if detector.metric is None or detector.metric in self._sent:
            return False
        if (self._columns["taken"][detector.metric] != NEVER).any():
            self._sent.add(detector.metric)
        return detector.metric not in self._sent

    def resume(self, now: int) -> FindingBatch:
        """Go on after a time in which nobody watched, up to `now` (ns): it was not quiet, it was unknown.

        No grid point of it is judged, no device is called silent for not having been heard in it, nobody missed for
        not having been seen, and nobody away for longer. Returns what the last grid point before it had still to say.
        """
        if self._evaluated == NEVER or now <= self._evaluated // GRID * GRID + GRID:
            return no_findings()
        found = self._evaluate_before(self._evaluated // GRID * GRID + LAST + 1)
        last = self._evaluated - LAST
        point = (now - 1) // GRID * GRID
        before = cell_of(self._waiting.got) <= point  # came before that time: folded in now, it would be heard long ago
        ends, at, _ = cells_of(self._waiting.got[before], CELL)
        if len(ends):
            self._latest.apply(self._waiting.take(before), 0, ends, at)
        self._waiting = self._waiting.take(~before)
        for name in ("heard", "late_from", "spoken", "counts_from"):
            heard = self._columns[name]
            heard[heard != NEVER] += point - last
            np.minimum(heard, point, out=heard)
        door = self._columns["last_door"]
        door[self._columns["out"] & (door != NEVER)] += point - last
        for detector in self.detectors:
            if isinstance(detector, EvidenceDetector):
                detector.resume(point - last)
        self._columns["spoke"][:] = True  # so that every device is judged by what it was heard last
        self._evaluated = point + LAST
        return in_order(found)

    def current(self) -> FindingBatch:
        """The full picture at the last grid point, for recovery: edge for flow, level for repair."""
        at = NEVER if self._evaluated == NEVER else self._evaluated // GRID * GRID
        return in_order([d.current(at) for d in self.detectors])

    def forget_devices(self, rows: Sequence[int]) -> None:
        """Devices (rows) that were taken out of use: from now on their silence says nothing."""
        self._fit()
        self._columns["heard"][list(rows)] = NEVER
        self._columns["offline"][list(rows)] = False
        self._columns["silent"][list(rows)] = False
        self._columns["late"][list(rows)] = False
        heard = self._columns["heard"] != NEVER
        talks = np.bincount(self._columns["device_home"][heard], minlength=len(self._homes)) > 0
        self._columns["spoken"][~talks] = NEVER  # a home without devices has nothing to say

    def set_own(self, own: Mapping[int, Mapping[str, Settings]]) -> None:
        """From now on these households (rows) have parameters of their own: settings by rule. It replaces all before.

        Raises ValueError, and nothing has changed, where a rule does not take a setting or a bound is passed.
        """
        each = self._sets.take(own, self.rules)
        for rule, detector in zip(self.rules, self.detectors, strict=True):
            if isinstance(held := getattr(detector, "own", None), Own):
                held.take(each[rule.name])
        self._fit()
        self._sets.place(self._columns["own"])

    def view(self, name: str) -> NDArray[Any]:
        """A copy of one column, for the console; rows as in `homes`."""
        self._fit()
        self._finish()
        return self._columns[name].copy()

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """All state as arrays; `restore` on a new engine with the same homes and rules continues bit-equally."""
        self._finish()
        saved = self._columns.snapshot()
        w = self._waiting  # in an order that does not tell how the readings were cut
        w = w.take(np.lexsort((w.device, w.value, w.metric, w.taken, w.home, w.got)))
        saved |= {f"waiting.{name}": getattr(w, name) for name in PENDING}
        saved["absences"] = self._absences.snapshot()
        saved["engine"] = self.position()
        return saved

    def position(self) -> NDArray[np.int64]:
        """Format, how far it has judged, households and devices: what a snapshot is known by."""
        return np.array([FORMAT, self._evaluated, len(self._homes), self._homes.devices], np.int64)

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot. Raises ValueError if it is of another format or of more homes than are known."""
        version, evaluated, homes, devices = (int(v) for v in saved["engine"])
        if version not in READABLE or homes > len(self._homes) or devices > self._homes.devices:
            msg = f"snapshot of format {version} with {homes} households does not fit; start without it"
            raise ValueError(msg)
        for later in self._later:
            later.drop()
        self._columns.restore(saved)
        self._absences.restore(saved.get("absences"))
        self._sets.place(self._columns["own"])
        self._placed = -1  # districts are the register's, not the snapshot's
        self._set_gates(0)  # by the profiles of today
        # copies: what comes from a file may be read-only, which is another type to compiled loops
        self._waiting = ReadingBatch(**{name: saved[f"waiting.{name}"].copy() for name in PENDING})
        self._evaluated = evaluated + (LAST if version == AT_ONCE and evaluated != NEVER else 0)

    def _finish(self) -> None:
        """Do all that could wait."""
        for later in self._later:
            later.finish()

    def inherit(self, saved: Mapping[str, NDArray[Any]], rules: Mapping[str, str]) -> None:
        """Begin with what another engine of the same homes knows: its shared columns and, for rules by their name here,
        the columns of the rule so named there. What has another shape there (sums of the minute) begins anew.
        """
        self._fit()
        for later in self._later:
            later.drop()
        for name in self._columns.declared:
            rule, dot, column = name.rpartition(".")
            source = saved.get(f"{rules[rule]}.{column}" if dot and rule in rules else name)
            mine = self._columns[name]
            if source is not None and source.shape[:-1] == mine.shape[:-1] and source.dtype == mine.dtype:
                mine[..., : source.shape[-1]] = source[..., : mine.shape[-1]]
        self._absences.restore(saved.get("absences"))
        self._sets.place(self._columns["own"])
        self._placed = -1
        self._set_gates(0)
        self._waiting = ReadingBatch(**{name: saved[f"waiting.{name}"].copy() for name in PENDING})
        self._evaluated = int(saved["engine"][1])

    def bytes_per_home(self) -> int:
        """Bytes of state for one household, without its devices."""
        return self._columns.bytes_per_home()


def _parted(waiting: ReadingBatch, new: ReadingBatch, now: int) -> list[ReadingBatch]:
    """What waits together with what is new of the same cells, and the rest, which is not copied for a few rows."""
    if len(waiting) and len(new):
        over = int(cell_of(waiting.got).max())
        if over < now and over < new.got[-1] and bool((new.got[1:] >= new.got[:-1]).all()):
            same = int(np.searchsorted(new.got, over, side="right"))
            return [concat([waiting, new.take(slice(same))]), new.take(slice(same, None))]
    return [concat([waiting, new])]


def _held(rows: NDArray[np.intp], rule: int, level: NDArray[np.int8], since: Nanos, at: int) -> FindingBatch:
    """From now on a rule tells nothing of these households: declared away since then."""
    return findings_of(
        rows, rule=rule, verdict=np.full(len(rows), np.int8(Verdict.UNKNOWN)), level=level, since=since,
        score=np.full(len(rows), DECLARED_AWAY), facts=lambda rows: np.empty((len(rows), 0)), home=None, at=at,
    )  # fmt: skip
