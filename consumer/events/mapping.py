"""Where a comment's fields stand in somebody else's JSON, and which records are comments at all. No I/O."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import combinations, product
from typing import Any, Final, TypeAlias

from consumer.delivery.records import Headers
from consumer.events.paths import (
    MISSING,
    JsonObject,
    Path,
    Read,
    exclude_each_other,
    parse_path,
    reader,
    where_it_stops,
)

Paths: TypeAlias = str | tuple[str, ...]
"""One path, or several: the first that leads to anything but null counts."""

REQUIRED: Final = ("id", "text")
OTHER_KIND: Final = "other_kind"
DELETED: Final = "deleted"


class Kind(enum.Enum):
    """What a record of the input is, by its own word."""

    COMMENT = "comment"
    DELETION = "deletion"
    OTHER = "other"
    UNSAID = "unsaid"  # it does not say, where it should
    UNREADABLE = "unreadable"  # what says it is no text


@dataclass(frozen=True)
class Kinds:
    """How comments are told from what else is on the topic.

    Attributes:
        path: Where a record says what it is. Whole numbers, true and false are read as JSON writes them.
        comments: What comments are called there.
        deletions: What records are called that announce that a comment was deleted.
        deleted_id: Where such a record has that comment's id; where its own is, if not given.
        optional: Whether a record that does not say is a comment.

    Raises:
        ValueError: a path is malformed, there is no name for comments, or a name is there twice.
    """

    path: Paths
    comments: tuple[str, ...]
    deletions: tuple[str, ...] = ()
    deleted_id: Paths | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        _parse("kind.path", self.path)
        if self.deleted_id is not None:
            _parse("kind.deleted_id", self.deleted_id)
        if not self.comments:
            raise ValueError("kind.comments: name at least one kind that is a comment")
        if len({*self.comments, *self.deletions}) < len(self.comments) + len(self.deletions):
            raise ValueError("kind: a name stands once, in comments or in deletions")


@dataclass(frozen=True)
class FieldMapping:
    """For each field of a CommentEvent, the path to it (see :mod:`consumer.events.paths`), or several.

    ``FieldMapping(text="snippet.displayMessage")`` reads ``{"snippet": {"displayMessage": "..."}}``. ``None`` for an
    optional field says that the JSON has no such thing, even where it has a field of that name. With ``kinds``, only
    some records are comments; without, all are.

    Raises:
        ValueError: a path is malformed, or no record can have all that a comment must have.
    """

    id: Paths = "id"
    text: Paths = "text"
    channel: Paths | None = "channel"
    stream: Paths | None = "stream"
    author: Paths | None = "author"
    published_at: Paths | None = "published_at"
    lang: Paths | None = "lang"
    metadata: Paths | None = "metadata"
    kinds: Kinds | None = None

    def __post_init__(self) -> None:
        together = {name: self.places[name] for name in REQUIRED}
        if self.kinds is not None and not self.kinds.optional:
            together["kind.path"] = _parse("kind.path", self.kinds.path)
        for (name, paths), (other, others) in combinations(together.items(), 2):
            if all(exclude_each_other(*pair) for pair in product(paths, others)):
                raise ValueError(f"no record can have both {name} and {other}: the path of one goes through the other")

    @cached_property
    def places(self) -> Mapping[str, tuple[Path, ...]]:
        """The paths of every mapped field."""
        return {name: _parse(name, paths) for name in FIELDS if (paths := getattr(self, name)) is not None}

    @cached_property
    def all_places(self) -> Mapping[str, tuple[Path, ...]]:
        """Those, and the paths by which kinds are told: all that is read of a record."""
        if self.kinds is None:
            return self.places
        told = {"kind.path": _parse("kind.path", self.kinds.path)}
        if self.kinds.deleted_id is not None:
            told["kind.deleted_id"] = _parse("kind.deleted_id", self.kinds.deleted_id)
        return {**self.places, **told}

    def replaced(self, overrides: Mapping[str, Paths]) -> FieldMapping:
        """This mapping with other paths for some fields; an empty one says that there is no such field.

        Raises:
            ValueError: there is no such field, its path is malformed, or it is empty and must be there.
        """
        check_overrides(overrides)
        changed: dict[str, Any] = {name: getattr(self, name) for name in FIELDS}
        return FieldMapping(**changed | {name: paths or None for name, paths in overrides.items()}, kinds=self.kinds)

    def compiled(self) -> CompiledMapping:
        """This mapping, ready for the hot path."""
        return CompiledMapping(self)


FIELDS: Final = tuple(field.name for field in fields(FieldMapping) if field.name != "kinds")


def check_overrides(overrides: Mapping[str, Paths]) -> None:
    """Refuse what no mapping could be changed by.

    Raises:
        ValueError: there is no such field, its path is malformed, or it is empty and must be there.
    """
    for name, paths in overrides.items():
        if name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"a comment has no field {name!r}{meant} (it has {', '.join(FIELDS)})")
        if paths:
            _parse(name, paths)
        elif name in REQUIRED:
            raise ValueError(f"{name}: a comment must have it, so its path cannot be empty")


def _parse(name: str, paths: Paths) -> tuple[Path, ...]:
    given = (paths,) if isinstance(paths, str) else paths
    try:
        if not given:
            raise ValueError("give at least one path")
        return tuple(map(parse_path, given))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


class CompiledMapping:
    """Reads mapped fields out of a parsed object and its record's headers."""

    def __init__(self, mapping: FieldMapping) -> None:
        self._places = mapping.places
        self._reads = {name: tuple(map(reader, paths)) for name, paths in mapping.places.items()}
        self._single = tuple((name, reads[0]) for name, reads in self._reads.items() if len(reads) == 1)
        self._several = tuple((name, reads) for name, reads in self._reads.items() if len(reads) > 1)
        self._unchanged = mapping.places == FieldMapping().places
        self.tells_kinds = mapping.kinds is not None
        """Whether :meth:`kind` has anything to say."""
        self.reads_headers = any(path.header is not None for paths in mapping.all_places.values() for path in paths)
        """Whether the record's headers matter."""
        self._kind_places = mapping.all_places.get("kind.path", ())
        self._kind_reads = tuple(map(reader, self._kind_places))
        self._deleted_reads = tuple(map(reader, mapping.all_places.get("kind.deleted_id", ())))
        self._kinds: dict[object, Kind] = {}
        self._unsaid = Kind.UNSAID
        if mapping.kinds is not None:
            self._kinds = dict.fromkeys(mapping.kinds.comments, Kind.COMMENT)
            self._kinds |= dict.fromkeys(mapping.kinds.deletions, Kind.DELETION)
            self._unsaid = Kind.COMMENT if mapping.kinds.optional else Kind.UNSAID

    def apply(self, event: JsonObject, headers: Headers | None = ()) -> JsonObject:
        """The event under our own field names; what is not there (a step missing, or no object) is left out."""
        if self._unchanged:
            return event
        found = {}
        for name, read in self._single:
            if (value := read(event, headers)) is not MISSING:
                found[name] = value
        for name, reads in self._several:
            if (value := _first(reads, event, headers)) is not MISSING:
                found[name] = value
        return found

    def kind(self, event: JsonObject, headers: Headers | None) -> Kind:
        """What this record is; only where :attr:`tells_kinds`."""
        said = _first(self._kind_reads, event, headers)
        if type(said) is not str:
            if said is MISSING or said is None:
                return self._unsaid
            if type(said) is bool:
                said = "true" if said else "false"
            elif type(said) is int:
                said = str(said)
            else:
                return Kind.UNREADABLE
        return self._kinds.get(said, Kind.OTHER)

    def own_or_deleted_id(self, kind: Kind, event: JsonObject, headers: Headers | None) -> str | None:
        """Which comment a record that is none is about: the deleted one, or else by its own id, if it has one."""
        reads = self._deleted_reads if kind is Kind.DELETION and self._deleted_reads else self._reads["id"]
        return as_name(_first(reads, event, headers)) or None

    def missing(self, event: JsonObject, headers: Headers | None) -> str | None:
        """What must be there and is not, and at which step each way to it ends; ``None`` if all is there."""
        gone = [name for name in REQUIRED if _first(self._reads[name], event, headers) is MISSING]
        return "; ".join(_nothing(name, self._places[name], event, headers) for name in gone) or None

    def missing_kind(self, event: JsonObject, headers: Headers | None) -> str:
        """The same for what says the record's kind."""
        return _nothing("kind", self._kind_places, event, headers)

    def place(self, field: str, event: JsonObject, headers: Headers | None) -> str:
        """Where this record has this field, as the settings spell it; for error messages."""
        names = [path.spelled for path in self._places.get(field, ())]
        values = [read(event, headers) for read in self._reads.get(field, ())]
        there = [(name, value) for name, value in zip(names, values, strict=True) if value is not MISSING]
        not_null = [name for name, value in there if value is not None]
        return (not_null or [name for name, _ in there] or names or [field])[0]  # as _first chooses

    @property
    def kind_place(self) -> str:
        """Where records say their kind; for error messages."""
        return ", ".join(path.spelled for path in self._kind_places)


def as_name(value: object) -> str | None:
    """Text, or a whole number as its digits; ``None`` for anything else."""
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) else None


def _first(reads: Sequence[Read], event: JsonObject, headers: Headers | None) -> Any:  # noqa: ANN401
    found: Any = MISSING
    for read in reads:
        value = read(event, headers)
        if value is not MISSING:
            found = value
            if value is not None:
                break
    return found


def _nothing(name: str, paths: Sequence[Path], event: JsonObject, headers: Headers | None) -> str:
    return f"{name}: nothing at " + ", nor at ".join(_ends(paths, event, headers))


def _ends(paths: Sequence[Path], event: JsonObject, headers: Headers | None) -> Iterator[str]:
    for path in paths:
        stop = where_it_stops(path, event, headers)
        yield f"{path.spelled} ({stop})" if stop else path.spelled
