"""A mosquitto of its own for a benchmark: the site's configuration on a free port, its data in a folder.

May import site. Never touches a broker that runs elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from mimamori.site import Site

START_WITHIN, STOP_WITHIN = 30.0, 20.0  # s; a killed one with a full queue reads for a while


class Program:
    """A server in a process of its own. What it used is told over all its lives."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._cpu = self._peak = 0.0

    async def run(self, *words: str, stdout: int | None = None, more: Mapping[str, str] | None = None) -> None:
        """Starts it; whether it answers is another matter. more: environment besides ours.

        In a session of its own: Ctrl-C at a terminal is for us, who end it when its clients have taken leave.
        """
        self._process = await asyncio.create_subprocess_exec(
            *words, stdout=stdout, stderr=asyncio.subprocess.DEVNULL, env=os.environ | (more or {}),
            start_new_session=True,
        )  # fmt: skip

    async def stop(self, *, kill: bool = False) -> None:
        """In order, or as a power cut does."""
        if self._process is not None:
            self._cpu, self._peak = self.cpu(), self.peak_mb()
            (self._process.kill if kill else self._process.terminate)()
            await asyncio.wait_for(self._process.wait(), STOP_WITHIN)
            self._process = None

    def cpu(self) -> float:
        """Processor seconds so far, as Linux tells them; 0 elsewhere."""
        stat = self._file("stat")
        if stat is None:
            return self._cpu
        words = stat.rpartition(")")[2].split()
        return self._cpu + (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """Largest resident size so far in MB, as Linux tells it; 0 elsewhere."""
        found = [line for line in (self._file("status") or "").splitlines() if line.startswith("VmHWM")]
        return max(self._peak, round(int(found[0].split()[1]) / 1e3, 1) if found else 0.0)

    def _file(self, name: str) -> str | None:
        path = Path(f"/proc/{self._process.pid}/{name}") if self._process else None
        return path.read_text() if path is not None and path.exists() else None


class Mosquitto(Program):
    """Raises FileNotFoundError if mosquitto is not installed."""

    def __init__(self, site: Site, folder: Path) -> None:
        super().__init__()
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            raise FileNotFoundError("mosquitto is not installed; install it with your system's package manager")
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._program, self._conf = program, folder / "mosquitto.conf"
        shipped = (site.folder / "sensors" / "mosquitto.conf").read_text(encoding="utf-8")
        self._conf.write_text(
            shipped.replace("listener 1883", f"listener {self.port}").replace("/var/lib/mosquitto/", f"{folder}/")
            + ("user root\n" if os.geteuid() == 0 else "")
        )

    async def start(self) -> None:
        """Returns when it answers. Raises TimeoutError."""
        await self.run(self._program, "-c", str(self._conf))
        async with asyncio.timeout(START_WITHIN):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
