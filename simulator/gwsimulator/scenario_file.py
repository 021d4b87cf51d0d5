"""Decides (pure): a scenario file into a scenario, or everything that is wrong with it."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from gwsimulator import kinds
from gwsimulator.actions import ACTIONS, Action
from gwsimulator.kinds import Kind, Unfit, shown
from gwsimulator.scenario import Scenario, Step
from gwsimulator.scenario_tree import Entry, ScenarioError, Value, read_tree
from gwsimulator.settings import Settings

_TOP: Final[Mapping[str, Kind | None]] = {
    "about": kinds.text,
    "begins": kinds.choice("live", "at once"),
    "settings": None,
    "steps": None,
    "lasts": kinds.seconds,
    "repeat": kinds.how_often,
}
_STEP: Final[Mapping[str, Kind]] = {
    "at": kinds.seconds,
    "after": kinds.seconds,
    "say": kinds.text,
    "do": kinds.choice(*ACTIONS),
    "shards": kinds.shards,
    "together": kinds.whole(1, 100_000),
    "stagger": kinds.seconds,
    "every": kinds.seconds,
    "times": kinds.whole(1, 1_000_000),
}
_FOR_SHARDS: Final = ("shards", "together", "stagger")


def parse(text: str, name: str, file: str) -> Scenario:
    """Read a scenario.

    Args:
        text: the file's content.
        name: of the scenario.
        file: its name, for problems.

    Raises:
        ScenarioError: it can't be played; says everything that is wrong with it.
    """
    return _Reading(file).scenario(read_tree(text, file), name)


class _Reading:
    """One pass over a file; it goes on after a problem, to find them all."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[tuple[int, str]] = []

    def scenario(self, root: Value, name: str) -> Scenario:
        top: dict[str, Any] = {}
        settings: dict[str, Any] = {}
        steps: list[Step] = []
        if not root.is_mapping:
            self._wrong(root.line, "", "a scenario is a mapping with at least `about` and `steps`")
        for entry in root.entries():
            if entry.key == "settings":
                settings = self._settings(entry)
            elif entry.key == "steps":
                steps = self._steps(entry)
            elif (kind := self._kind(entry, _TOP, "")) is not None:
                self._take(entry, kind, "", top)
        for missing in (
            {"about", "steps"} - {entry.key for entry in root.entries()} if root.is_mapping else ()
        ):
            self._wrong(root.line, missing, "is missing")
        if steps and top.get("lasts", steps[-1].at_s) < steps[-1].at_s:
            self._wrong(root.line, "lasts", f"ends before the last step, at {steps[-1].at_s:g}s")
        if top.get("repeat", 1) != 1 and not top.get("lasts"):
            self._wrong(root.line, "lasts", "is missing or 0s; with `repeat` it says how long one round is")
        if self._problems:
            ordered = sorted(self._problems, key=lambda problem: problem[0])
            raise ScenarioError([said for _, said in ordered])
        return Scenario(
            name,
            top["about"],
            tuple(steps),
            settings,
            top.get("begins", "live"),
            top.get("lasts"),
            top.get("repeat", 1),
        )

    # ------------------------------------------------------------------ settings

    def _settings(self, entry: Entry) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not entry.value.is_mapping:
            self._wrong(entry.value.line, "settings", "is no mapping of settings to values")
        for one in entry.value.entries():
            if (kind := self._kind(one, SETTINGS, "settings.")) is not None:
                self._take(one, kind, "settings.", found)
                try:
                    Settings(**{one.key: found[one.key]} if one.key in found else {})
                except ValueError as wrong:
                    self._wrong(one.value.line, f"settings.{one.key}", str(wrong))
        return found

    # ------------------------------------------------------------------ steps

    def _steps(self, entry: Entry) -> list[Step]:
        found: list[Step] = []
        if entry.value.is_mapping or not list(entry.value.items()):
            self._wrong(entry.value.line, "steps", "is no list; a step begins with `- `")
        at_s = 0.0
        for index, value in enumerate(entry.value.items()):
            step = self._step(value, f"steps[{index}].", at_s)
            at_s = step.at_s
            found.append(step)
        return found

    def _step(self, value: Value, path: str, before_s: float) -> Step:
        if not value.is_mapping:
            self._wrong(value.line, path[:-1], "is no mapping; write `do: op7` or `say: words`")
        keys = {entry.key: entry for entry in value.entries()}
        common: dict[str, Any] = {}
        for key in _STEP.keys() & keys.keys():
            self._take(keys[key], _STEP[key], path, common)
        action = ACTIONS.get(common.get("do", ""))
        given, written = self._arguments(action, keys, path)
        self._fits_together(keys, action, value.line, path)
        at_s = common.get("at", before_s + common.get("after", 0.0))
        if at_s < before_s:
            self._wrong(keys["at"].line, f"{path}at", f"lies before the step above, at {before_s:g}s")
        wanted = common.get("shards", ...)
        return Step(
            at_s,
            common.get("say", ""),
            common.get("do", ""),
            action,
            given,
            written,
            None if wanted is ... else "all" if wanted is None else wanted,
            common.get("together", 1),
            common.get("stagger", 0.0),
            common.get("every", 0.0),
            common.get("times", 1),
        )

    def _arguments(
        self, action: Action | None, keys: Mapping[str, Entry], path: str
    ) -> tuple[dict[str, Any], dict[str, str]]:
        given: dict[str, Any] = {}
        written: dict[str, str] = {}
        if action is None and "do" in keys:
            return given, written  # which keys would be right can't be said
        known = {key: one.kind for key, one in action.arguments.items()} if action else {}
        for key, entry in keys.items():
            if key in _STEP:
                continue
            kind = self._kind(entry, {**_STEP, **known}, path)
            if kind is not None and action is not None:
                taken: dict[str, Any] = {}
                self._take(entry, kind, path, taken)
                for one in taken.values():
                    given[action.arguments[key].parameter] = one
                    written[key] = _in_words(entry.value.plain())
        for key, argument in (action.arguments if action else {}).items():
            if argument.required and key not in keys:
                self._wrong(
                    keys["do"].line, f"{path}{key}", f"is missing; {keys['do'].value.content} needs it"
                )
        return given, written

    def _fits_together(self, keys: Mapping[str, Entry], action: Action | None, line: int, path: str) -> None:
        if not {"do", "say"} & keys.keys():
            self._wrong(line, path[:-1], "does nothing; write `do: op7` or `say: words`")
        if {"at", "after"} <= keys.keys():
            self._wrong(keys["after"].line, f"{path}after", "stands beside `at`; keep one of them")
        if ("every" in keys) != ("times" in keys):
            one, other = ("every", "times") if "every" in keys else ("times", "every")
            self._wrong(keys[one].line, f"{path}{one}", f"needs `{other}` beside it")
        if action is None:
            return
        if action.shards == "none":
            for key in keys.keys() & set(_FOR_SHARDS):
                self._wrong(keys[key].line, f"{path}{key}", "has no place here; this concerns no shard")
        elif action.shards == "each" and "shards" not in keys:
            self._wrong(line, f"{path}shards", "is missing; write all, 0, 0-3 or [0, 2, 4-7]")

    # ------------------------------------------------------------------ values

    def _kind(self, entry: Entry, known: Mapping[str, Kind | None], path: str) -> Kind | None:
        if entry.key not in known:
            self._wrong(entry.line, f"{path}{entry.key:.40}", f"is no key here; {_nearest(entry.key, known)}")
        return known.get(entry.key)

    def _take(self, entry: Entry, kind: Kind, path: str, into: dict[str, Any]) -> None:
        value = entry.value.plain()
        try:
            into[entry.key] = kind(value)
        except Unfit as wrong:
            self._wrong(entry.value.line, f"{path}{entry.key}", f"{shown(value)} {wrong}")

    def _wrong(self, line: int, key: str, said: str) -> None:
        place = f"{self._file}:{line}: "
        self._problems.append((line, f"{place}{key}: {said}" if key else f"{place}{said}"))


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _setting(hint: Any) -> Kind | None:
    """Return what a setting of this type may be; None: it can't be set in a file."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [one for one in get_args(hint) if one is not type(None)]
        kind = _setting(inner[0]) if len(inner) == 1 else None
        return kind and (lambda value: None if value is None else kind(value))
    if get_origin(hint) is Literal:
        return kinds.choice(*get_args(hint))
    most = 10**12
    return {
        bool: kinds.flag,
        int: kinds.whole(0, most),
        float: kinds.number(0, most),
        str: kinds.text,
    }.get(hint)


SETTINGS: Final[Mapping[str, Kind]] = {
    one.name: kind
    for one in dataclasses.fields(Settings)
    if (kind := _setting(get_type_hints(Settings)[one.name])) is not None
}
"""What may stand under `settings`: every setting that is a number, a word, or true or false."""
