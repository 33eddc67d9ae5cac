"""An InfluxDB 1.x of its own for a benchmark: the shipped configuration on free ports, its data in a folder.

May import site and mosquitto. Never touches a server that runs elsewhere.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import aiohttp

from mimamori.mosquitto import Program, free_port
from mimamori.site import Site

DATABASE = "mimamori"
ENVIRONMENT = {"GOGC": "300"}
"""As the shipped configuration advises: less of its time goes into collecting garbage."""
START_WITHIN = 60.0  # s


class Influxd(Program):
    """Raises FileNotFoundError if influxd is not installed. url: where it will be; words: what starts it."""

    def __init__(self, site: Site, folder: Path) -> None:
        program = shutil.which("influxd")
        if program is None:
            raise FileNotFoundError("influxd is not installed; install InfluxDB 1.x (Debian: influxdb)")
        super().__init__()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir(exist_ok=True)
        conf = folder / "influxdb.conf"
        self.words = (program, "-config", str(conf))
        shipped = (site.folder / "sensors" / "influxdb.conf").read_text(encoding="utf-8")
        conf.write_text(
            shipped.replace("127.0.0.1:8086", f"127.0.0.1:{port}")
            .replace("127.0.0.1:8088", f"127.0.0.1:{free_port()}")
            .replace("/var/lib/influxdb/", f"{folder}/")
        )

    async def start(self) -> None:
        """Returns when it answers and has the database. Raises TimeoutError."""
        await self.run(*self.words, stdout=asyncio.subprocess.DEVNULL, more=ENVIRONMENT)
        async with asyncio.timeout(START_WITHIN), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.post(f"{self.url}/query", data={"q": f"CREATE DATABASE {DATABASE}"}) as answer:
                        answer.raise_for_status()
                        return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
