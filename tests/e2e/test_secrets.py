"""Where the bot's token and the cluster's key are not: everywhere but in the memory of who needs them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgpack
import pytest
import zmq

from gwcluster.curve.key_files import read_secret
from gwsimulator import Settings
from support.cluster import TOKEN, Cluster, environment_of, kill, until
from support.discord import discord
from support.keys import Keys

pytestmark = pytest.mark.e2e

NOGROUP: Final = 65534
PRESENCE = {"op": 3, "d": {"status": "dnd", "activities": [], "since": None, "afk": False}}


@contextlib.contextmanager
def started(cluster: Cluster, *arguments: str, group: int | None = None) -> Iterator[None]:
    process = cluster.start(*arguments, group=group)
    try:
        cluster.wait_ready()
        yield
    finally:
        process.kill()
        process.wait()


def command_lines() -> list[bytes]:
    """Return the command lines of all processes of this machine."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            lines.append((process / "cmdline").read_bytes())
    return lines


class Listening:
    """A client with a key that may do everything; keeps every frame that it gets."""

    def __init__(self, cluster: Cluster, keys: Keys) -> None:
        key = keys.client("all", "read,send,operate")
        self.frames: list[bytes] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sub, self._dealer = self._context.socket(zmq.SUB), self._context.socket(zmq.DEALER)
        for made in (self._sub, self._dealer):
            keys.prove(made, key)
        self._sub.subscribe(b"")
        until(lambda: "client all may now" in cluster.text(), "the key to be taken")
        self._sub.connect(cluster.events)
        self._dealer.connect(f"ipc://{cluster.folder}/requests")

    def hear(self, count: int) -> None:
        for _ in range(count):
            assert self._sub.poll(20_000)
            self.frames += self._sub.recv_multipart()

    def ask(self, body: bytes) -> None:
        self._dealer.send(body)
        assert self._dealer.poll(20_000)
        self.frames += self._dealer.recv_multipart()

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("held_by", ["environment", "file"])
def test_token_and_key_are_in_no_command_line_environment_file_log_or_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_format: str, held_by: str
) -> None:
    keys = Keys(tmp_path / "keys")
    secret = read_secret(keys.secret_file).secret_key
    assert secret is not None
    settings = Settings(shards=2, guilds=6, rate=40.0, max_concurrency=2)
    with discord(settings) as sim:
        cluster = Cluster(tmp_path, sim.api, security=keys.setting)
        text = cluster.file.read_text()
        if held_by == "environment":
            monkeypatch.setenv("BOT_TOKEN", TOKEN)
            cluster.file.write_text(text.replace(TOKEN, "${BOT_TOKEN}"))
        else:
            (tmp_path / "token").write_text(f"{TOKEN}\n")
            cluster.file.write_text(text.replace(f"token: {TOKEN}", "token_file: token"))
        with started(cluster, "--log-format", log_format):
            pids = [cluster.nursery, *cluster.workers(2).values()]
            pids += [cluster.pid] if held_by == "file" else []  # whoever starts it with it can't be unmade
            seen = [environment_of(pid) for pid in pids] + command_lines()
            client = Listening(cluster, keys)
            client.hear(50)
            for ask in (
                {"v": 1, "op": "status"},
                {"v": 1, "op": "replay", "shard": 0},
                {"v": 1, "op": "send", "shard": 0, "payload": PRESENCE},
                {"v": 1, "op": "send", "shard": 0, "payload": {"op": 2, "d": {"token": "x"}}},
                {"v": 1, "op": "none"},
            ):
                client.ask(msgpack.packb(ask))
            client.ask(b"\xc1")
            kill(cluster.workers(2)[0])
            cluster.wait_ready(times=2)
            client.hear(50)
            client.close()
            seen += client.frames
            assert cluster.stop() == 0
        seen += cluster.left_behind()
    assert len(client.frames) > 300
    for hidden in (TOKEN.encode(), secret):
        assert not [one[:200] for one in seen if hidden in one]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of another group")
def test_no_process_can_be_dumped_or_looked_into_by_its_own_user(tmp_path: Path) -> None:
    # In /proc, what the kernel won't dump is root's and its group's, whoever runs it: man 5 proc_pid
    with discord(Settings(shards=1, guilds=2, max_concurrency=1)) as sim:
        cluster = Cluster(tmp_path, sim.api)
        with started(cluster, group=NOGROUP):
            for pid in (cluster.pid, cluster.nursery, *cluster.workers(1).values()):
                assert f"Gid:\t{NOGROUP}" in Path(f"/proc/{pid}/status").read_text()
                assert Path(f"/proc/{pid}/environ").stat().st_gid == 0
                limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
                assert next(line for line in limits if "core file" in line).split()[4:6] == ["0", "0"]
            assert cluster.stop() == 0
