"""Answers to Twilio in its own markup: what is said, which keys are waited for, what is written back.

May import only this service's library. Pure.
"""

from __future__ import annotations

from typing import Literal

from twilio.twiml.messaging_response import MessagingResponse  # type: ignore[import-untyped]
from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

VOICES = {"ja": "ja-JP", "en": "en-GB"}
WAIT_S = 8
"""Seconds to wait for a key after the text."""


def ask_for_key(text: str, action: str, language: Literal["ja", "en"]) -> str:
    """The text, twice, each time waiting for one key, which is posted to `action`; then the call ends."""
    said = VoiceResponse()
    for _ in range(2):
        gather = Gather(num_digits=1, timeout=WAIT_S, action=action, method="POST")
        gather.say(text, language=VOICES[language])
        said.append(gather)
    said.hangup()
    return str(said)


def last_words(text: str, language: Literal["ja", "en"]) -> str:
    """The text, then the call ends."""
    said = VoiceResponse()
    said.say(text, language=VOICES[language])
    said.hangup()
    return str(said)


def write_back(text: str) -> str:
    """One message to whoever wrote to us; "" for none."""
    answer = MessagingResponse()
    if text:
        answer.message(text)
    return str(answer)
