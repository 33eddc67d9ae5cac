"""The connection to Twilio that its channels share: the official package, a time limit, and answers sorted.

May import model only, and this service's library. Never logs a number or a text: the reasons it gives are its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException  # type: ignore[import-untyped]
from twilio.http.async_http_client import AsyncTwilioHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from mimamori.model.notice import Sent
from mimamori.model.times import MINUTE, from_datetime
from mimamori.notify.codes import judge

_quiet = logging.getLogger("mimamori.notify.twilio")
_quiet.setLevel(logging.WARNING)  # the package writes every request's address and headers at INFO

TIMEOUT = 10.0
"""Seconds for one request; then the message is tried again, possibly doubled, never lost."""
GRACE = 10 * MINUTE
"""How far the service's clock and ours may differ."""


class _Elsewhere(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Sends the package's requests to another base URL if one is given, and gives every request a time limit.

    The package's own client passes no limit on (twilio 9.13: its `timeout` stays unused), so it is set around it.
    """

    def __init__(self, base_url: str, seconds: float) -> None:
        super().__init__(logger=_quiet)
        self._base = urlsplit(base_url) if base_url else None
        self._seconds = seconds

    async def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        if self._base:
            parts = urlsplit(url)
            path = self._base.path.rstrip("/") + parts.path
            url = urlunsplit((self._base.scheme, self._base.netloc, path, parts.query, parts.fragment))
        async with asyncio.timeout(self._seconds):
            return await super().request(method, url, *args, **kwargs)


class Service:
    """One account's client. To be made and closed inside a running event loop."""

    def __init__(self, account: str, token: str, base_url: str, seconds: float) -> None:
        self._http = _Elsewhere(base_url, seconds)
        # an empty environment: keys come from our settings, never from variables the package would look up
        self._client = Client(account, token, http_client=self._http, environment={"TWILIO_EDGE": ""})

    async def attempt(self, create: Callable[[Any], Awaitable[Any]]) -> Sent:
        """What became of making a message or a call: ok with its id, or whether trying again can help."""
        try:
            made = await create(self._client)
        except (TwilioRestException, TwilioServiceException) as error:
            chance, reason = judge(int(error.code or 0), int(error.status))
            return Sent(outcome=chance, detail=reason)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Sent(outcome="retry", detail=f"the service could not be reached ({type(error).__name__})")
        except TwilioException:
            return Sent(outcome="retry", detail="the service's answer could not be read")
        return Sent(outcome="ok", provider_id=made.sid or "", detail=f"Twilio: {made.status}")

    async def look(self, ask: Callable[[Any], Awaitable[Sequence[Any]]]) -> Sequence[Any]:
        """What the service lists; [] if it refuses to list. Raises OSError when it cannot be reached."""
        try:
            return await ask(self._client)
        except TwilioException as error:
            if isinstance(error, TwilioRestException | TwilioServiceException) and int(error.status) < 500:
                return []  # an account that may not list: rather twice than never
            raise ConnectionError("the service could not answer") from None
        except aiohttp.ClientError:
            raise ConnectionError("the service could not be reached") from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()


def since_then(made: datetime | None, since: int) -> bool:
    """Whether a message made at `made` (None: the service does not say yet) may be one of ours from `since` (ns) on."""
    return made is None or from_datetime(made) >= since - GRACE
