"""Mistakes in the content folders, all collected, each with file, key and mend; and the pydantic bridge to them.

May import model.times only. Does no I/O: tables come in parsed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

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
        return None, [_mistake(model, e, file) for e in error.errors(include_url=False)]


def _mistake(model: type[BaseModel], error: Any, file: str) -> ContentError:
    path = tuple(error["loc"])
    key = ".".join(str(p) for p in path)
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        mend = f"did you mean {near[0]}?" if near else f"known keys here: {', '.join(sorted(known))}"
        return ContentError(file, key, "unknown key", mend)
    if kind == "missing":
        return ContentError(file, key, "is missing", "add it (see the README of this folder)")
    if kind == "value_error":
        reason, _, mend = str(error["ctx"]["error"]).partition("; ")
        return ContentError(file, key, reason, mend or "correct the value")
    return ContentError(
        file, key, f"{error['msg'][0].lower()}{error['msg'][1:]} (got {error['input']!r})", "correct the value"
    )


def _fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    here: Any = model
    for part in path:
        if isinstance(part, int) or not hasattr(here, "model_fields"):
            continue
        field = here.model_fields.get(part)
        if field is None:
            continue
        here = _record_in(field.annotation)
    return list(here.model_fields) if hasattr(here, "model_fields") else []


def _record_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _record_in(inner)
        if hasattr(found, "model_fields"):
            return found
    return annotation
