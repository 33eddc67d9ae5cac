"""The tick loop: device to human, one I/O hop at each end and pure calls between. Replay is the same calls.

May import everything from board down. Reads no clock but the one it is given. A part that fails is counted, shown as a
light and tried again; the loop goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from mimamori.alerts.book import Book
from mimamori.alerts.follow import Ways, follow
from mimamori.alerts.group import History, remember
from mimamori.alerts.hooks import webhook_notices
from mimamori.alerts.plan import Person, plan
from mimamori.model.alert import AlertEvent
from mimamori.model.commands import CommandError
from mimamori.model.findings import FindingBatch, Verdict, no_findings
from mimamori.model.homes import Homes
from mimamori.model.notice import Notice
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import HOUR, NEVER, SECOND
from mimamori.notify.outbox import Outbox
from mimamori.rules.engine import Engine
from mimamori.rules.tune import Settings
from mimamori.sensors.collector import Collector
from mimamori.service.away import Away
from mimamori.service.board import Wall
from mimamori.service.coverage import Coverage
from mimamori.service.duties import Duties
from mimamori.service.inlet import Inlet
from mimamori.service.judging import Judging
from mimamori.service.lights import Lights
from mimamori.service.marks import Marks
from mimamori.service.shadows import Shadows
from mimamori.service.snapshot import rows_of
from mimamori.service.stall import Stall
from mimamori.service.unwatched import Watch, go_on
from mimamori.site import Site
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.readings import ReadingStore
from mimamori.store.records import Resident
from mimamori.stream.clock import MILLISECOND, Clock
from mimamori.web.changes import OwnLimits, own_by_row
from mimamori.web.desk import Desk, View

log = logging.getLogger(__name__)

WAIT_S = 0.05  # wall seconds the loop waits for messages before it looks at the time again
TICK = SECOND
VIEW_S = 0.25  # wall seconds between views for the consoles
VIEWED_A_SECOND = 100_000  # households: views of more than some ten thousand come less often
SHOWN_RESOLVED = 50


@dataclass(slots=True, kw_only=True)
class Loop:
    """Everything one running service needs, and the counts it keeps."""

    site: Site
    clock: Clock
    homes: Homes
    readings: ReadingStore
    ledger: Ledger
    collector: Collector
    inlet: Inlet
    marks: Marks
    engine: Engine
    book: Book
    history: History
    outbox: Outbox
    desk: Desk
    people: Mapping[str, Person]
    residents: Mapping[str, Resident]
    ways: Ways
    duties: Duties
    stall: Stall
    watch: Watch
    webhooks: Outbox  # an outbox of their own: a slow program never holds up a message to a person
    shadows: Shadows
    away: Away
    judging: Judging[FindingBatch]
    counts: Counter[str]
    addresses: Mapping[str, str] = field(default_factory=dict)  # of the webhooks in use, by id
    missed: Sequence[AlertEvent] = ()  # found before a restart, not yet in the ledger: committed with the first tick
    lights: Lights
    coverage: Coverage = field(default_factory=Coverage)
    own: Mapping[int, Mapping[str, Settings]] = field(default_factory=dict)
    resumed: int = NEVER  # until when the engine was brought from a snapshot, before the first tick
    _waiting: list[ReadingBatch] = field(default_factory=list)
    _events: list[AlertEvent] = field(default_factory=list)
    _ticked: int = NEVER
    _viewed: float = 0.0
    _wall: Wall = field(default_factory=Wall)

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until `stop` is set; then leave a snapshot behind."""
        wall = asyncio.get_running_loop().time
        self._events += self.missed
        while not stop.is_set():
            await self.collector.wait(WAIT_S)
            batch = await self.inlet.take(self.clock.now(), self._ticked, self._meanwhile)
            if len(batch):
                self._waiting.append(batch)
            if self.judging.done:
                await self._end_tick()
            now = self.clock.now()
            if not self.judging.busy and wall() - self._viewed >= max(VIEW_S, len(self.homes) / VIEWED_A_SECOND):
                self.show(now)
                self._viewed = wall()
            due = now - self._ticked >= TICK or (now > self._ticked and not self.desk.commands.empty())
            if due and not self.judging.busy:
                await self._begin_tick(now)
                if self.judging.done:
                    await self._end_tick()
        if self.judging.begun:
            await self._end_tick()
        await self.marks.end()
        await self._begin_tick(max(self.clock.now(), self._ticked + MILLISECOND))
        await self._end_tick()
        await self.marks.end()
        self.judging.close()

    async def _meanwhile(self) -> None:
        """While the disk takes nothing the book goes on: who was called and did not answer, and that we stall."""
        if self.judging.begun:
            await self._end_tick()
        await self._decide(self.clock.now())
        if not self.judging.busy:
            self.show(self.clock.now())

    async def _begin_tick(self, now: int) -> None:
        """Everything that came until `now` goes to the engine; what comes meanwhile belongs to the next tick."""
        batch, self._waiting = concat(self._waiting), []
        before = self.resumed if self._ticked == NEVER else self._ticked
        gap = await self.watch.look(before, now, self.clock.speed)
        if gap:
            self._events += self.stall.look(self.book, before, now, self.clock.speed)
            self.coverage.downtime(before, now)
        self._ticked = now
        await self.judging.begin(lambda: self._judge(batch, now, gap=gap), self.collector.wake)

    def _judge(self, batch: ReadingBatch, now: int, *, gap: bool) -> FindingBatch:
        """In the thread of `judging`: touches the engine and the shadows only."""
        if gap:
            found = go_on(self.engine, batch, now)
            go_on(self.shadows, batch, now)
            return found
        found = self.engine.step(batch, now)
        self.shadows.step(batch, now)
        return found

    async def _end_tick(self) -> None:
        """What the engine found is decided and committed; then a snapshot, if one is due."""
        now = self._ticked
        findings = await self.judging.end(lambda: self.away.declare((self.engine, self.shadows), now))
        self.counts["ticks"] += 1
        self.counts["findings"] += int((findings.verdict == Verdict.FIRING).sum())
        committed = await self._decide(now, findings)
        if committed and self.marks.due:
            await self.marks.begin(now, self.site.digest, self._snapshot)

    async def _decide(self, now: int, findings: FindingBatch | None = None) -> bool:
        """What the book makes of findings, commands and the time; committed, then answered. Also while we stall.

        Whether the ledger has all that came of it.
        """
        self._events += self.book.apply(no_findings() if findings is None else findings, self.homes, now)
        self._events += self.stall.look(self.book, self._ticked, now, self.clock.speed)
        answers = self._obey(now)
        others = await self._follow(now)
        tests = await self._duties(now)
        planned = plan(self._events, self.book, self.people, self.history, now)
        told = webhook_notices(self._events, self.book, self.addresses, now)
        planned = replace(
            planned, notices=(*planned.notices, *others, *tests, *told), history=remember(planned.history, others)
        )  # fmt: skip
        said = tuple(self.away.fresh)
        if self._events or planned.notices or planned.cancelled or said:
            try:
                await self.ledger.commit(
                    events=self._events, notices=planned.notices, cancelled=planned.cancelled, declared=said, now=now
                )
            except LedgerError as error:
                # The book already holds the events; they stay in hand and are committed with the next tick.
                self.counts["ledger_failures"] += 1
                self.lights.ledger(error)
                _answer(answers, CommandError("台帳に書けません。もう一度お試しください。"))
                return False
        self.lights.ledger()
        self.history, self.away.fresh = planned.history, []
        self.counts["alerts"] += sum(e.kind in {"opened", "reopened"} for e in self._events)
        self.counts["notices"] += len(planned.notices) - len(told)
        self.counts["unreached"] += len(planned.unreached)
        for sentence in planned.unreached:
            log.warning("%s", sentence)
        self._events = []
        _answer(answers, None)
        await self.shadows.keep(self.ledger)
        return True

    def _obey(self, now: int) -> list[asyncio.Future[None]]:
        """Carry out what people asked for; refusals are answered at once, the rest after the commit."""
        accepted = []
        while not self.desk.commands.empty():
            command, answer = self.desk.commands.get_nowait()
            if answer.done():
                continue
            try:
                self._events += self.book.command(command, now)
                accepted.append(answer)
            except CommandError as refusal:
                answer.set_exception(refusal)
        return accepted

    async def _duties(self, now: int) -> list[Notice]:
        """What is looked after at longer intervals: who can be reached in the next weeks, the weekly test."""
        try:
            done = await self.duties.look(self.book, self.ledger, now)
        except LedgerError:
            return []
        self.people = self.duties.people
        self._events += done.events
        return done.notices

    async def _follow(self, now: int) -> list[Notice]:
        """Messages that did not arrive: other channels, or (as events) other people. Networks take real time."""
        if not self.ways.reporting and not self.ways.open:
            return []
        scale = max(1, round(self.clock.speed))
        try:
            states = await self.ledger.open_calls(now - scale * HOUR)
        except LedgerError:
            return []  # its own light is on already, or comes with the commit
        ways = replace(self.ways, within=scale * self.ways.within)
        notices, events = follow(states, self.book, self.people, ways, now)
        self._events += events
        self.counts["other_channel"] += len(notices)
        return notices

    def _snapshot(self) -> dict[str, NDArray[Any]]:
        mine = rows_of(self.homes) | self.coverage.snapshot()
        return mine | self.engine.snapshot() | self.shadows.snapshot()

    def change_rules(self, site: Site) -> None:
        """From now on the rules of `site`, which differ in parameters alone: all that was learned stays."""
        if site.rules == self.site.rules:
            return
        engine = Engine(self.homes, site.rules, site.metrics, site.zone, gates=site.gates)
        engine.restore(self.engine.snapshot())
        self.site, self.engine = site, engine
        self.own = {}  # set anew by whoever changes the rules

    def set_own(self, own: OwnLimits) -> None:
        """Parameters of single households, by household and rule; of those that have a row."""
        rows = own_by_row(own, self.homes)
        if rows != self.own:
            self.engine.set_own(rows)
            self.own = rows
        self.shadows.set_own(rows)

    def stale_changes(self, changes: Sequence[str], limits: Sequence[str]) -> None:
        """A light for what was entered and no longer fits the files: it is not used, and somebody must look."""
        told = "; ".join([*changes, *limits])[:400]
        ja, _, en = changes[0].partition(" / ") if changes else (told, "", told)
        self.lights.changes(ja, en or told)

    async def send(self, outbox: Outbox, stop: asyncio.Event) -> None:
        """An outbox's own loop: a slow channel never holds up a tick."""
        while not stop.is_set():
            try:
                done = await outbox.run_once(self.clock.now(), stop)
            except LedgerError as error:
                self.counts["ledger_failures"] += 1
                log.warning("outbox: %s", error)
            else:
                self.counts["sent"] += done.sent
                self.counts["send_failures"] += done.failed + done.retried
            await asyncio.sleep(0.2)

    def show(self, now: int) -> None:
        """Publish what the consoles see."""
        connected = self.collector.connected
        self.lights.broker(connected=connected)
        self.counts["waiting"] = self.readings.counts.waiting
        self.lights.history(self.readings.trouble)
        self.lights.shadows(self.shadows.broken)
        alerts = self.book.alerts()
        closed = [a for a in alerts if a.state == "resolved"][-SHOWN_RESOLVED:]
        live = [a for a in alerts if a.state != "resolved"]
        self.coverage.look(self.engine, self.homes, now, connected=connected, reached=self.duties.reached)
        shares = self.coverage.shares(now)
        tiles = self._wall.tiles(
            self.engine, self.homes, self.site.metrics, self.residents, live, now, shares, self.away.open_ended
        )
        self.counts["open_alerts"] = len(live)
        self.desk.publish(
            View(now=now, zone=self.site.zone.name, speed=self.clock.speed, tiles=tiles, alerts=(*live, *closed),
                 lights=self.lights.shown(), counts=dict(self.counts), gaps=self.coverage.gaps(self.homes))
        )  # fmt: skip


def _answer(answers: Sequence[asyncio.Future[None]], refusal: CommandError | None) -> None:
    for answer in answers:
        if answer.done():
            continue
        if refusal is None:
            answer.set_result(None)
        else:
            answer.set_exception(refusal)
