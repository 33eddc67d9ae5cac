"""E-mail and everything else that apprise speaks: chats, LINE, webhooks. One URL each, from the settings.

May import model only, and this library. Never logs an address or a text; the library's own log is kept quiet, since
it writes both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from urllib.parse import quote

from apprise import Apprise, NotifyFormat

from mimamori.model.notice import Notice, Sent

logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)

TIMEOUT = 30.0
"""Seconds for one message to one service."""
TITLE = {"high": "【見守り】高 / HIGH", "medium": "【見守り】中 / MEDIUM", "low": "【見守り】低 / LOW"}


class Mail:
    """E-mail to one person. url: apprise's, such as mailtos://user:password@smtp.example.org?from=ward@example.org."""

    def __init__(self, url: str, *, seconds: float = TIMEOUT) -> None:
        _plugin(url)
        self._url, self._seconds = url, seconds

    async def send(self, notice: Notice) -> Sent:
        """Ok once the mail server has taken it."""
        joint = "&" if "?" in self._url else "?"
        return await _notify([f"{self._url}{joint}to={quote(notice.address)}"], notice, self._seconds)


class Others:
    """The ward's own channels: every URL gets the message; it is tried again until one has taken it."""

    def __init__(self, urls: Sequence[str], *, seconds: float = TIMEOUT) -> None:
        for url in urls:
            _plugin(url)
        self._urls, self._seconds = tuple(urls), seconds

    async def send(self, notice: Notice) -> Sent:
        """Ok once one service has taken it: trying again would double it there."""
        ends = await asyncio.gather(*(_notify([url], notice, self._seconds) for url in self._urls))
        return next((end for end in ends if end.outcome == "ok"), ends[0])


def _plugin(url: str) -> None:
    """Raises ValueError, without the URL (it holds a password), if the library does not understand it."""
    if not Apprise().add(url):
        kind = url.partition("://")[0][:20]
        msg = f"the {kind}:// address of MIMAMORI_EMAIL_URL or MIMAMORI_OTHER_URL is not understood by apprise"
        raise ValueError(msg)


async def _notify(urls: Sequence[str], notice: Notice, seconds: float) -> Sent:
    service = Apprise()
    if not all(service.add(url) for url in urls):
        return Sent(outcome="never", detail="the address is not valid")
    try:
        async with asyncio.timeout(seconds):
            taken = await service.async_notify(
                body=notice.text, title=TITLE[notice.priority], body_format=NotifyFormat.TEXT
            )
    except TimeoutError:
        return Sent(outcome="retry", detail="the service did not answer in time")
    return Sent(outcome="ok", detail="taken") if taken else Sent(outcome="retry", detail="the service did not take it")
