"""Takes into the running service what administrators have entered: staff, residents, devices, absences.

May import loop and everything below. Reads the ledger; writes nothing. The loop takes it up between two ticks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress

from mimamori.model.homes import Homes
from mimamori.model.times import DAY
from mimamori.service.channels import addresses
from mimamori.service.duties import persons
from mimamori.service.loop import Loop
from mimamori.site import Site
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.records import Absence, Device, Resident
from mimamori.stream.clock import Clock
from mimamori.web.changes import changed_site, own_limits

log = logging.getLogger(__name__)
KEPT = 90 * DAY  # after the end of an absence
EVERY_S = 30.0  # wall seconds: entries of another process are found this late, those of the console at once


async def keep_up(
    loop: Loop, ledger: Ledger, stop: asyncio.Event, *, site: Site, places: dict[str, str], phones: dict[str, str],
    asks: bool,
) -> None:  # fmt: skip
    """Until `stop`: at once, whenever the console has an entry, and every half minute. site: as its files say.

    places: code by household; phones: of homes that may be asked (if `asks`). Both are changed in place.
    """
    entered = loop.desk.entered
    while not stop.is_set():
        entered.clear()
        try:
            staff, residents, devices = await ledger.all_staff(), await ledger.residents(), await ledger.devices()
            webhooks = await ledger.webhooks()
            await _take_changes(loop, ledger, site)
        except LedgerError as error:
            log.warning("entries are taken up later: %s", error)
        else:
            loop.people = loop.duties.people = persons(staff)
            loop.addresses = addresses(webhooks)
            loop.residents = {r.household: r for r in residents}
            _replace(phones, {r.household: r.phone for r in residents if r.phone and asks})
            async with loop.judging.still:
                _replace(places, place(loop.homes, residents))
                _register(loop, devices)
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await entered.wait()


def place(homes: Homes, residents: Collection[Resident]) -> dict[str, str]:
    """Codes by household; and homes learn which district each lies in, by the area that was entered."""
    for r in residents:
        homes.place(r.household, r.area)
    return {r.household: r.code for r in residents}


async def _take_changes(loop: Loop, ledger: Ledger, site: Site) -> None:
    """Rules that were put in force, parameters of single households, shadows, absences."""
    trials, limits, absences = await ledger.trials(), await ledger.limits(), await known_absences(ledger, loop.clock)
    present, stale = changed_site(site, trials)
    own, lapsed = own_limits(limits, present.rules, loop.clock.now())
    async with loop.judging.still:  # and all at once, no tick comes between
        loop.change_rules(present)
        loop.set_own(own)
        await loop.shadows.take(trials, site, loop.engine, ledger)
        loop.shadows.set_own(loop.own)
        loop.away.take(absences)
    loop.stale_changes(stale, [f"{limit.household} {limit.rule} {limit.key}" for limit in lapsed])


async def known_absences(ledger: Ledger, clock: Clock) -> list[Absence]:
    """Those that may still say something: of one that was over long ago nobody is awaited any more."""
    return await ledger.absences(after=clock.now() - KEPT)


def _replace(held: dict[str, str], fresh: dict[str, str]) -> None:
    held.clear()
    held |= fresh


def _register(loop: Loop, devices: Sequence[Device]) -> None:
    """New devices get a row; retired ones keep theirs, but nothing they send is read and their silence is nothing."""
    homes = loop.homes
    before = set(homes.retired)
    for device in devices:
        if device.active:
            homes.add_device(device.household, device.device, device.profile)
        homes.retire(device.household, device.device, retired=not device.active)
    gone = homes.retired - before
    if gone:
        loop.engine.forget_devices(sorted(gone))
    if gone or before - homes.retired:
        loop.inlet.decoder.forget()
