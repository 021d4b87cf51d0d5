from __future__ import annotations

from pathlib import Path

import pytest

from gwcluster.config import Config
from gwcluster.config.changes import Changes, changes, taken
from support.config_files import LEAST, loaded

OLD = LEAST + "shards: {count: 4}\n"


def found(folder: Path, text: str, old: str = OLD) -> tuple[Config, Config]:
    return loaded(folder, old), loaded(folder, text)


def test_the_same_file_changes_nothing(tmp_path: Path) -> None:
    assert changes(*found(tmp_path, OLD + "# a remark\n")) == Changes()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("supervision: {restarts: 9}", Changes(at_once=("supervision.restarts",))),
        ("supervision: {within: 5m}", Changes(at_once=("supervision.within",))),
        ("identify: {reserve: 20%}", Changes(at_once=("identify.reserve",))),
        ("presence: {status: idle}", Changes(at_identify=("presence",))),
        ("events: {exclude: [TYPING_START]}", Changes(at_start=("events.exclude",))),
        ("log: {retention: {bytes: 1GiB}}", Changes(at_start=("log.retention.bytes",))),
        ("events: {bind: tcp://127.0.0.1:9}", Changes(never=("events.bind",))),
        ("gateway: {compression: none}", Changes(never=("gateway.compression",))),
        ("hosts: {nats: nats://localhost:4222}", Changes(never=("hosts",))),
        ("name: other\nstate: /x", Changes(never=("name", "state"))),
    ],
)
def test_each_change_is_told_by_its_key_and_by_what_it_takes(
    tmp_path: Path, line: str, expected: Changes
) -> None:
    assert changes(*found(tmp_path, f"{OLD}{line}\n")) == expected


def test_another_token_is_no_change_that_can_be_taken(tmp_path: Path) -> None:
    old, new = found(tmp_path, OLD.replace("not-a-real-token", "another.token"))
    assert changes(old, new) == Changes(never=("token",))
    assert taken(old, new) == old


def test_what_can_be_taken_is_and_the_rest_stays(tmp_path: Path) -> None:
    new_text = OLD.replace("count: 4", "count: 8") + (
        "supervision: {restarts: 9}\nidentify: {reserve: 20%}\npresence: {status: idle}\n"
        "events: {bind: tcp://127.0.0.1:9, include: [READY]}\nlog: {retention: {age: 2h}}\n"
    )
    old, new = found(tmp_path, new_text)
    both = taken(old, new)
    assert (both.supervision, both.identify, both.presence, both.log) == (
        new.supervision,
        new.identify,
        new.presence,
        new.log,
    )
    assert both.events.include == new.events.include
    assert (both.events.bind, both.shards) == (old.events.bind, old.shards)
    assert changes(both, new) == Changes(never=("shards.count", "events.bind"))
