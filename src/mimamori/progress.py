"""How far long work has come: a bar on a terminal, one line a minute elsewhere. May import nothing of mimamori."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[tqdm[None]]:
    """A bar to `update(n)`; written to standard error, so that output can be piped."""
    terminal = sys.stderr.isatty()
    with tqdm(
        total=total, desc=what, unit=unit, unit_scale=True, mininterval=0.1 if terminal else 60,
        delay=0 if terminal else 5, ncols=None if terminal else 78, ascii=None if terminal else True,
        leave=terminal, file=sys.stderr,
    ) as bar:  # fmt: skip
        yield bar
