"""Calls through Twilio: the notice's text is read out, and a key answers it.

May import model only, and this service's library. Never logs a number or a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mimamori.model.notice import Notice, Sent
from mimamori.notify.callback import with_key
from mimamori.notify.service import TIMEOUT, Service, since_then
from mimamori.notify.twiml import ask_for_key, last_words

RING_S = 30
"""Seconds a telephone rings before the call counts as not answered."""


class TwilioVoice(Service):
    """A sender. To be made and closed inside a running event loop.

    sender: a number in E.164. public_url: where Twilio reaches us, "" for nowhere: then no key can be answered, and the
    text is only read out. base_url: "" for Twilio itself.
    """

    def __init__(
        self,
        *,
        account: str,
        token: str,
        sender: str,
        language: Literal["ja", "en"] = "ja",
        public_url: str = "",
        base_url: str = "",
        seconds: float = TIMEOUT,
    ) -> None:
        super().__init__(account, token, base_url, seconds)
        self._from = sender
        self._language = language
        self._public = public_url.rstrip("/")

    async def send(self, notice: Notice) -> Sent:
        """Ok once Twilio has taken the call; whether it was answered is reported later."""
        if self._public:
            words = ask_for_key(notice.text, with_key(f"{self._public}/twilio/voice/keys", notice.key), self._language)
            more = {
                "status_callback": with_key(f"{self._public}/twilio/voice/status", notice.key),
                "status_callback_event": ["answered", "completed"],
            }
        else:
            words, more = last_words(notice.text, self._language), {}
        return await self.attempt(
            lambda client: client.calls.create_async(
                to=notice.address, from_=self._from, twiml=words, timeout=RING_S, **more
            )
        )

    async def find(self, notice: Notice, since: int) -> Sequence[str]:
        """Ids of calls to this number that Twilio took after `since` (ns, ten minutes' grace)."""
        found = await self.look(lambda client: client.calls.list_async(to=notice.address, limit=50))
        return [c.sid for c in found if since_then(c.date_created, since)]
