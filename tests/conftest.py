"""For all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes is this machine's, and what else runs on it: no law is broken by it.
settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
