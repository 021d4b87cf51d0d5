"""Decides (pure): YAML text into values that know their lines, and problems into lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_TAGS: Final = "tag:yaml.org,2002:"
_MAX_DEPTH: Final = 20
MAX_BYTES: Final = 256 * 1024


class ScenarioError(Exception):
    """A scenario can't be played; each problem is a line: where in the file, and what to write instead."""

    def __init__(self, problems: list[str]) -> None:
        """Take the problems, in the order of the file."""
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping and its value; `line` is the key's, from 1."""

    line: int
    key: str
    value: Value


@dataclass(frozen=True, slots=True)
class Value:
    """A value and the line where it begins, from 1."""

    line: int
    content: str | int | float | bool | tuple[Value, ...] | tuple[Entry, ...] | None
    is_mapping: bool = False

    def entries(self) -> Iterator[Entry]:
        """Give a mapping's keys and values."""
        if isinstance(self.content, tuple):
            yield from (one for one in self.content if isinstance(one, Entry))

    def items(self) -> Iterator[Value]:
        """Give a list's values."""
        if isinstance(self.content, tuple):
            yield from (one for one in self.content if isinstance(one, Value))

    def plain(self) -> Any:
        """Return the value as Python has it."""
        if self.is_mapping:
            return {entry.key: entry.value.plain() for entry in self.entries()}
        return [one.plain() for one in self.items()] if isinstance(self.content, tuple) else self.content


def read_tree(text: str, file: str) -> Value:
    """Read one YAML document.

    Raises:
        ScenarioError: it is no YAML, or uses what a scenario has no need of.
    """
    try:
        _measure(text, file)
        root = YAML(typ="safe", pure=True).compose(text)
        if root is None:
            raise ScenarioError([f"{file}: is empty; a scenario has at least `about` and `steps`"])
        return _value(root, file)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise ScenarioError([f"{file}:{line}: not YAML: {error.problem or error.context}"]) from error
    except (YAMLError, ValueError, AttributeError, IndexError) as error:
        # Besides its own errors, ruamel.yaml lets others escape for a few malformed escapes and directives.
        said = (str(error).splitlines() or [""])[0]
        raise ScenarioError([f"{file}: not YAML: {said:.80}"]) from error


def _measure(text: str, file: str) -> None:
    """Refuse what is nested so deep that composing it would take long."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _MAX_DEPTH:
            line = event.start_mark.line + 1
            raise ScenarioError([f"{file}:{line}: is nested too deep for a scenario"])


def _value(node: Node, file: str) -> Value:
    line = node.start_mark.line + 1
    if node.anchor is not None:
        raise ScenarioError([f"{file}:{line}: anchors and aliases are not used here; write it out"])
    tag = str(node.tag)
    if not tag.startswith(_TAGS):
        raise ScenarioError([f"{file}:{line}: tags are not used here; remove {tag:.40}"])
    match node:
        case MappingNode():
            entries: dict[str, Entry] = {}
            for key, value in node.value:
                at = key.start_mark.line + 1
                if not isinstance(key, ScalarNode):
                    raise ScenarioError([f"{file}:{at}: a key is a word"])
                if key.value in entries:
                    earlier = entries[key.value].line
                    raise ScenarioError(
                        [f"{file}:{at}: {key.value:.40}: is there already, on line {earlier}"]
                    )
                entries[key.value] = Entry(at, key.value, _value(value, file))
            return Value(line, tuple(entries.values()), is_mapping=True)
        case SequenceNode():
            return Value(line, tuple(_value(one, file) for one in node.value))
        case _:
            return Value(line, _scalar(tag.removeprefix(_TAGS), node.value))


def _scalar(kind: str, written: str) -> str | int | float | bool | None:
    match kind:
        case "null":
            return None
        case "bool":
            return written.lower() == "true"
        case "int":
            return (
                int(written.replace("_", ""), 0) if written.lstrip("+-")[:2] in ("0x", "0o") else int(written)
            )
        case "float":
            return float(written)
        case _:
            return written
