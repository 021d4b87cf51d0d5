"""A document's data → the validated file, and whatever is wrong with it (pure)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gwcluster.config.checks import Clash
from gwcluster.config.environment import Document
from gwcluster.config.model import ClusterFile
from gwcluster.config.problems import Path, alternatives, dotted, nearest
from gwcluster.config.says import Section

SECRET: Final[tuple[Path, ...]] = (("token",), ("notify", "webhook"), ("hosts", "nats"))
"""Keys whose values, and those below them, no complaint repeats."""

_MISSING: Final = {
    "intents": "is missing; write the intents your bot needs, such as intents: [GUILDS, GUILD_MESSAGES]",
    "secret_key_file": "is missing; write the path of the cluster's own secret key",
    "clients_dir": "is missing; write the path of the folder with the clients' public keys",
    "nats": "is missing; write the addresses of your NATS servers, such as nats: [nats://10.0.0.1:4222]",
    "name": "is missing; write what the activity is called",
}


def validate(document: Document) -> ClusterFile:
    """Return the file's content, with defaults in place of what is wrong, which `document` then tells."""
    if not isinstance(document.data, dict) and not document.is_broken(()):
        document.complain((), "this is no mapping; write keys with values, such as intents: [GUILDS]")
    data = copy.deepcopy(document.data) if isinstance(document.data, dict) else {}
    while True:
        try:
            return ClusterFile.model_validate(data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            fresh = [detail for detail in found if not document.is_broken(detail["loc"])]
        for detail in fresh:
            document.complain(detail["loc"], _message(document, detail))
        _prune(data, [detail["loc"] for detail in found])


def note(document: Document, clashes: Iterable[Clash]) -> None:
    """Complain about clashes, except of settings that were not read as they stand in the file."""
    found = [([document.written(path) for path in clash.at], clash.message) for clash in clashes]
    sound = [(paths, message) for paths, message in found if not any(map(document.is_broken, paths))]
    for paths, message in sound:
        document.complain(next((path for path in paths if path in document.lines), paths[0]), message)


def _message(document: Document, detail: ErrorDetails) -> str:
    path = detail["loc"]
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(path)
        case "missing":
            return _MISSING[str(path[-1])]
        case "value_error":
            said = str(detail["ctx"]["error"])
        case "model_type" if section := _section_at(path):
            keys = ", ".join(_keys(section))
            said = f"is no mapping; indent its keys ({keys}) under it, or remove the line"
        case _:
            said = f"is not right here: {detail['msg']}"
    secret = any(path[: len(one)] == one for one in SECRET)
    return f"{document.subject(path, detail['input'], secret=secret)} {said}"


def _unknown(path: Path) -> str:
    *above, key = path
    homes = [home[:-1] for home in _all_keys(ClusterFile, ()) if home[-1] == key]
    if homes:
        where = alternatives(dotted(home) if home else "the top level" for home in homes)
        return f"there is no such key here; it belongs under {where}; check the indentation"
    section = _section_at(tuple(above))
    known = _keys(section) if section else []
    if meant := nearest(str(key), known):
        return f"there is no such key; did you mean {meant}?"
    return f"there is no such key; known here are {', '.join(known)}"


def _keys(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _sections(section: type[Section]) -> dict[str, type[Section]]:
    fields = section.model_fields.items()
    found = {field.alias or name: _section_in(field.annotation) for name, field in fields}
    return {key: below for key, below in found.items() if below}


def _section_in(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _section_at(path: Path) -> type[Section] | None:
    section: type[Section] | None = ClusterFile
    for part in path:
        if isinstance(part, str) and section:
            section = _sections(section).get(part)
    return section


def _all_keys(section: type[Section], path: Path) -> Iterator[Path]:
    for key in _keys(section):
        yield (*path, key)
    for key, below in _sections(section).items():
        yield from _all_keys(below, (*path, key))


def _prune(data: dict[str, Any], paths: Iterable[Path]) -> None:
    """Remove what is wrong, so that the rest can still be looked at as a whole."""
    pruned: list[Path] = []
    for path in paths:
        if any(path[: len(other)] == other for other in pruned):
            continue
        holder: Any = data
        node: Any = data
        at: Path = ()
        for part in path:
            if not isinstance(node, dict) or part not in node:
                break
            holder, at, node = node, (*at, part), node[part]
        if at:
            del holder[at[-1]]
            pruned.append(at)
        else:
            assert path == ("intents",), f"{path} is required, or its default is wrong"
            data["intents"] = []
