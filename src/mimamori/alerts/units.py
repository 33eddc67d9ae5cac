"""How long a text message is: GSM 03.38 seven-bit alphabet or UCS-2, units and segments.

May import nothing of mimamori. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # two units each: an escape goes before them
_SINGLE = {"GSM-7": 160, "UCS-2": 70}
_JOINED = {"GSM-7": 153, "UCS-2": 67}  # the header that joins the parts takes the rest


def _widths(text: str) -> tuple[Literal["GSM-7", "UCS-2"], Sequence[int]]:
    if all(c in _BASIC or c in _EXTENDED for c in text):
        return "GSM-7", [2 if c in _EXTENDED else 1 for c in text]
    return "UCS-2", [2 if ord(c) > 0xFFFF else 1 for c in text]  # a surrogate pair is two units


def sms_length(text: str) -> int:
    """Units of the encoding that the text needs."""
    return sum(_widths(text)[1])


def sms_units(text: str) -> tuple[Literal["GSM-7", "UCS-2"], int]:
    """(encoding, segments). An escape pair or a surrogate pair is never cut between two segments."""
    encoding, widths = _widths(text)
    if sum(widths) <= _SINGLE[encoding]:
        return encoding, 1
    segments, used = 1, 0
    for width in widths:
        if used + width > _JOINED[encoding]:
            segments, used = segments + 1, 0
        used += width
    return encoding, segments
