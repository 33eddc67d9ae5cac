"""The wiring: one straight function that opens every part in order, runs the loop, and closes them in reverse.

May import everything below. Not split further, since each step needs what the steps before it made.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, nullcontext
from pathlib import Path

import uvicorn

from mimamori.alerts.book import Book
from mimamori.alerts.group import recall
from mimamori.garbage import rarely_collected
from mimamori.model.declared import as_of
from mimamori.model.findings import FindingBatch
from mimamori.model.homes import Homes
from mimamori.model.times import DAY, NEVER
from mimamori.notify.outbox import Outbox
from mimamori.rehearsals import Rehearsals
from mimamori.rules.engine import Engine
from mimamori.sensors.collector import Collector
from mimamori.sensors.decode import Decoder
from mimamori.sensors.profile import topic_filters
from mimamori.sensors.unstamped import Unstamped
from mimamori.service.away import Away
from mimamori.service.begin import begin_engine, unpacked, watched
from mimamori.service.channels import addresses, answerable, phone, senders, ways, webhook_outbox
from mimamori.service.duties import Duties, persons
from mimamori.service.inlet import Inlet
from mimamori.service.judging import Judging
from mimamori.service.keep_up import keep_up, known_absences, place
from mimamori.service.lights import Lights
from mimamori.service.loop import Loop
from mimamori.service.marks import Marks
from mimamori.service.retention import Kept, look_after
from mimamori.service.sheets import keep_sheets
from mimamori.service.snapshot import take_rows
from mimamori.service.stall import Stall
from mimamori.service.unwatched import Watch
from mimamori.settings import Settings
from mimamori.site import Site
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.influx import InfluxReadings
from mimamori.store.influxql import Server
from mimamori.store.ledger import Ledger
from mimamori.store.readings import ReadingStore
from mimamori.stream.clock import Clock, wall
from mimamori.web.app import create_web
from mimamori.web.desk import Desk
from mimamori.web.phone import Phone
from mimamori.web.sign_in import WebSettings

log = logging.getLogger(__name__)
HISTORY = 2000
SHEETS = "handover"
SENDS_S = 3.0  # wall seconds that messages under way have at the end; what is cut off is sent again after the restart

Enter = Callable[[Ledger, Homes], Awaitable[None]]
Prepare = Callable[[Ledger, Homes, Engine, Clock, ReadingStore], Awaitable[None]]


async def serve(  # noqa: C901, PLR0915 - straight on, see above
    site: Site,
    settings: Settings,
    *,
    clock: Clock,
    stop: asyncio.Event,
    enter: Enter | None = None,
    prepare: Prepare | None = None,
    with_loop: Callable[[Loop], Awaitable[None]] | None = None,
) -> None:
    """Run the service until `stop` is set.

    enter: called before the console listens, so that nobody is refused who will be known in a moment. prepare: called
    before the loop begins (the demo teaches the engine there). with_loop: a task beside the loop, ended
    with it. Raises OSError when a port or the data folder cannot be had.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        ledger = await Ledger.open(settings.ledger_url)
        stack.push_async_callback(ledger.close)
        homes, mark = Homes(), await ledger.engine_mark()
        saved = unpacked(mark, site)
        if saved:
            take_rows(homes, saved)  # before all others: whoever was registered since comes behind them
        for device in await ledger.devices():
            homes.add_device(device.household, device.device, device.profile)
        if enter is not None:
            await enter(ledger, homes)
        readings = await _open_readings(settings, homes, site)
        stack.push_async_callback(readings.close)
        desk = Desk(ledger)
        places: dict[str, str] = {}  # filled below, when residents are known
        telephone = phone(settings, desk, ledger, site.alerts.texts, clock.now, places)
        rehearsals = await stack.enter_async_context(aclosing(Rehearsals(site, settings)))
        server, listening = (
            _web_server(desk, ledger, settings, site, telephone, readings, rehearsals), _listen(settings)
        )  # fmt: skip
        serving = asyncio.create_task(server.serve(sockets=[listening]), name="web")
        stack.push_async_callback(_end_web, desk, server, serving)

        if mark is not None:
            clock.not_before(max([mark.at, *(gap.until for gap in await ledger.unwatched())]))
        now = clock.now()
        at = NEVER if mark is None else mark.at
        begun = await begin_engine(site, ledger, homes, readings, saved, at, now, stop)
        coverage, resumed = watched(saved if begun.restored else {}, mark, now), now if begun.restored else NEVER
        if prepare is not None:
            await prepare(ledger, homes, begun.engine, clock, readings)
            now = clock.now()
        if stop.is_set():  # before anything was watched: there is nothing to leave behind
            return
        residents = {r.household: r for r in await ledger.residents()}
        places |= place(homes, residents.values())
        homes_with_phone = {r.household: r.phone for r in residents.values() if r.phone and answerable(settings)}
        book = Book(site.rule_infos, site.alerts, places=places, askable=homes_with_phone)
        book.restore(await ledger.alert_events(since=NEVER if mark is None else now - 30 * DAY))
        missed = book.repair(begun.engine.current(), homes) if begun.restored else []
        away = Away(homes, as_of(await ledger.declarations(), now))
        away.take(await known_absences(ledger, clock))
        people = persons(await ledger.all_staff())
        collector = await stack.enter_async_context(
            Collector(
                url=settings.broker, client_id="mimamori-collector", clock=clock.now,
                username=settings.broker_user or None, password=settings.broker_password or None,
                topics=topic_filters(site.profiles),
            )
        )  # fmt: skip
        counts, lights, judging = Counter[str](), Lights(clock), Judging[FindingBatch]()
        loop = Loop(
            site=begun.site, clock=clock, coverage=coverage, homes=homes, readings=readings, ledger=ledger,
            collector=collector, counts=counts, lights=lights, judging=judging,
            inlet=Inlet(
                collector=collector, readings=readings, ledger=ledger, lights=lights, counts=counts,
                decoder=Decoder(homes, site.metrics, site.profiles, Unstamped(readings.marks)),
            ),
            marks=Marks(ledger=ledger, lights=lights, judging=judging, counts=counts), engine=begun.engine, book=book,
            history=recall(reversed(await ledger.notices(limit=HISTORY)), now),
            outbox=Outbox(ledger, senders(settings, site.alerts.texts, stack), clock=clock.now),
            webhooks=webhook_outbox(ledger, clock.now, stack), addresses=addresses(await ledger.webhooks()),
            desk=desk, shadows=begun.shadows, away=away, people=people, residents=residents,
            ways=ways(settings, site.alerts.limits), missed=missed, resumed=resumed,
            duties=Duties(people=people, homes=homes_with_phone), stall=Stall(site.zone),
            watch=Watch(ledger=ledger, lights=lights, counts=counts),
        )  # fmt: skip
        sending = [
            asyncio.create_task(loop.send(outbox, stop), name=name)
            for name, outbox in (("outbox", loop.outbox), ("webhooks", loop.webhooks))
        ]
        tasks = []
        if with_loop is not None:
            tasks.append(asyncio.create_task(_ends_with(with_loop(loop), stop), name="beside"))
        beside = {
            "entries": keep_up(
                loop, ledger, stop, site=site, places=places, phones=homes_with_phone, asks=answerable(settings)
            ),
            "sheets": keep_sheets(settings.data / SHEETS, ledger, site.alerts.roster, clock.now, stop),
            "retention": look_after(
                readings, clock, stop, Kept(readings=settings.keep_readings, figures=settings.keep_figures), at
            ),
        }
        tasks += [asyncio.create_task(work, name=name) for name, work in beside.items()]
        stack.enter_context(rarely_collected())
        running = asyncio.create_task(loop.run(stop), name="loop")
        try:
            await asyncio.wait([running, serving, *sending, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.wait(sending, timeout=SENDS_S)
            for task in sending:
                task.cancel()
            ended = await asyncio.gather(running, *sending, *tasks, return_exceptions=True)
        for result in ended:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


async def _ends_with(work: Awaitable[None], stop: asyncio.Event) -> None:
    """Work beside the loop; when it ends by itself the service goes on until it is stopped."""
    await work
    await stop.wait()


class _NotCutOff(logging.Filter):
    """A request that the end of the service cut off is no fault, and no page of traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


_NOT_CUT_OFF = _NotCutOff()


def _web_server(  # noqa: PLR0917 - the parts that the web meets
    desk: Desk,
    ledger: Ledger,
    settings: Settings,
    site: Site,
    telephone: Phone | None,
    readings: ReadingStore,
    rehearsals: Rehearsals,
) -> uvicorn.Server:
    web = create_web(
        desk, ledger,
        settings=WebSettings(
            secret=_secret(settings.data / "web-secret"), secure=settings.host not in {"127.0.0.1", "::1"}
        ),
        clock=wall, site=site, more=[telephone.router()] if telephone else [], readings=readings,
        sheets=settings.data / SHEETS, rehearser=rehearsals,
    )  # fmt: skip
    config = uvicorn.Config(
        web, host=settings.host, port=settings.port, log_level="warning", lifespan="on", timeout_graceful_shutdown=2
    )
    logging.getLogger("uvicorn.error").addFilter(_NOT_CUT_OFF)  # the same one again is not added twice
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]  # the wiring stops it, in its order
    return server


def _listen(settings: Settings) -> socket.socket:
    """The console's socket, had before anything else is begun: uvicorn itself would end the process without a word."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        msg = f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); choose another port"
        raise OSError(msg) from error


async def _end_web(desk: Desk, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    desk.close()
    server.should_exit = True
    await asyncio.gather(serving, return_exceptions=True)


def _secret(path: Path) -> bytes:
    """The secret that signs form tokens; made once, readable by the service's user only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


async def _open_readings(settings: Settings, homes: Homes, site: Site) -> ReadingStore:
    """The embedded store, or InfluxDB with its spool in the same folder if its URL is set."""
    if not settings.influx_url:
        return await EmbeddedReadings.open(settings.data / "readings", homes=homes, metrics=site.metrics)
    server = Server(
        url=settings.influx_url, bucket=settings.influx_bucket, token=settings.influx_token, org=settings.influx_org
    )
    try:
        return await InfluxReadings.open(settings.data / "readings", server, homes=homes, metrics=site.metrics)
    except BaseException:
        await server.close()
        raise


def stop_on_signals(stop: asyncio.Event) -> None:
    """Ctrl-C and SIGTERM end the service in order, within a few seconds; further ones change nothing."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)


async def write_status(path: Path, loop: Loop) -> None:
    """The counts as JSON in a file, every second, replaced whole so that a reader never sees half of it."""
    fresh = path.with_name(path.name + ".new")
    while True:
        view = loop.desk.view
        status = {"now": view.now, "households": len(view.tiles), "speed": view.speed, **loop.counts}
        for name in ("readings", "ticks", "alerts", "notices"):
            status.setdefault(name, 0)
        await asyncio.to_thread(_replace, fresh, path, json.dumps(status))
        await asyncio.sleep(1.0)


def _replace(fresh: Path, path: Path, text: str) -> None:
    fresh.write_text(text + "\n")
    fresh.replace(path)
