"""Compiles the rules before the service begins: no message, tick or console then waits for a compiler.

May import site and everything below it. To be called before an event loop runs, and before signals are taken over:
compiling holds both up, and there is nothing yet that would have to be ended in order.
"""

from __future__ import annotations

import sys

from numba.core import event

from mimamori.rules.warm import warm
from mimamori.site import Site

FIRST = (
    "はじめての起動です。決まりをこの機械のために翻訳しています（1〜3分。次からは待ちません）。"
    " / First start: compiling the rules for this machine, one to three minutes; later starts do not wait."
)


class _Tell(event.Listener):
    """Says once that something is being compiled."""

    def __init__(self) -> None:
        self.told = False

    def on_start(self, event: event.Event) -> None:  # noqa: ARG002
        if not self.told:
            self.told = True
            sys.stderr.write(FIRST + "\n")
            sys.stderr.flush()

    def on_end(self, event: event.Event) -> None:
        """Nothing to say."""


def compile_rules(site: Site) -> None:
    """Returns when nothing is left to compile; tells the user on stderr if that takes longer than a moment."""
    tell = _Tell()
    with event.install_listener("numba:compile", tell):
        warm(site.rules, site.metrics, site.zone, site.gates)
