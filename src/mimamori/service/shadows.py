"""Shadow rules: other parameters of a rule at work beside it, telling nobody; what they would have told is kept.

May import rules, web's changes and the ledger. An engine of their own, so that a shadow can neither slow a rule down by
more than itself nor break it; one that raises is stopped and shown. Reads no clock.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.alerts.seen import PRIORITY_OF
from mimamori.model.declared import Span
from mimamori.model.findings import FindingBatch, Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import MINUTE, NEVER, to_datetime
from mimamori.rules.engine import Engine
from mimamori.rules.explain import explain_of
from mimamori.rules.kinds import facts_of, judged_first
from mimamori.rules.spec import Rule, watched
from mimamori.rules.tune import Settings, digest_of, with_settings
from mimamori.site import Site
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.records import ShadowAlert, Trial
from mimamori.web.changes import settings_of

log = logging.getLogger(__name__)
PREFIX = "shadow."
AGAIN = 10 * MINUTE
"""A condition that comes back so soon is the same alert."""
_LEVEL = {"low": 1, "medium": 2, "high": 3}


@dataclass(slots=True)
class Shadows:
    """Every trial that is running. homes: the loop's own registry."""

    homes: Homes
    trials: tuple[Trial, ...] = ()
    broken: str = ""  # what stopped them, "" while they work
    _engine: Engine | None = None
    _site: Site | None = None
    _of_rule: list[Trial | None] = field(default_factory=list)  # by index in the engine's rules
    _newest: dict[tuple[str, str, str], ShadowAlert] = field(default_factory=dict)
    _fresh: dict[str, ShadowAlert] = field(default_factory=dict)  # not in the ledger yet
    _own: Mapping[int, Mapping[str, Settings]] = field(default_factory=dict)

    async def take(self, trials: Sequence[Trial], site: Site, live: Engine, ledger: Ledger) -> None:
        """The trials as they stand now; new ones begin with what the live rule has learned. Raises LedgerError.

        site: as its files say, which is what settings differ from.
        """
        running = tuple(t for t in trials if t.status == "running" and _rule_of(t, site) is not None)
        if running == self.trials and site == self._site:
            return
        await self._recall(running, ledger)
        self._build(running, site, live.snapshot())

    async def restore(self, site: Site, saved: Mapping[str, NDArray[Any]], live: Engine, ledger: Ledger) -> None:
        """As they were when `saved` was made by `snapshot`; those that are not in it begin from the live rule."""
        trials = await ledger.trials()
        running = tuple(t for t in trials if t.status == "running" and _rule_of(t, site) is not None)
        await self._recall(running, ledger)
        mine = {name.removeprefix(PREFIX): array for name, array in saved.items() if name.startswith(PREFIX)}
        self._build(running, site, live.snapshot(), mine)

    async def _recall(self, running: Sequence[Trial], ledger: Ledger) -> None:
        """What trials that are new to this process have told before."""
        known = {t.id for t in self.trials}
        for trial in running:
            if trial.id not in known:
                for alert in await ledger.shadow_alerts(trial.id):
                    self._remember(alert)

    def _build(
        self, running: tuple[Trial, ...], site: Site, live: Mapping[str, NDArray[Any]],
        saved: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:  # fmt: skip
        before = saved or (self._engine.snapshot() if self._engine else {})
        self.trials, self._site, self._engine, self.broken, self._own = running, site, None, "", {}
        if not running:
            return
        rules: list[Rule] = [r for r in site.rules if judged_first(r)]
        shadows = [found for t in running if (found := _rule_of(t, site)) is not None]
        rules += [seen for s in shadows for seen in watched(s, site.rules) if seen not in rules]
        self._of_rule = [*([None] * len(rules)), *running]
        rules += shadows
        self._engine = Engine(self.homes, rules, site.metrics, site.zone, gates=site.gates)
        self._engine.inherit(live, {f"{t.rule}~{t.id}": t.rule for t in running})
        kept = {f"{t.rule}~{t.id}" for t in running if f"{t.rule}~{t.id}.verdict" in before}
        if kept:
            self._engine.inherit(before, {name: name for name in kept})

    def resume(self, now: int) -> None:
        """As Engine.resume."""
        if self._engine is not None:
            self._note(self._engine.resume(now))

    def set_own(self, own: Mapping[int, Mapping[str, Settings]]) -> None:
        """Each household's own parameters hold under a shadow too, where it takes them."""
        if self._engine is None or own == self._own:
            return
        self._own = own
        rows = {row: {f"{t.rule}~{t.id}": rules.get(t.rule, {}) for t in self.trials} for row, rules in own.items()}
        try:
            self._engine.set_own(rows)
        except ValueError as error:
            log.warning("shadow rules without the households' own parameters: %s", error)

    def step(self, batch: ReadingBatch, now: int) -> None:
        """As Engine.step; a shadow that raises stops them all, and nothing else."""
        if self._engine is None:
            return
        try:
            self._note(self._engine.step(batch, now))
        except Exception as error:
            self.broken, self._engine = type(error).__name__, None
            log.exception("shadow rules have stopped")

    def declare(self, absences: Mapping[int, Sequence[Span]]) -> None:
        """As Engine.declare."""
        if self._engine is not None:
            self._engine.declare(absences)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Their engine's state, to lie beside the live one's."""
        return {} if self._engine is None else {PREFIX + n: a for n, a in self._engine.snapshot().items()}

    async def keep(self, ledger: Ledger) -> None:
        """What is new goes into the ledger; what cannot now, with the next tick."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, {}
        try:
            await ledger.put_shadow_alerts(list(fresh.values()))
        except LedgerError:
            self._fresh = fresh | self._fresh

    def _note(self, findings: FindingBatch) -> None:
        for i in np.flatnonzero(np.isin(findings.verdict, (Verdict.FIRING, Verdict.CLEAR))).tolist():
            trial = self._of_rule[int(findings.rule[i])]
            if trial is not None:
                self._tell(trial, findings, i)

    def _tell(self, trial: Trial, findings: FindingBatch, i: int) -> None:
        household, at, device = self.homes.ids[findings.home[i]], int(findings.at[i]), int(findings.device[i])
        name = self.homes.device_ids[device] if device >= 0 else ""
        last = self._newest.get((trial.id, household, name))
        going = last is not None and last.ended == NEVER
        if findings.verdict[i] == Verdict.CLEAR:
            if last is not None and going:
                self._change(replace(last, ended=at))
            return
        priority = PRIORITY_OF.get(int(findings.level[i]), "low")
        if last is not None and (going or at - last.ended <= AGAIN):
            higher = _LEVEL[priority] > _LEVEL[last.priority]
            self._change(replace(last, ended=NEVER, priority=priority if higher else last.priority))
            return
        ja, en = self._words(findings, i)
        stamp = to_datetime(at).strftime("%Y%m%dT%H%M%SZ")
        self._change(ShadowAlert(
            id="/".join((trial.id, household, trial.rule, *([name] if name else []), stamp)), trial=trial.id,
            household=household, device=name, priority=priority, opened=at, ended=NEVER, why_ja=ja, why_en=en,
        ))  # fmt: skip

    def _words(self, findings: FindingBatch, i: int) -> tuple[str, str]:
        assert self._engine is not None
        assert self._site is not None
        rule, at = self._engine.rules[int(findings.rule[i])], int(findings.at[i])
        facts = {n: float(v) for n, v in zip(facts_of(rule), findings.facts[i], strict=False) if v == v}  # noqa: PLR0124
        since = int(findings.since[i])
        return explain_of(rule, self._site.zone, self._site.metrics, self._site.rules)(
            facts, at if since == NEVER else since, at
        )

    def _change(self, alert: ShadowAlert) -> None:
        self._remember(alert)
        self._fresh[alert.id] = alert

    def _remember(self, alert: ShadowAlert) -> None:
        key = (alert.trial, alert.household, alert.device)
        if key not in self._newest or self._newest[key].opened <= alert.opened:
            self._newest[key] = alert


def _rule_of(trial: Trial, site: Site) -> Rule | None:
    """The trial as a rule of its own name; None if its file has changed, or no longer takes the settings."""
    rule = next((r for r in site.rules if r.name == trial.rule), None)
    if rule is None or digest_of(rule) != trial.base:
        return None
    try:
        return with_settings(rule, settings_of(trial)).model_copy(update={"name": f"{trial.rule}~{trial.id}"})
    except ValueError:
        return None
