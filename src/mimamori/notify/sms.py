"""SMS through Twilio's official package, at Twilio or wherever the base URL points.

May import model only, and this channel's library. Never logs a number or a text: the reasons it gives are its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException  # type: ignore[import-untyped]
from twilio.http.async_http_client import AsyncTwilioHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from mimamori.model.notice import Notice, Sent
from mimamori.notify.codes import judge

_quiet = logging.getLogger("mimamori.notify.twilio")
_quiet.setLevel(logging.WARNING)  # the package writes every request's address and headers at INFO

TIMEOUT = 10.0
"""Seconds for one request; then the message is tried again, possibly doubled, never lost."""


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


class TwilioSms:
    """A sender. To be made and closed inside a running event loop.

    sender: a number in E.164, or a Messaging Service ("MG..."). status_url: where Twilio reports delivery, "" for
    nowhere. base_url: "" for Twilio itself.
    """

    def __init__(
        self,
        *,
        account: str,
        token: str,
        sender: str,
        status_url: str = "",
        base_url: str = "",
        seconds: float = TIMEOUT,
    ) -> None:
        self._http = _Elsewhere(base_url, seconds)
        # an empty environment: keys come from our settings, never from variables the package would look up
        self._client = Client(account, token, http_client=self._http, environment={"TWILIO_EDGE": ""})
        self._from = {"messaging_service_sid": sender} if sender.startswith("MG") else {"from_": sender}
        self._more = {"status_callback": status_url} if status_url else {}

    async def send(self, notice: Notice) -> Sent:
        """Ok once Twilio has taken the message; delivery is reported to `status_url` later."""
        try:
            message = await self._client.messages.create_async(
                to=notice.address, body=notice.text, **self._from, **self._more
            )
        except (TwilioRestException, TwilioServiceException) as error:
            chance, reason = judge(int(error.code or 0), int(error.status))
            return Sent(outcome=chance, detail=reason)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Sent(outcome="retry", detail=f"the service could not be reached ({type(error).__name__})")
        except TwilioException:
            return Sent(outcome="retry", detail="the service's answer could not be read")
        return Sent(outcome="ok", provider_id=message.sid or "", detail=f"Twilio: {message.status}")

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()
