"""Mistakes in the content folders, all collected, each with file, key and mend; and the pydantic bridge to them.

May import model.times only. Does no I/O: tables come in parsed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from mimamori.model.times import parse_duration


@dataclass(frozen=True, slots=True)
class ContentError:
    """One mistake: `file` relative to the site, `key` as a dotted path ("" for the whole file), reason and mend."""

    file: str
    key: str
    reason: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return f"{place} — {self.reason}; {self.mend}" if self.mend else f"{place} — {self.reason}"


class Content(BaseModel):
    """Parent of every content record: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Text(Content):
    """A text in both languages of the users."""

    ja: str
    en: str


Duration = Annotated[int, BeforeValidator(parse_duration)]
"""A duration in words in the file ("35m"), int nanoseconds in the record."""

T = TypeVar("T", bound=BaseModel)


def validate(model: type[T], table: Mapping[str, Any], file: str) -> tuple[T | None, list[ContentError]]:
    """The record of a parsed table, or every mistake in it. Unknown keys get the nearest known name as mend."""
    try:
        return model.model_validate(table), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [_mistake(model, e, file) for e in found if not _follows(e, found)]


def _follows(error: Any, found: Sequence[Any]) -> bool:
    """A list that is too short only because its entries were refused: those say it already."""
    place = error["loc"]
    return error["type"] == "too_short" and any(e["loc"][: len(place)] == place and e["loc"] != place for e in found)


def _mistake(model: type[BaseModel], error: Any, file: str) -> ContentError:
    known, path = _descend(model, tuple(error["loc"]))
    key = ".".join(str(p) for p in path)
    kind = error["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        mend = f"did you mean {near[0]}?" if near else f"known keys here: {', '.join(sorted(known))}"
        return ContentError(file, key, "unknown key", mend)
    if kind == "missing":
        return ContentError(file, key, "is missing", "add it (see the README of this folder)")
    if kind == "value_error":
        reason, _, mend = str(error["ctx"]["error"]).partition("; ")
        return ContentError(file, key, reason, mend or "correct the value")
    reason = f"{error['msg'][0].lower()}{error['msg'][1:]} (got {error['input']!r})"
    return ContentError(file, key, reason, "correct the value")


def _descend(model: type[BaseModel], path: tuple[Any, ...]) -> tuple[list[str], tuple[Any, ...]]:
    """(keys known where the path's last part lies, the path as it stands in the file).

    Where a record is one of several kinds, pydantic puts the kind's word into the path; the file has no such key.
    """
    here: type[BaseModel] | None = model
    records: list[type[BaseModel]] = [model]
    shown: list[Any] = []
    for i, part in enumerate(path):
        if here is None and len(records) > 1:
            here = next((r for r in records if part in _words(r)), None)
            if here is not None:
                continue
        shown.append(part)
        if i == len(path) - 1 or isinstance(part, int):
            continue
        field = here.model_fields.get(part) if here is not None else None
        if field is not None:  # else a key of a table of records, whose record we are in already
            records = _records_in(field.annotation)
            here = records[0] if len(records) == 1 else None
    return (list(here.model_fields) if here is not None else []), tuple(shown)


def _words(record: type[BaseModel]) -> tuple[Any, ...]:
    kind = record.model_fields.get("kind")
    return get_args(kind.annotation) if kind is not None else ()


def _records_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [record for inner in get_args(annotation) for record in _records_in(inner)]
