"""What the tests of `mimamori import` share: an importer run on a small recording, and its rows."""

from __future__ import annotations

import csv
from pathlib import Path

from click.testing import CliRunner, Result

from mimamori.cli import main
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.stream.recorded import RecordedFile

Row = tuple[str, str, str, float]


def bring(tmp_path: Path, kind: str, text: str | Path, *more: str, exits: int = 0) -> tuple[list[Row], Result]:
    """(time, device, metric, value) of what an importer makes of a text, and what it says."""
    file = tmp_path / "home.txt"
    if isinstance(text, str):
        file.write_text(text, encoding="utf-8")
    else:
        file = text
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(main, ["import", kind, str(file), "--out", str(out), *more])
    assert result.exit_code == exits, result.output
    if exits:
        return [], result
    rows = list(csv.reader(out.open(encoding="utf-8")))[1:]
    again = RecordedFile(path=out, homes=Homes(), metrics=Metrics())
    assert sum(len(b) for b in again.batches()) == len(rows)
    assert again.set_aside == 0
    return [(r[0], r[2], r[3], float(r[4])) for r in rows], result


OLD = """\
2010-11-04 00:03:50.209589 M003 ON Sleeping begin
2010-11-04 00:03:57.399391 M003 OFF
2010-11-04 05:40:51.303739 M004 ON Bed to Toilet begin

2010-11-04 05:43:30.279021 M004 OFF Bed to Toilet end
2010-11-04 08:11:09.966157 D001 OPEN
2010-11-04 08:11:14.000000 D001 CLOSE
2010-11-04 08:15:00 T002 21.5
2010-11-04 08:15:01 L005 ON
2010-11-04 08:15:02 M004 ONbad
half a line
2010-11-04 08:10:00 M005 ON
"""
