"""A stretch of the readings on an InfluxDB server as a file of the embedded store: for who reads whole weeks at once.

May import its neighbours. Runs beside the service: the spool is only read, the server only asked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.times import DAY, HOUR, MINUTE
from mimamori.store import tell
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.influxql import Server
from mimamori.store.keys import Keys
from mimamori.store.pack import unpack_log
from mimamori.store.readings import StoreError
from mimamori.store.segments import connect
from mimamori.store.spool import FILE, Hours

LONGEST = 6 * HOUR  # asked for at once; less where much came


async def lend(
    server: Server, spool: Path, folder: Path, span: tuple[int, int], *, metrics: Metrics,
    told: Callable[[int, int], None],
) -> None:  # fmt: skip
    """Copies what came in the span [start, end), and what is not on the server yet, into `folder`, which must be new.

    spool: the folder of the service's spool. told: (days done, of so many). Raises StoreError without readings, or when
    the server is away.
    """
    start, end = span
    keys, hours, unsent = _spooled(spool)
    homes = Homes()
    for home, name, profile in keys.devices:
        homes.add_device(keys.households[home], name, profile)
    if not hours and not unsent:
        raise StoreError(f"{spool}: there are no stored readings here")
    first = min((s for s, _ in hours.values()), default=end)
    begin, days = max(start, first), max(1, -(-(end - max(start, first)) // DAY))
    store = await EmbeddedReadings.open(folder, homes=homes, metrics=metrics)
    try:
        fields, at, step = await tell.metrics_there(server), begin, MINUTE
        while at < end:
            stop = min(end, at + step)
            rows, _ = await tell.arrivals(server, fields, hours, (at, stop), homes, metrics)
            for batch in tell.in_order([rows]):
                await store.append(batch)
            at = stop
            step = min(step * 2, LONGEST) if len(rows) < tell.ROWS_A_BATCH else max(step // 2, MINUTE // 60)
            told((at - begin) // DAY, days)
        for body in unsent:
            rows, _ = keys.as_rows(unpack_log(body, keys.device_home), homes, metrics)
            for batch in tell.in_order([rows]):
                await store.append(batch)
        await store.seal(days=False)
    finally:
        await store.close()


def _spooled(folder: Path) -> tuple[Keys, Hours, list[bytes]]:
    """Names, hours on the server, and what waits, of a spool that another process may be writing to."""
    if not (folder / FILE).is_file():
        raise StoreError(f"{folder}: there are no stored readings here")
    connection = connect(folder / FILE)
    try:
        connection.execute("BEGIN")
        hours = {hour: (a, b) for hour, a, b in connection.execute("SELECT id, first, last FROM hour")}
        return Keys(connection), hours, [body for (body,) in connection.execute("SELECT body FROM log ORDER BY id")]
    finally:
        connection.close()
