"""The figures of `mimamori bench engine`, as a record and to read.

May import bench.engine and bench.beside.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from mimamori.bench.beside import Beside, Prometheus
from mimamori.bench.engine import Replay, Size, Took
from mimamori.site import Site


def as_record(
    site: Site, sizes: Sequence[Size], replay: Replay | None, seed: int, *, start: Took,
    beside: Beside | None = None, prometheus: Prometheus | None = None,
) -> dict[str, object]:  # fmt: skip
    """Everything measured, and on what."""
    other = None
    if prometheus is not None:
        ours = [s.idle_minute.median for s in sizes if s.households == prometheus.households]
        other = asdict(prometheus) | {"times_our_idle_minute": prometheus.evaluation / ours[0] if ours else None}
    return {
        "machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version(),
        "numpy": np.__version__, "load": os.getloadavg()[0], "seed": seed, "rules": [r.name for r in site.rules],
        "start_seconds": start.wall, "start_cpu_seconds": start.cpu, "sizes": [asdict(size) for size in sizes],
        "twins": None if beside is None else asdict(beside), "prometheus": other,
        "replay": None if replay is None else asdict(replay) | {"per_second": replay.per_second},
    }  # fmt: skip


def as_table(
    sizes: Sequence[Size], replay: Replay | None, *, start: Took, beside: Beside | None = None,
    other: Prometheus | None = None,
) -> str:  # fmt: skip
    """The figures to read."""
    lines = [
        "households  bytes each  idle ms (mean/p99/max, at)     (hardest second)  idle minute ms  80,000 ms  ns/reading"
    ]
    lines += [
        f"{s.households:10,d}  {s.bytes_per_household:10,d}  {s.idle_tick.mean:4.2f} {s.idle_tick.p99:8.2f}"
        f" {s.idle_tick.largest:8.2f} {s.worst_at}  {s.hardest_second:16.2f}  {s.idle_minute.median:14.2f}"
        f"  {s.busy_tick.median:16.1f}  {s.reading_ns:10.0f}"
        for s in sizes
    ]
    lines.append(
        f"start: {start.wall:.2f} s ({start.cpu:.2f} s processor) to the first half hour that all rules have judged"
    )
    if replay is not None:
        lines.append(
            f"replay: {replay.readings:,} readings of {replay.households:,} households, {replay.days} days, in"
            f" {replay.seconds:.1f} s of engine time, {replay.cpu_seconds:.1f} s of it processor"
            f" ({replay.per_second / 1e6:.1f} million a second)"
        )
    if beside is not None:
        lines.append(
            f"plain objects, {beside.households:,} households, {len(beside.rules)} rules: {beside.twin_tick:.1f} ms a"
            f" minute ({beside.times_a_tick:.0f} times {beside.engine_tick:.2f}), {beside.twin_reading_ns:.0f} ns a"
            f" reading ({beside.times_a_reading:.1f} times {beside.engine_reading_ns:.0f}),"
            f" {beside.findings:,} findings {'all the same' if beside.same else 'NOT THE SAME'}"
        )
    if other is not None:
        lines.append(
            f"prometheus {other.version}: {other.evaluation:.0f} ms for {other.rules} rules, {other.series:,} series of"
            f" {other.households:,} households"
        )
    return "\n".join(lines)
