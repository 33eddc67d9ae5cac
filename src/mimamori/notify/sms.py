"""SMS through Twilio's official package, at Twilio or wherever the base URL points.

May import model only, and this channel's library. Never logs a number or a text: the reasons it gives are its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from mimamori.model.notice import Notice, Sent
from mimamori.notify.callback import with_key
from mimamori.notify.service import TIMEOUT, Service, since_then


class TwilioSms(Service):
    """A sender. To be made and closed inside a running event loop.

    sender: a number in E.164, or a Messaging Service ("MG..."). status_url: where Twilio reports delivery, "" for
    nowhere; the notice's key is added to it, so that a report is understood even if its sender died. base_url: "" for
    Twilio itself.
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
        super().__init__(account, token, base_url, seconds)
        self._from = {"messaging_service_sid": sender} if sender.startswith("MG") else {"from_": sender}
        self._status_url = status_url

    async def send(self, notice: Notice) -> Sent:
        """Ok once Twilio has taken the message; delivery is reported to `status_url` later."""
        more = {"status_callback": with_key(self._status_url, notice.key)} if self._status_url else {}
        return await self.attempt(
            lambda client: client.messages.create_async(to=notice.address, body=notice.text, **self._from, **more)
        )

    async def find(self, notice: Notice, since: int) -> Sequence[str]:
        """Ids of messages of this text to this number that Twilio took after `since` (ns, ten minutes' grace)."""
        found = await self.look(lambda client: client.messages.list_async(to=notice.address, limit=50))
        return [m.sid for m in found if m.body == notice.text and since_then(m.date_created, since)]
