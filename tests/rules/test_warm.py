"""Compiling beforehand leaves nothing to compile later. In a process of its own: another test has compiled things."""

from __future__ import annotations

import json
import subprocess
import sys

AFTERWARDS = """
import json, sys
from mimamori.model.homes import Homes
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.rules.engine import Engine
from mimamori.rules.tune import own_keys
from mimamori.rules.warm import warm
from mimamori.simulator.days import simulate
from mimamori.simulator.households import households
from mimamori.site import load_site

site = load_site()


def known():
    modules = [m for name, m in sys.modules.items() if name.startswith("mimamori.rules.")]
    loops = [o for m in modules for o in vars(m).values() if hasattr(o, "overloads")]
    return {f"{o.__module__}.{o.__name__} {types}" for o in loops for types in o.overloads}


def made(homes):
    return Engine(homes, site.rules, site.metrics, site.zone, gates=site.gates)


def forget_to_write(arrays):
    for array in arrays.values():
        array.flags.writeable = False  # as they come out of a snapshot
    return arrays


warm(site.rules, site.metrics, site.zone, site.gates)
before = known()
some = households(site.scene, count=3, seed=4, bed_every=MINUTE)
homes = Homes()
for home in some:
    for device in home.devices:
        homes.add_device(home.id, device.id, device.profile)
engine, start = made(homes), parse_instant("2026-06-01T09:00:00+09:00")
engine.set_own({0: {r.name: {k: r.bounds[k][0] for k in own_keys(r)} for r in site.rules}})
engine.declare({1: [(start + 3 * HOUR, start + 9 * HOUR)]})
for part, batch in enumerate(simulate(some, start=start, end=start + 30 * HOUR, seed=4, step=HOUR)):
    now = start + (part + 1) * HOUR
    engine.step(batch.take(batch.got <= now), now)
    if part == 20:
        saved, engine = forget_to_write(engine.snapshot()), made(homes)
        engine.restore(saved)
        engine.step(batch.take(slice(0)), now + 5 * MINUTE)
        engine.resume(now + 10 * MINUTE)
print(json.dumps([len(before), sorted(known() - before)]))
"""


def test_after_the_warming_up_no_compiled_loop_meets_what_it_has_not_met() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AFTERWARDS], capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loops, later = json.loads(done.stdout)
    assert later == []
    assert loops >= 20
