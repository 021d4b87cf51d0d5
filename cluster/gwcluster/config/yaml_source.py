"""YAML text → a tree in which every key and value knows its line (pure).

Only what a configuration needs is read: one document of mappings, lists and scalars. Anchors, aliases
and tags are refused, so that a small file can't unfold into a large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from gwcluster.config.problems import ConfigError, Path, Problem, dotted
from gwcluster.config.yaml_errors import explain

MAX_DEPTH: Final = 20
MAX_NODES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Scalar:
    line: int
    text: str
    plain: bool
    """Written without quotes, so that it may be a number, a boolean or null."""


@dataclass(frozen=True, slots=True)
class Listing:
    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    line: int
    key: str
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    line: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Something about which there is a problem already."""

    line: int


Node = Scalar | Listing | Mapping | Refused


def read_tree(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Read one YAML document; the tree is None if there is nothing but space and comments.

    Args:
        text: The file's content.
        file: Its name, for the problems.

    Returns:
        The tree, and what in it could not be taken although the rest could.

    Raises:
        ConfigError: The text is not YAML, or is nested too deep or too long for a configuration.
    """
    reading = _Reading(text, file)
    try:
        return reading.document(), reading.problems
    except _TooMuchError as error:
        fatal = Problem(file, reading.line, "", str(error))
    except (YAMLError, ValueError, OverflowError, IndexError, AttributeError, TypeError) as error:
        # Besides its own errors, ruamel.yaml lets others escape for a few malformed escapes and directives.
        line, message = explain(error, text)
        fatal = Problem(file, line or reading.line, "", message)
    raise ConfigError([*reading.problems, fatal])


class _TooMuchError(Exception):
    """No configuration looks like this."""


class _Reading:
    """One pass over the parser's events."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[Event] = iter(YAML(typ="safe", pure=True).parse(text))
        self._file = file
        self._nodes = 0
        self.line = 1
        self.problems: list[Problem] = []

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            self.line = event.start_mark.line + 1
            if not isinstance(event, DocumentStartEvent):
                continue
            documents += 1
            if documents > 1:
                self._complain((), "a second YAML document starts here; keep one and remove the other")
                break
            root = self._node(self._next(), ())
        return root

    def _next(self) -> Event:
        event = next(self._events)
        self.line = event.start_mark.line + 1
        return event

    def _complain(self, path: Path, message: str) -> None:
        self.problems.append(Problem(self._file, self.line, dotted(path), message))

    def _node(self, event: Event, path: Path) -> Node:
        line = self.line
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _TooMuchError(f"more than {MAX_NODES} values are no configuration; is this the right file?")
        if isinstance(event, AliasEvent):
            self._complain(path, "aliases (*name) are not read here; write the value out")
            return Refused(line)
        assert isinstance(event, NodeEvent), "the parser gives a node where a node is due"
        if event.anchor is not None:
            self._complain(path, "anchors (&name) are not read here; remove it and write values out")
        if isinstance(event, ScalarEvent):
            if not self._untagged(event, path):
                return Refused(line)
            return Scalar(line, event.value, plain=not event.style)
        assert isinstance(event, CollectionStartEvent), "neither alias nor scalar"
        untagged = self._untagged(event, path)
        if len(path) >= MAX_DEPTH:
            raise _TooMuchError(f"nested deeper than {MAX_DEPTH} levels; no setting is")
        node = (
            self._mapping(line, path) if isinstance(event, MappingStartEvent) else self._listing(line, path)
        )
        return node if untagged else Refused(line)

    def _untagged(self, event: ScalarEvent | CollectionStartEvent, path: Path) -> bool:
        if event.tag is None:
            return True
        self._complain(path, "tags (!name) are not read here; remove it, and quote the value if it is text")
        return False

    def _listing(self, line: int, path: Path) -> Listing:
        items: list[Node] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return Listing(line, tuple(items))

    def _mapping(self, line: int, path: Path) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            at = self.line
            if not isinstance(event, ScalarEvent):
                self._complain(path, "this key is not a word; write `key: value`")
                self._node(event, path)
                self._node(self._next(), path)
                continue
            here = (*path, event.value)
            self._untagged(event, here)
            if event.value in entries:
                first = entries[event.value].line
                self._complain(here, f"this key appears twice, first on line {first}; keep one of them")
                self._node(self._next(), here)
                continue
            entries[event.value] = Entry(at, event.value, self._node(self._next(), here))
        return Mapping(line, tuple(entries.values()))
