"""Every key that staff can write in a rule is explained in rules/README.md."""

from pathlib import Path

import pytest

from mimamori.rules.spec import Absent, Away, Band, Climate, Count, Drift, Evidence, Example, Rule, Silent

README = (Path(__file__).parents[2] / "rules" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("record", [Rule, Example, Evidence, Band, Away, Absent, Climate, Count, Drift, Silent])
def test_every_key_has_a_line(record: type[Rule]) -> None:
    keys = set(record.model_fields) - {"name"}
    missing = [key for key in keys if f"`{key}`" not in README and f'`{key} = "' not in README]
    assert not missing
