"""Where a subscriber looks for its cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwcluster.client.addresses import Addresses, find
from gwcluster.client.host import Host
from gwcluster.config import ConfigError

FILE = """\
name: example
token: ${DISCORD_TOKEN}
intents: [GUILDS]
events: {bind: EVENTS}
requests: {bind: REQUESTS}
"""


def written(folder: Path, events: str, requests: str = "tcp://127.0.0.1:5571") -> Path:
    file = folder / "cluster.yaml"
    file.write_text(FILE.replace("EVENTS", events).replace("REQUESTS", requests))
    return file


def test_the_file_says_where_and_its_token_need_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISCORD_TOKEN", raising=False)
    file = written(tmp_path, "[tcp://127.0.0.1:7000, ipc:///run/gwcluster/events]")
    assert find(file, None, None) == Addresses((Host("tcp://127.0.0.1:7000", "tcp://127.0.0.1:5571"),))


def test_what_is_given_goes_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "tcp://127.0.0.1:7000")
    assert find(file, None, "ipc:///x") == Addresses((Host("tcp://127.0.0.1:7000", "ipc:///x"),))
    assert find("not-there", "ipc:///e", "ipc:///r") == Addresses((Host("ipc:///e", "ipc:///r"),))


def test_without_either_the_call_says_what_it_needs() -> None:
    for events, requests in ((None, None), ("ipc:///e", None), (None, "ipc:///r")):
        with pytest.raises(TypeError, match=r'connect\("cluster.yaml"\), or both events= and requests='):
            find(None, events, requests)


def test_a_broken_file_is_the_files_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"events\.bind"):
        find(written(tmp_path, "tcp://127.0.0.1"), None, None)


@pytest.mark.parametrize(
    "address", ["nonsense", "tcp://127.0.0.1", "tcp://:5", "http://x:1", "ipc://", "ipc://" + "x" * 101]
)
def test_what_nobody_can_connect_to_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match=r"requests is .*; it should be an address such as tcp://127.0.0.1"):
        find(None, "ipc:///e", address)
