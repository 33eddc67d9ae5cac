"""Twilio's error codes, sorted by what the sender can do about them.

May import nothing of mimamori. Source: Twilio's error dictionary; the codes and their classes as in the table below.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Chance: TypeAlias = Literal["retry", "never"]

CODES: dict[int, tuple[Chance, str]] = {
    20003: ("retry", "the account's key was refused; check the Twilio settings"),
    20429: ("retry", "too many requests at once"),
    21211: ("never", "the number is not valid"),
    21408: ("never", "this region is not permitted for the account"),
    21606: ("retry", "the sender's number cannot send SMS; check the Twilio settings"),
    21608: ("never", "a trial account reaches verified numbers only"),
    21610: ("never", "the person has answered STOP; they must send START"),
    21612: ("never", "this sender cannot reach this number"),
    21614: ("never", "the number cannot receive SMS"),
    21617: ("never", "the text is too long"),
    30001: ("retry", "the queue is full"),
    30002: ("retry", "the account is suspended; check the Twilio account"),
    30003: ("retry", "the handset is off or out of reach"),
    30004: ("never", "messages to this number are blocked"),
    30005: ("never", "the number does not exist any more"),
    30006: ("never", "the number is a land line or its carrier cannot be reached"),
    30007: ("never", "the carrier filtered the message"),
    30008: ("retry", "unknown error on the way to the handset"),
}
"""code -> (can trying again help, reason). Faults of our own settings are "retry": once mended, the message goes."""


def judge(code: int, http_status: int = 0) -> tuple[Chance, str]:
    """(chance, reason with the code). An unknown code is retried unless the request itself was refused (HTTP 4xx)."""
    if code in CODES:
        chance, reason = CODES[code]
        return chance, f"{reason} (Twilio {code})"
    if http_status == 429 or http_status >= 500 or not http_status:
        return "retry", f"the service could not take it (HTTP {http_status}, Twilio {code})"
    return "never", f"the service refused it (HTTP {http_status}, Twilio {code})"
