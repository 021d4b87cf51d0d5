"""What differs between two configurations, and what of it a running cluster can take (pure)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from gwcluster.config.settings import Config

AT_ONCE: Final = ("supervision", "identify.reserve")
"""Keys, or sections of them, that hold from the reload on."""

AT_IDENTIFY: Final = ("presence",)
"""Those that hold for each shard from its next IDENTIFY on."""

AT_START: Final = ("events.include", "events.exclude", "log.retention")
"""Those that each worker takes as it starts."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs, by what it takes to have it; keys as in the file, dotted.

    Attributes:
        never: those that need another start of the whole cluster.
    """

    at_once: tuple[str, ...] = ()
    at_identify: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


def changes(old: Config, new: Config) -> Changes:
    """Return what differs between the running configuration and a new one."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    keys = [key for key in after | before if before.get(key) != after.get(key)]

    def among(known: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(key for key in keys if any(key == each or key.startswith(f"{each}.") for each in known))

    at_once, at_identify, at_start = among(AT_ONCE), among(AT_IDENTIFY), among(AT_START)
    rest = [key for key in keys if key not in {*at_once, *at_identify, *at_start}]
    return Changes(at_once, at_identify, at_start, tuple(rest))


def taken(old: Config, new: Config) -> Config:
    """Return the running configuration with what it can take of a new one."""
    wanted = {"include": new.events.include, "exclude": new.events.exclude}
    return dataclasses.replace(
        old,
        supervision=new.supervision,
        identify=new.identify,
        presence=new.presence,
        log=new.log,
        events=old.events.model_copy(update=wanted),
    )


def _leaves(config: Config) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(config):
        yield from _below(getattr(config, field.name), field.name)


def _below(value: object, at: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, BaseModel):
        yield at, value
        return
    for name, field in type(value).model_fields.items():
        yield from _below(getattr(value, name), f"{at}.{field.alias or name}")
