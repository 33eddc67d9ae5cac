"""A rule with other parameters on the readings that are stored: the alerts as they were, and as they would have been.

May import everything from site down. Runs in a process of its own, so that the live loop is not slowed; only the rule
in question works, on the metrics it looks at, before and after side by side in one engine. Reads no clock.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np

from mimamori.alerts.book import Book
from mimamori.alerts.fold import fold_all
from mimamori.alerts.hindsight import EARLIER, look_back
from mimamori.model.declared import Declaration
from mimamori.model.findings import FindingBatch, Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import no_readings
from mimamori.model.times import DAY, HOUR, iso, parse_instant
from mimamori.replay import SILENT_TAIL, Episodes, by_time
from mimamori.rules.engine import Engine
from mimamori.rules.kinds import judged_first
from mimamori.rules.spec import Band, Climate, Rule, watched
from mimamori.rules.told import Told
from mimamori.rules.tune import Settings, with_settings
from mimamori.site import Site, load_site
from mimamori.store.browse import Shelf
from mimamori.store.ledger import Ledger
from mimamori.web.changes import changed_site, own_limits, settings_of

CHANGED = "~"  # after the name of the rule that has the new parameters
LEARN = 14 * DAY
"""Before the days in question, for rules that learn a household's habits: alerts in it are not counted."""
MOST_PROCESSES, BLOCK = 2, 500
"""Side by side; households in one of them at a time, for the sake of memory."""

SHOWN = 300
KEEPS = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}  # of glibc, bytes

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to rehearse: `settings` instead of `before`, both of them all that differs from the rule's file.

    own: settings of single households, by household and rule. until: ns, up to which the store is read. districts: of
    households, as a power cut takes them together. declared: what was said of absences.
    """

    rule: str
    settings: Mapping[str, float | str]
    days: int
    until: int
    before: Mapping[str, float | str] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Settings]] = field(default_factory=dict)
    districts: Mapping[str, str] = field(default_factory=dict)
    declared: Sequence[Declaration] = ()


@dataclass(slots=True)
class Found:
    """Alert lines, one an episode, under the rule as it is and as it would be; and what they rest on."""

    before: list[Line] = field(default_factory=list)
    after: list[Line] = field(default_factory=list)
    readings: int = 0
    households: int = 0


def rule_of(site: Site, name: str) -> Rule:
    """Raises ValueError if there is none."""
    found = next((r for r in site.rules if r.name == name), None)
    if found is None:
        raise ValueError(f"there is no rule {name}; known: {', '.join(r.name for r in site.rules)}")
    return found


def needs(rule: Rule) -> tuple[list[str] | None, int]:
    """(metrics that the rule looks at, None for all; ns to learn from beforehand)."""
    condition = rule.condition
    if isinstance(condition, Band):
        return [condition.metric, "in_bed", "body_movement"], HOUR
    if isinstance(condition, Climate):
        return ["temperature", "humidity"], HOUR
    return None, LEARN


def reads(asked: Asked, rule: Rule, households: Sequence[str]) -> tuple[list[str] | None, int]:
    """As `needs`, of these households: where an absence was declared, any sensor may tell of the return."""
    if {d.household for d in asked.declared}.isdisjoint(households):
        return needs(rule)
    return None, LEARN


class _Side:
    """One of the two: a book and its lines. A home that this rule never fired in is passed over."""

    def __init__(self, site: Site, rule: str, index: int) -> None:
        info = next(i for i in site.rule_infos if i.name == rule)
        self._book, self._episodes = Book([info], site.alerts), Episodes(site.zone.name)
        self._index, self._fired = index, np.zeros(0, bool)

    def take(self, findings: FindingBatch, homes: Homes, now: int) -> None:
        if len(self._fired) < len(homes):
            self._fired = np.append(self._fired, np.zeros(len(homes) - len(self._fired), bool))
        mine = findings.take(findings.rule == self._index)
        self._fired[mine.home[mine.verdict == Verdict.FIRING]] = True
        mine = mine.take(self._fired[mine.home])
        mine = replace(mine, rule=np.zeros(len(mine), np.int16))
        for part, at in by_time(mine, now):
            for event in self._book.apply(part, homes, at):
                self._episodes.tell(event, self._book.alert(event.alert))

    def lines(self, since: int) -> list[Line]:
        return [line for line in self._episodes.lines() if parse_instant(line["opened"]) >= since]


def rehearse_some(site: Site, asked: Asked, folder: Path, households: Sequence[str] | None, tell: Callable[[], None]) -> Found:  # fmt: skip  # noqa: E501
    """These households, in this process; `tell` is called after each day. Raises StoreError, ValueError."""
    rule = rule_of(site, asked.rule)
    changed = with_settings(rule, asked.settings).model_copy(update={"name": rule.name + CHANGED})
    rule = with_settings(rule, asked.before)
    homes = Homes()
    shelf = Shelf(folder, homes, site.metrics, households)
    metrics, learn = reads(asked, rule, shelf.households)
    rules = [r for r in site.rules if judged_first(r) and metrics is None and r.name != rule.name]
    rules += [seen for seen in watched(rule, site.rules) if seen not in rules]
    rules += [rule, changed]
    for household in shelf.households:
        homes.place(household, asked.districts.get(household, ""))
    engine = Engine(homes, rules, site.metrics, site.zone, gates=site.gates, capacity=max(len(homes), 1))
    own = {homes.find(h): {r: s.get(rule.name, {}) for r in (rule.name, changed.name)} for h, s in asked.own.items()}
    engine.set_own({row: s for row, s in own.items() if row >= 0})
    told = Told(engine, homes, [d for d in asked.declared if homes.find(d.household) >= 0])
    sides = [_Side(site, rule.name, len(rules) - 2), _Side(site, rule.name, len(rules) - 1)]
    found = Found(households=len(homes))
    begin = asked.until - asked.days * DAY
    start = max(begin - learn, shelf.span()[0])
    now = start
    try:
        for now, batch in shelf.days(start, asked.until, metrics):
            findings = told.step(batch, now)
            for side in sides:
                side.take(findings, homes, now)
            found.readings += len(batch)
            tell()
        findings = told.step(no_readings(), now + SILENT_TAIL)
        for side in sides:
            side.take(findings, homes, now + SILENT_TAIL)
    finally:
        shelf.close()
    found.before, found.after = (side.lines(begin) for side in sides)
    return found


def rehearse(
    site: Site, asked: Asked, folder: Path, *, told: Callable[[int, int], None], processes: int = MOST_PROCESSES
) -> Found:
    """All stored households, by several processes side by side. told: (days done, of so many), of all processes.

    Raises StoreError if there are no readings, ValueError for settings that the rule does not take.
    """
    rule = rule_of(site, asked.rule)
    with_settings(rule, asked.settings)  # refused here, before any work
    shelf = Shelf(folder, Homes(), site.metrics)
    households, span = shelf.households, shelf.span()
    shelf.close()
    n = max(1, min(processes, os.cpu_count() or 1, len(households) // 20))
    shares = _shares(asked, rule, households, max(n, -(-len(households) // BLOCK)) if n > 1 else 1)
    days = sum(_days_of(asked, reads(asked, rule, share)[1], span[0]) for share in shares)
    if n == 1:
        done = [0]

        def one() -> None:
            done[0] += 1
            told(done[0], days)

        return _together([rehearse_some(site, asked, folder, share, one) for share in shares])
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    pool_of = ProcessPoolExecutor(n, mp_context=context, initializer=_begin, initargs=(queue, site.folder))
    with _memory_kept(), pool_of as pool:
        parts = [pool.submit(_work, asked, folder, share) for share in shares]
        done_days = 0
        while not all(part.done() for part in parts):
            try:
                queue.get(timeout=0.2)
            except Empty:
                continue
            done_days += 1
            told(done_days, days)
        return _together([part.result() for part in parts])


@contextmanager
def _memory_kept() -> Iterator[None]:
    """Processes begun within keep what they held for a day for the next one, where the C library is glibc: giving some
    hundred megabytes back and asking for them again takes a quarter of the time of a rehearsal.
    """
    before = {name: os.environ.get(name) for name in KEEPS}
    os.environ.update(KEEPS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _days_of(asked: Asked, learn: int, first: int) -> int:
    return -(-max(asked.until - max(asked.until - asked.days * DAY - learn, first), 0) // DAY)


def _shares(asked: Asked, rule: Rule, households: Sequence[str], blocks: int) -> list[list[str]]:
    """Who is rehearsed together; those of whom more must be read are apart."""
    if needs(rule)[0] is None:
        return [share for share in shared_out(households, asked.districts, blocks) if share]
    declared = {d.household for d in asked.declared}  # such a rule asks nobody whether the power is cut
    away = [h for h in households if h in declared]
    shares = shared_out([h for h in households if h not in declared], {}, blocks)
    return [share for share in [*shares, *shared_out(away, {}, max(1, -(-len(away) // BLOCK)))] if share]


_queue: Any = None
_site: Site | None = None


def shared_out(households: Sequence[str], districts: Mapping[str, str], blocks: int) -> list[list[str]]:
    """The households in so many parts, a district in one of them: half of its homes would tell of no power cut.

    Those without a district are taken in turn.
    """
    groups: dict[str, list[str]] = {}
    for household in households:
        groups.setdefault(districts.get(household, ""), []).append(household)
    loose, parts = groups.pop("", []), [list[str]() for _ in range(blocks)]
    for group in sorted(groups.values(), key=len, reverse=True):
        min(parts, key=len).extend(group)
    for household in loose:
        min(parts, key=len).append(household)
    return parts


def _begin(queue: Any, folder: Path) -> None:
    global _queue, _site
    _queue, _site = queue, load_site(folder)


def _work(asked: Asked, folder: Path, households: Sequence[str]) -> Found:
    assert _site is not None
    return rehearse_some(_site, asked, folder, households, lambda: _queue.put(1))


def _together(parts: Sequence[Found]) -> Found:
    whole = Found()
    for part in parts:
        whole.before += part.before
        whole.after += part.after
        whole.readings += part.readings
        whole.households += part.households
    for lines in (whole.before, whole.after):
        lines.sort(key=lambda line: (line["opened"], line["id"]))
    return whole


async def ask(ledger: Ledger, site: Site, rule: str, settings: Settings, days: int) -> Asked:
    """The question as the ward stands now: with the changes in force and each household's own parameters."""
    trials, limits, mark = await ledger.trials(), await ledger.limits(), await ledger.engine_mark()
    if mark is None:
        raise ValueError("まだ記録がありません / the service has not stored anything yet")
    present, _ = changed_site(site, trials)
    own, _ = own_limits(limits, present.rules, mark.at)
    held: Mapping[str, float | str] = next(
        (settings_of(t) for t in trials if t.rule == rule and t.status == "in-force"), {}
    )
    districts = {r.household: r.area for r in await ledger.residents() if r.area}
    return Asked(
        rule=rule, settings=settings, before=held, days=days, until=mark.at, own=own, districts=districts,
        declared=await ledger.declarations(),
    )  # fmt: skip


async def answer(ledger: Ledger, asked: Asked, found: Found) -> dict[str, Any]:
    """What the console shows of it: JSON-ready. Lists are cut to SHOWN; their numbers are whole."""
    begins = asked.until - asked.days * DAY
    events = await ledger.alert_events(since=begins - EARLIER)
    opened = {e.alert for e in events if e.kind == "opened"}
    alerts = list(fold_all([e for e in events if e.alert in opened]).values())
    seen = look_back(found.before, found.after, events, alerts)
    lists = {name: [asdict(told) for told in getattr(seen, name)[:SHOWN]] for name in ("added", "removed", "homes")}
    return {
        "rule": asked.rule, "settings": dict(asked.settings), "before_settings": dict(asked.before),
        "days": asked.days, "begins": iso(begins), "ends": iso(asked.until), "households": found.households,
        "readings": found.readings, "before": seen.before, "after": seen.after, "kept": seen.kept,
        "raised": seen.raised, "lowered": seen.lowered, "added_count": len(seen.added),
        "removed_count": len(seen.removed), "added_truth": seen.truths["added"],
        "removed_truth": seen.truths["removed"],
        "minutes_each": seen.minutes_each, "measured": seen.measured, "minutes": round(seen.minutes, 1), **lists,
    }  # fmt: skip
