"""One InfluxDB server: line protocol in through influxdb-client, InfluxQL out over HTTP, which 1.x, 2.x and 3.x speak.

1.6 and 1.7 do not know the way that influxdb-client writes; they are written to at /write, which is as old as they are.

May import its neighbours. Keeps nothing and repeats nothing: its errors say whether to try again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from mimamori.store.lines import Table
from mimamori.store.readings import StoreError

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
    from influxdb_client.domain.write_precision import WritePrecision

NS: WritePrecision = "ns"  # type: ignore[assignment]  # a plain str in the library
TIMEOUT = 30.0  # s; a point written twice is the same point, so a late answer may be taken for none
NO_SUCH_PAGE = "page not found"
"""What 1.x says of a way it does not know; of a database it does not know, it says so."""
MENDS = {
    401: "set MIMAMORI_INFLUX_TOKEN (a token, or user:password)",
    403: "give the token the right to read and write the bucket",
    404: "make the bucket (1.x: CREATE DATABASE; 2.x: influx bucket create; 3.x: influxdb3 create database)",
}


class AwayError(StoreError):
    """The server cannot take or tell it now, or is not set up for it: try again. after: s it asked us to wait."""

    after: float = 0.0


class RefusedError(StoreError):
    """The server will never take at least one of these lines (400, 422)."""


class LargeError(StoreError):
    """More than the server takes at once (413)."""


class Server:
    """Where a site's readings are. token: "user:password" goes as Basic, as 1.x wants it, anything else as a token."""

    def __init__(self, *, url: str, bucket: str, token: str = "", org: str = "") -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ValueError(f'InfluxDB\'s URL is "{url}"; write http://host:8086')
        self._url, self._bucket, self._org = url.rstrip("/"), bucket, org
        basic = ":" in token
        self._client = _client(self._url, token, org or "-", basic=basic)
        self._write = self._client.write_api().write
        self._is_old = False  # 1.6 or 1.7
        headers = {"Authorization": f"Token {token}"} if token and not basic else {}
        user, _, password = token.partition(":")
        self._session = aiohttp.ClientSession(
            headers=headers, auth=aiohttp.BasicAuth(user, password) if basic else None,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        )  # fmt: skip

    async def close(self) -> None:
        """Ends both connections."""
        await self._client.close()  # type: ignore[no-untyped-call]
        await self._session.close()

    async def write(self, lines: Sequence[bytes]) -> None:
        """All of them, or one of our three errors; of a refused request the good lines may be stored."""
        from influxdb_client.rest import ApiException  # noqa: PLC0415 - there since `_client`

        body = b"\n".join(lines)
        try:
            if not self._is_old:
                await self._write(self._bucket, self._org or "-", body, write_precision=NS)
            else:
                await self._write_old(body)
        except ApiException as error:
            status = int(error.status or 0)
            if status == 404 and NO_SUCH_PAGE in str(error.body):
                self._is_old = True
                await self.write(lines)
                return
            raise self._error(status, _words(str(error.body or error.reason)), error.headers or {}) from error
        except StoreError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AwayError(f"{self._url}: {error or type(error).__name__}") from error

    async def _write_old(self, body: bytes) -> None:
        where = {"db": self._bucket, "precision": "n"}  # "ns" would be taken, too: for what it is not
        async with self._session.post(f"{self._url}/write", params=where, data=io.BytesIO(body)) as answer:
            if answer.status == 404 and NO_SUCH_PAGE in await answer.text():  # a newer one stands there now
                self._is_old = False
            if answer.status >= 300:
                raise self._error(answer.status, _words(await answer.text()), answer.headers)

    async def ask(self, *statements: str) -> list[list[Table]]:
        """The series that each InfluxQL statement tells, times in ns. Raises AwayError or RefusedError."""
        if not statements:
            return []
        form = {"db": self._bucket, "epoch": "ns", "q": "; ".join(statements)}
        try:
            async with self._session.post(f"{self._url}/query", data=form) as answer:
                body = await answer.read()
                if answer.status != 200:
                    raise self._error(answer.status, _words(body.decode(errors="replace")), answer.headers)
            results = msgspec.json.decode(body)["results"]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, StoreError):
                raise
            raise AwayError(f"{self._url}: {error or type(error).__name__}") from error
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise AwayError(f"{self._url}/query answers no InfluxQL: {error}") from error
        for result in results:
            if "error" in result:
                raise AwayError(f"{self._url}: {result['error']}; {MENDS[404]}")
        return [
            [(s.get("tags", {}), s["columns"], s.get("values", [])) for s in result.get("series", [])]
            for result in results
        ]

    def _error(self, status: int, words: str, headers: Any) -> StoreError:
        said = f"{self._url}: {status} {words}"
        if status in {400, 422}:
            return RefusedError(said)
        if status == 413:
            return LargeError(said)
        away = AwayError(f"{said}; {MENDS[status]}" if status in MENDS else said)
        after = str(headers.get("Retry-After", ""))
        away.after = float(after) if after.isdecimal() else 0.0
        return away


def _client(url: str, token: str, org: str, *, basic: bool) -> InfluxDBClientAsync:
    """The library's own. Loaded only here: a site with the embedded store need not wait for it at each start."""
    from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync  # noqa: PLC0415

    # no enable_gzip: it costs more of our processor than a local network of bytes
    return InfluxDBClientAsync(url=url, token=token, org=org, auth_basic=basic, timeout=int(TIMEOUT * 1000))


def _words(body: str) -> str:
    """The server's own words, short, without the data they may repeat."""
    try:
        told = msgspec.json.decode(body)
        body = str(told.get("error") or told.get("message") or body) if isinstance(told, dict) else body
    except msgspec.DecodeError:
        pass
    return body.strip().partition("\n")[0][:200]
