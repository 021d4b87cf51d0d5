"""`${NAME}` in a tree's scalars, and the tree → plain data (pure).

A variable's value is text and stays text: it may become a number, a boolean or null where the whole
unquoted scalar is one `${NAME}`, but never a list or a mapping.

Sources:
    Scalars follow the core schema of YAML 1.2: https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gwcluster.config import yaml_source
from gwcluster.config.problems import Path, Problem, dotted, shown
from gwcluster.config.yaml_source import Entry, Listing, Node, Refused, Scalar

_LONGEST: Final = 100
"""Characters of a number; a longer one is text, as Python refuses to convert thousands of digits."""
_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOL: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE: Final = rf"\$\{{(?P<name>{_NAME})(?::-(?P<default>[^}}]*))?\}}"
REFERENCE_START: Final = rf"\$\{{{_NAME}"
_DOLLAR: Final = re.compile(rf"(?P<literal>\$\$)|{_REFERENCE}|(?P<stray>\$)")
_WHOLE: Final = re.compile(_REFERENCE)


def core_schema(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar means."""
    if len(text) > _LONGEST:
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, base=0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.lower().replace(".", ""))
    return text


@dataclass(slots=True)
class Document:
    """A file's data, with what is needed to complain about it.

    Attributes:
        file: The file as the caller named it.
        data: Mappings, lists and scalars as they are after `${NAME}` was filled in.
        lines: The 1-based line of each key and list item.
        origins: For values into which the environment went, the text that the file has.
        problems: What was wrong so far.
        broken: Where; nothing more needs to be said about what is there.
    """

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)

    def complain(self, path: Path, message: str) -> None:
        """Note what is wrong at `path`, at its line or that of what is nearest above it in the file."""
        path = self.written(path)
        near = path
        while near and near not in self.lines:
            near = near[:-1]
        self.broken.add(path)
        self.problems.append(Problem(self.file, self.lines.get(near, 1), dotted(path), message))

    def written(self, path: Path) -> Path:
        """Return a path without the index of a list that the file wrote as a single value."""
        while path and isinstance(path[-1], int) and path not in self.lines:
            path = path[:-1]
        return path

    def is_broken(self, path: Path) -> bool:
        """Say whether there is a complaint already about what is at, above or below `path`."""
        return any(path[: len(other)] == other[: len(path)] for other in self.broken)

    def subject(self, path: Path, value: object, *, secret: bool = False) -> str:
        """Return the words that begin a complaint about a value.

        Neither a secret nor anything from the environment, which may hold one, is repeated.
        """
        origin = self.origins.get(self.written(path))
        if secret and origin is not None:
            whole = _WHOLE.fullmatch(origin)
            origin = f"${{{whole['name']}}}" if whole else None
        if origin is not None:
            return f"the {'empty value' if value in (None, '') else 'value'} of {shown(origin)[1:-1]}"
        return "this value" if secret and isinstance(value, str | int | float) else shown(value)


def fill(
    root: Node | None,
    file: str,
    environ: Mapping[str, str],
    *,
    text_keys: Collection[Path] = (),
    omit: Collection[Path] = (),
) -> Document:
    """Return the tree's data with the environment filled in.

    Args:
        root: What `read_tree` returned.
        file: The file's name, for the problems.
        environ: Where `${NAME}` is looked up.
        text_keys: Keys whose `${NAME}` stays text even if it looks like a number.
        omit: Keys that are left out, whatever they hold.
    """
    document = Document(file)
    filler = _Filler(document, environ, frozenset(text_keys), frozenset(omit))
    if root is not None:
        document.lines[()] = root.line
        document.data = filler.value(root, ())
    return document


@dataclass(frozen=True, slots=True)
class _Filler:
    document: Document
    environ: Mapping[str, str]
    text_keys: frozenset[Path]
    omit: frozenset[Path]

    def value(self, node: Node, path: Path) -> Any:
        match node:
            case Scalar():
                return self._scalar(node, path)
            case Listing(items=items):
                return [self._item(item, (*path, index)) for index, item in enumerate(items)]
            case yaml_source.Mapping(entries=entries):
                pairs = [
                    (entry.key, self._entry(entry, path))
                    for entry in entries
                    if (*path, entry.key) not in self.omit
                ]
                return {key: value for key, value in pairs if (*path, key) not in self.document.broken}
            case Refused():
                self.document.broken.add(path)
                return None

    def _entry(self, entry: Entry, path: Path) -> Any:
        here = (*path, entry.key)
        self.document.lines[here] = entry.line
        return self.value(entry.value, here)

    def _item(self, node: Node, path: Path) -> Any:
        self.document.lines[path] = node.line
        return self.value(node, path)

    def _scalar(self, scalar: Scalar, path: Path) -> Any:
        if "$" not in scalar.text:
            return core_schema(scalar.text) if scalar.plain else scalar.text
        text = _DOLLAR.sub(lambda match: self._replace(match, path), scalar.text)
        if path in self.document.broken:
            return None
        if text != scalar.text:
            self.document.origins[path] = scalar.text
        if scalar.plain and _WHOLE.fullmatch(scalar.text) and (path not in self.text_keys or not text):
            return core_schema(text)
        return text

    def _replace(self, match: re.Match[str], path: Path) -> str:
        if match["literal"]:
            return "$"
        if match["stray"]:
            return self._broken(path, "a $ begins ${NAME} or ${NAME:-default}; write $$ for the sign itself")
        name, default = match["name"], match["default"]
        value = self.environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            return self._broken(path, _unset(name, path))
        return value

    def _broken(self, path: Path, message: str) -> str:
        if path not in self.document.broken:
            self.document.complain(path, message)
        return ""


def _unset(name: str, path: Path) -> str:
    if path == ("token",):
        way_out = "name a file that holds the token with token_file"
    elif path == ("hosts", "name"):
        way_out = "remove this line, and the name is the machine's hostname"
    else:
        way_out = f"give a default: ${{{name}:-value}}"
    return f"the environment variable {name} is not set; set it (export {name}=…), or {way_out}"
