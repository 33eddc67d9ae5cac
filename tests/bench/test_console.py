"""The consoles' benchmark: every change reaches every console, and the wall is weighed as a browser gets it."""

from __future__ import annotations

import json

from click.testing import CliRunner

from mimamori.cli import main


def test_every_change_reaches_every_console() -> None:
    few = ["--consoles", "3", "--households", "5", "--rate", "20", "--seconds", "2", "--json"]
    done = CliRunner().invoke(main, ["bench", "console", *few], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["told"], found["missed"]) == (3 * 40, 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["largest_ms"]
    assert found["cores"] > 0
    assert 0 < found["wall_bytes"] < 20_000
    assert 10_000 < found["assets_bytes"] < 40_000
