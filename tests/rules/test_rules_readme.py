"""Every key that staff can write in a rule is explained in rules/README.md."""

from pathlib import Path
from typing import get_args

import pytest

from mimamori.rules import spec

README = (Path(__file__).parents[2] / "rules" / "README.md").read_text(encoding="utf-8")


RECORDS = (spec.Rule, spec.Example, *get_args(get_args(spec.Condition)[0]))


@pytest.mark.parametrize("record", RECORDS)
def test_every_key_has_a_line(record: type[spec.Rule]) -> None:
    keys = set(record.model_fields) - {"name"}
    missing = [key for key in keys if f"`{key}`" not in README and f'`{key} = "' not in README]
    assert not missing
