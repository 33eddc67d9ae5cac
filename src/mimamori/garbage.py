"""When Python looks for cycles among the objects that are held for long. May import nothing of mimamori."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT = (10_000, 10, 10)  # gc.set_threshold: all is looked through once a million objects more were made than freed


@contextmanager
def rarely_collected() -> Iterator[None]:
    """What is held now for long (rows, topics, tiles, machine code) is not looked through for cycles again and again:
    with 100,000 households that stops everything for a third of a second at a time. There are hardly any cycles;
    the few of the start are held with the rest, since looking for them would hold up the first tick.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
