"""The ways out of the house: which sender serves which channel under these settings, and the telephone's way back in.

May import notify, store, web and settings. Called by the wiring only; opens nothing but clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack

from mimamori.alerts.follow import Ways
from mimamori.alerts.policy import Limits
from mimamori.alerts.text import Texts
from mimamori.model.notice import Channel
from mimamori.notify.others import Mail, Others
from mimamori.notify.outbox import Outbox, Sender
from mimamori.notify.page import Page
from mimamori.notify.sms import TwilioSms
from mimamori.notify.voice import TwilioVoice
from mimamori.notify.webhook import PATIENCE, WebhookLedger, Webhooks
from mimamori.settings import Settings
from mimamori.store.ledger import Ledger
from mimamori.store.records import Webhook
from mimamori.stream.clock import wall
from mimamori.web.desk import Desk
from mimamori.web.phone import Phone, PhoneRecords


def senders(settings: Settings, texts: Texts, stack: AsyncExitStack) -> dict[Channel, Sender]:
    """A sender for each channel; where nothing is set up, the outbox page of the console. Closed with the stack."""
    page = Page("outbox")
    found: dict[Channel, Sender] = {
        "console": Page("console"),
        "sms": page,
        "voice": page,
        "email": page,
        "other": page,
    }
    if settings.twilio_account:
        public = settings.public_url.rstrip("/")
        sms = TwilioSms(
            account=settings.twilio_account, token=settings.twilio_token, sender=settings.twilio_from,
            status_url=f"{public}/twilio/sms/status" if public else "", base_url=settings.twilio_url,
        )  # fmt: skip
        stack.push_async_callback(sms.close)
        found["sms"] = sms
        if number := voice_number(settings):
            voice = TwilioVoice(
                account=settings.twilio_account, token=settings.twilio_token, sender=number,
                language=texts.language, public_url=public, base_url=settings.twilio_url,
            )  # fmt: skip
            stack.push_async_callback(voice.close)
            found["voice"] = voice
    if settings.email_url:
        found["email"] = Mail(settings.email_url)
    if settings.other_url:
        found["other"] = Others(settings.other_url.split())
    return found


def webhook_outbox(ledger: Ledger, clock: Callable[[], int], stack: AsyncExitStack) -> Outbox:
    """The outbox of webhooks alone. clock: the loop's own time; signatures carry the real one."""
    sender = Webhooks(ledger, wall)
    stack.push_async_callback(sender.close)
    return Outbox(WebhookLedger(ledger), {"webhook": sender}, backoff=PATIENCE, clock=clock, orderly=True)


def addresses(webhooks: Iterable[Webhook]) -> dict[str, str]:
    """By id, of those in use."""
    return {w.id: w.url for w in webhooks if w.active}


def ways(settings: Settings, limits: Limits) -> Ways:
    """Which channels really leave the house, and whose delivery we hear of."""
    found: set[Channel] = set()
    if settings.twilio_account:
        found |= {"sms", "voice"} if voice_number(settings) else {"sms"}
    if settings.email_url:
        found.add("email")
    reporting = found & {"sms", "voice"} if settings.public_url else set()
    return Ways(open=found, reporting=reporting, within=limits.delivery.within)


def voice_number(settings: Settings) -> str:
    """The number that calls come from, "" for none: a Messaging Service cannot call."""
    number = settings.twilio_voice_from or settings.twilio_from
    return number if settings.twilio_account and number.startswith("+") else ""


def answerable(settings: Settings) -> bool:
    """Whether keys and answers come back to us: only then can a resident be asked."""
    return bool(voice_number(settings) and settings.public_url)


def phone(  # noqa: PLR0917 - what the telephone needs of the wiring
    settings: Settings, desk: Desk, records: PhoneRecords, texts: Texts, clock: Callable[[], int],
    places: Mapping[str, str],
) -> Phone | None:  # fmt: skip
    """The telephone's routes; None where Twilio has no way to reach us."""
    if not (settings.twilio_account and settings.public_url):
        return None
    return Phone(
        token=settings.twilio_token, public_url=settings.public_url, desk=desk, records=records, texts=texts,
        clock=clock, places=places,
    )  # fmt: skip
