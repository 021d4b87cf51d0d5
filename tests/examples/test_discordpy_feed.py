"""The example bot, with the real discord.py, fed by a real cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from gwsimulator import Settings, ThreadedSimulator
from support.cluster import kill, running, until
from support.discord import discord
from support.message_rest import MessageRest

pytestmark = pytest.mark.e2e

PROGRAM: Final = Path(__file__).parents[1] / "support" / "feed_bot.py"
SETTINGS: Final = Settings(shards=2, guilds=6, max_concurrency=2, buffer_events=10_000)
BREAKS: Final = {"user_agent"}
"""discord.py writes `(url version)`, without the comma."""


class Bot:
    """The bot in a process of its own; may be started several times.

    Attributes:
        lines: what it printed, and logged.
    """

    def __init__(self, folder: Path, api: str) -> None:
        self.lines: list[str] = []
        self._folder = folder
        self._api = api

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), self._api],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=[self.process])
        self._reader.start()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as out:
            self.lines += (line.rstrip("\n") for line in out)

    def messages(self, shard: int) -> list[str]:
        start = f"message {shard} "
        return [line.split()[2] for line in self.lines if line.startswith(start)]

    def wait_for(self, line: str, times: int = 1) -> None:
        def there() -> bool:
            assert self.process.poll() is None, "\n".join(self.lines[-60:])
            return self.lines.count(line) >= times

        try:
            until(there, line)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n" + "\n".join(self.lines[-60:])) from None


def said(sim: ThreadedSimulator, shard: int) -> list[str]:
    """Return the ids of all messages on a shard."""
    records = sim.ledger.dispatches(shard=shard, name="MESSAGE_CREATE")
    return [json.loads(record.payload or b"")["d"]["id"] for record in records]


def guilds_of(sim: ThreadedSimulator, shard: int) -> list[dict[str, Any]]:
    records = sim.ledger.dispatches(shard=shard, name="GUILD_CREATE")
    return [json.loads(record.payload or b"")["d"] for record in records]


def write(sim: ThreadedSimulator, guild: dict[str, Any], content: str, number: int) -> int:
    """Have a member write something; return the channel's id."""
    while not (texts := sim.ledger.dispatches(shard=0, name="MESSAGE_CREATE")):
        sim.emit_random(0, 10)
    message = json.loads(texts[0].payload or b"")["d"]
    channel = guild["channels"][0]["id"]
    author = guild["members"][0]["user"] | {"bot": False}
    message |= {"id": str(10**18 + number), "content": content, "author": author}
    message |= {"guild_id": guild["id"], "channel_id": channel}
    message.pop("webhook_id", None)
    sim.emit("MESSAGE_CREATE", message, shard=(int(guild["id"]) >> 22) % 2)
    return int(channel)


@contextmanager
def bot_of(folder: Path, sim: ThreadedSimulator) -> Iterator[tuple[Bot, MessageRest]]:
    with MessageRest(sim) as rest:
        bot = Bot(folder, rest.api)
        bot.start()
        try:
            yield bot, rest
        finally:
            bot.end()


def test_a_discord_py_bot_that_joins_late_has_its_cache_its_events_and_its_voice(tmp_path: Path) -> None:
    with discord(SETTINGS, violated=BREAKS) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        for shard in (0, 1):
            sim.emit_random(shard, 40)  # before it is there, and not for it
        until(lambda: len(cluster.logged()) > 80, "a log")
        with bot_of(tmp_path, sim) as (bot, rest):
            bot.wait_for("ready: 6 guilds on 2 shards")
            assert bot.messages(0) == bot.messages(1) == []
            assert [line for line in bot.lines if line.startswith("type ")] == []
            assert len([line for line in bot.lines if line.startswith("available ")]) == 6
            assert {"shard_ready 0", "shard_ready 1"} <= set(bot.lines)

            before = [len(said(sim, shard)) for shard in (0, 1)]
            for shard in (0, 1):
                sim.emit_random(shard, 40)
            until(
                lambda: all(bot.messages(each) == said(sim, each)[before[each] :] for each in (0, 1)), "all"
            )
            assert "type MESSAGE_CREATE" in bot.lines

            guild, other = guilds_of(sim, 0)[0], guilds_of(sim, 1)[0]
            channel = write(sim, other, "!guild", 1)
            until(lambda: rest.messages, f"an answer: {bot.lines[-20:]}")
            (to, text), *_ = rest.messages
            assert to == channel
            known = f"{len(other['channels'])} channels, {len(other['roles'])} roles"
            assert text.startswith(f"{other['name']}: {known}, ")

            voice = next(one["id"] for one in guild["channels"] if one["type"] == 2)
            write(sim, guild, "!play chess", 2)
            write(sim, guild, f"!join {voice}", 3)
            write(sim, guild, "!find user", 4)
            until(lambda: len(rest.messages) >= 2, f"the members: {bot.lines[-20:]}")
            assert rest.messages[1][1].startswith("user_")
            until(lambda: len(sim.ledger.commands) >= 4, "the commands")
            sent = {(one.op, one.shard): one.data for one in sim.ledger.commands}
            assert sent.keys() == {(3, 0), (3, 1), (4, 0), (8, 0)}
            assert [sent[3, shard]["activities"][0]["name"] for shard in (0, 1)] == ["chess", "chess"]
            assert (sent[4, 0]["guild_id"], sent[4, 0]["channel_id"]) == (guild["id"], voice)
            assert (sent[8, 0]["guild_id"], sent[8, 0]["query"]) == (guild["id"], "user")
            sim.op7(0)
            bot.wait_for("state 0 live")
            bot.wait_for("resumed 0")
            assert "/api/v10/gateway/bot" not in rest.calls
        assert len(sim.ledger.identifies) == 2
        assert cluster.stop() == 0


def test_a_discord_py_bot_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with discord(SETTINGS, violated=BREAKS) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        with bot_of(tmp_path, sim) as (bot, rest):
            bot.wait_for("ready: 6 guilds on 2 shards")
            for _ in range(8):
                sim.emit_random(0, 25)
                sim.emit_random(1, 25)
            until(lambda: len(bot.messages(0)) > 10, "some messages")
            kill(bot.process.pid)
            bot.end()
            guild = json.loads(sim.world.guild_create(sim.world.guild_ids[0]).d)
            write(sim, guild, "hello", 8)
            sim.emit("GUILD_UPDATE", guild | {"name": "renamed"}, shard=0)
            write(sim, guild, "hello again", 9)
            for _ in range(4):
                sim.emit_random(0, 25)
                sim.emit_random(1, 25)
            bot.start()
            bot.wait_for("ready: 6 guilds on 2 shards", 2)
            sim.emit_random(0, 25)
            for shard in (0, 1):
                wanted = said(sim, shard)
                until(lambda: bot.messages(shard)[-1:] == wanted[-1:], "the last message")  # noqa: B023
                assert list(dict.fromkeys(bot.messages(shard))) == wanted
                assert len(bot.messages(shard)) <= len(wanted) + 1  # what was handed out when it was killed
            write(sim, guild, "!guild", 1)
            until(lambda: rest.messages, f"an answer: {bot.lines[-20:]}")
            assert rest.messages[0][1].startswith("renamed: ")
            # Each event meets the cache of its own time.
            (before,) = (line for line in bot.lines if str(10**18 + 8) in line)
            (after,) = (line for line in bot.lines if str(10**18 + 9) in line)
            assert before.endswith(f" in {guild['name']}")
            assert after.endswith(" in renamed")
            assert [line for line in bot.lines if line.startswith("gap ")] == []
        assert cluster.stop() == 0


def test_a_bot_whose_shards_were_ready_too_long_ago_asks_rest_for_its_guilds(tmp_path: Path) -> None:
    short = {"log": "{retention: {bytes: 1MiB}}"}
    let_go = {"I8"}  # what the log has let go of, as it should, can't be found there
    with (
        discord(SETTINGS, violated=BREAKS, excused=let_go) as sim,
        running(tmp_path, sim.api, **short) as cluster,
    ):
        cluster.wait_ready()

        def has_ready(shard: int) -> bool:
            return any(one.name == "READY" for one in cluster.logged() if one.shard == shard)

        def push() -> bool:
            for shard in (0, 1):
                for _ in range(4):
                    sim.emit("PADDING", "x" * 300_000, shard=shard)
            return not has_ready(0) and not has_ready(1)

        until(push, "READY's end")
        with bot_of(tmp_path, sim) as (bot, rest):
            bot.wait_for("ready: 6 guilds on 2 shards")
            assert sum("doesn't go back to READY" in line for line in bot.lines) == 2
            guild = json.loads(sim.world.guild_create(sim.world.guild_ids[0]).d)
            write(sim, guild, "!guild", 1)
            until(lambda: rest.messages, f"an answer: {bot.lines[-20:]}")
            known = f"{len(guild['channels'])} channels, {len(guild['roles'])} roles"
            assert rest.messages[0][1].startswith(f"{guild['name']}: {known}, ")
            assert rest.calls.count("/api/v10/users/@me/guilds") <= 2
        assert cluster.stop() == 0


def test_a_bot_whose_logs_were_removed_is_told_and_begins_with_the_new_ones(tmp_path: Path) -> None:
    removed = {"I8"}  # what was in the logs can't be found there any more
    with (
        discord(SETTINGS, violated=BREAKS, excused=removed) as sim,
        running(tmp_path, sim.api) as cluster,
    ):
        cluster.wait_ready()
        with bot_of(tmp_path, sim) as (bot, rest):
            bot.wait_for("ready: 6 guilds on 2 shards")
            bot.end()
            assert cluster.stop() == 0
            shutil.rmtree(cluster.state / "shards")
            cluster.start()
            cluster.wait_ready(2)
            bot.start()
            bot.wait_for("ready: 6 guilds on 2 shards", 2)
            assert sum(line.startswith("gap ") for line in bot.lines) == 2
            assert not any("asking REST" in line for line in bot.lines)
            assert rest.calls.count("/api/v10/users/@me/guilds") == 0
        assert cluster.stop() == 0
