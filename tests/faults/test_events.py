"""F101 to F106: events arrive as Discord sent them, whatever is in them and however they are written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gwcluster.log import Reader
from gwsimulator.rules import Gateway
from support.scene import Scene, stage

TEXT = '{"t":"READY","op":0,"s":999}'
NESTED = (
    b'{"guild_id":"1","op":9,"t":"READY","s":999,"d":{"op":7,"s":5,"t":"RESUMED","d":false},'
    b'"member":{"guild_id":"2","op":1},"list":[{"op":9,"d":false,"s":null}],'
    b'"whole":{"t":"READY","s":999,"op":0,"d":{}},"guild_id":"41771983423143937"}'
)
_HEAD = re.compile(rb'\{"t":("[A-Z_]+"),"s":([0-9]+),"op":0,"d":(.*)\}', re.DOTALL)


def write_as(scene: Scene, spell: Callable[[bytes], bytes]) -> None:
    """Have the gateway write its dispatches so from now on."""

    def order(gateway: Gateway, _: float) -> list[Any]:
        gateway.delivery.spell = spell
        return []

    scene.sim.order(order)


def in_order(keys: tuple[str, ...], space: bytes = b"") -> Callable[[bytes], bytes]:
    """Return what writes a dispatch with its keys, and one that Discord may add, in this order."""

    def spell(payload: bytes) -> bytes:
        match = _HEAD.fullmatch(payload)
        assert match is not None
        values = {"t": match[1], "s": match[2], "op": b"0", "d": match[3], "new": NESTED}
        pairs = [space + b'"%b"%b:%b%b' % (key.encode(), space, space, values[key]) for key in keys]
        return b"{%b%b}" % (b",".join(pairs), space)

    return spell


def sent(scene: Scene, shard: int = 0) -> list[tuple[int, str, bytes | None]]:
    """Return number, name and bytes of each dispatch that the gateway made for a shard."""
    return [(one.seq, one.name, one.payload) for one in scene.sim.ledger.dispatches(shard=shard)]


def published(scene: Scene, shard: int = 0) -> list[tuple[int, str, bytes | None]]:
    return [(one.header["seq"], one.name, one.payload) for one in scene.events(shard=shard)]


def logged(scene: Scene, shard: int = 0) -> list[tuple[int, str, bytes | None]]:
    records = Reader(scene.folder / "state" / "shards" / str(shard)).records()
    return [(one.seq, one.name, one.payload) for one in records if one.seq is not None]


async def assert_passed_on(scene: Scene) -> None:
    """All that was sent came out, and lies in the log, in the same bytes; nothing in it was obeyed."""
    await scene.settled()
    assert published(scene) == sent(scene)
    assert logged(scene) == sent(scene)
    assert scene.is_live(0)
    assert scene.sim.ledger.closes == []
    assert len(scene.sim.ledger.identifies) == 1
    before = sent(scene)
    scene.worker(0).kill()
    scene.sim.emit("TYPING_START", {"while": "away"})
    (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
    await scene.live()
    await scene.settled()
    assert (resume.seq, resume.outcome) == (before[-1][0], "resumed"), "its number was read aright"
    assert published(scene) == sent(scene)
    assert len(scene.sim.ledger.identifies) == 1


# Guilds that come late, or never


def test_f101_guilds_that_never_come_hold_up_nothing_and_are_told_as_they_are(tmp_path: Path) -> None:
    # "Guilds that are unavailable due to an outage will send a Guild Delete event.":
    # https://docs.discord.com/developers/events/gateway-events#guild-create
    async def play(scene: Scene) -> None:
        await scene.live()
        (identify,) = scene.sim.ledger.identifies
        assert scene.loop.time() - identify.at < 0.2, "READY is enough"
        await scene.run_for(120.0)
        named = [one.name for one in scene.events()]
        assert named == ["READY", "GUILD_DELETE", "GUILD_DELETE", "GUILD_CREATE", "GUILD_CREATE"]
        stub = scene.events("GUILD_CREATE")[0].payload
        assert b'"unavailable":true' in stub
        assert len(stub) < 120, "all that Discord said of it"
        assert (await scene.send({"op": 31, "d": {"guild_ids": ["1"]}}, shard=0)).code is None
        assert scene.is_live(0)
        assert len(scene.sim.ledger.identifies) == 1
        assert len(scene.sim.ledger.connections) == 1

    stage(tmp_path, play, guilds=4, unavailable_guilds=2, guild_recovery_s=None, stub_guilds=1)


def test_f101_guilds_that_come_slowly_and_later_come_while_the_shard_is_live(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        assert scene.now < 2.0
        assert len(scene.events("GUILD_CREATE")) < 10
        await scene.run_for(60.0)
        assert len(scene.events("GUILD_DELETE")) == 3
        assert len(scene.events("GUILD_CREATE")) == 10
        assert len(scene.sim.ledger.connections) == 1

    stage(tmp_path, play, guilds=10, guild_rate=2.0, unavailable_guilds=3, guild_recovery_s=30.0)


# Events and shards


def test_f102_an_event_stays_on_the_shard_on_which_it_came_whatever_guild_it_names_or_does_not(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        before = {shard: len(scene.events(shard=shard)) for shard in range(4)}
        scene.sim.emit("USER_UPDATE", {"id": "1"}, shard=3)
        scene.sim.emit("TYPING_START", {"guild_id": str(1 << 22), "user_id": "1"}, shard=3)  # one of shard 1
        scene.sim.emit("MESSAGE_CREATE", {"channel_id": "5", "content": "a direct message"}, shard=0)
        await scene.settled()
        came = {shard: scene.events(shard=shard)[before[shard] :] for shard in range(4)}
        assert [one.name for one in came[3]] == ["USER_UPDATE", "TYPING_START"]
        assert [one.name for one in came[0]] == ["MESSAGE_CREATE"]
        assert came[1] == came[2] == []
        assert [one.frames[0] for one in came[3]] == [b"USER_UPDATE.3.", b"TYPING_START.3."]
        for shard in (0, 3):
            assert published(scene, shard) == sent(scene, shard)

    stage(tmp_path, play, shards=4, guilds=8, max_concurrency=4)


# Other spellings


def test_f103_top_level_keys_in_every_order_and_the_same_ones_nested_are_told_apart(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for keys in itertools.permutations(("t", "s", "op", "d", "new")):
            write_as(scene, in_order(keys))
            scene.sim.emit("MESSAGE_CREATE", NESTED)
        for keys in itertools.permutations(("t", "s", "op", "d")):
            write_as(scene, in_order(keys, b" \n\t"))
            scene.sim.emit("GUILD_UPDATE", NESTED)
        await scene.settled()
        assert len(scene.events("MESSAGE_CREATE")) == 120
        assert len(scene.events("GUILD_UPDATE")) == 24
        assert scene.seqs() == list(range(1, 148))
        await assert_passed_on(scene)

    stage(tmp_path, play)


@pytest.mark.parametrize("compression", ["none", "zlib-stream", "zstd-stream"])
@pytest.mark.parametrize("mix", ["chat", "guilds"])
def test_f103_odd_spellings_fragments_and_split_blocks_change_no_byte(
    tmp_path: Path, compression: str, mix: str
) -> None:
    # With these the simulator shuffles keys at every level, adds some, writes letters as \u escapes and
    # null as no key at all, cuts messages into fragments with pings between them, and zlib's blocks anywhere.
    async def play(scene: Scene) -> None:
        scene.job_changes = {"compression": compression}
        await scene.start()
        await scene.live()
        for _ in range(10):
            scene.sim.emit_random(0, 20)
            scene.sim.op1(0)
            await scene.run_for(1.0)
        scene.sim.op7(0)
        scene.sim.emit_random(0, 20)
        await scene.run_for(5.0)
        scene.sim.abort(0)
        scene.sim.emit_random(0, 20)
        await scene.run_for(5.0)
        assert scene.is_live(0)
        assert published(scene) == sent(scene)
        assert logged(scene) == sent(scene)
        assert len(scene.events()) > 200
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"] * 2
        assert len(scene.sim.ledger.identifies) == 1
        assert not any(one.payload.startswith(b'{"t":"') for one in scene.events("READY"))

    stage(
        tmp_path,
        play,
        start=False,
        mix=mix,
        guilds=20,
        shuffle_keys=True,
        terse=True,
        fragment=True,
        split_zlib=True,
        seed=3,
    )


def test_f104_a_header_as_text_of_a_user_is_text(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for text in (TEXT, TEXT * 2, f'"{TEXT}', f'"}}}}{TEXT}', f'}}{{"{TEXT}', "\\", '\\",' + TEXT, "}"):
            for keys in (("t", "s", "op", "d"), ("op", "d", "s", "t"), ("d", "new", "t", "op", "s")):
                write_as(scene, in_order(keys))
                scene.sim.emit("MESSAGE_CREATE", {"content": text, text: 1, "nonce": text})
                scene.sim.emit("TYPING_START", {"user_id": "1"})
        await scene.settled()
        assert scene.seqs() == list(range(1, 3 + 48 + 1))
        assert len(scene.events("READY")) == 1
        await assert_passed_on(scene)

    stage(tmp_path, play)


@pytest.mark.parametrize("compression", ["none", "zlib-stream", "zstd-stream"])
@pytest.mark.parametrize("keys", [("t", "s", "op", "d"), ("op", "d", "s", "t")], ids="".join)
def test_f105_values_that_parsers_change_or_refuse_are_passed_on_byte_for_byte(
    tmp_path: Path, compression: str, keys: tuple[str, ...]
) -> None:
    values = [
        b"9007199254740993",
        b"18446744073709551617",
        b"-0",
        b"1.10",
        b"-0.0",
        b"1E400",
        b"0.1000000000000000055511151231257827021181583404541015625",
        b"[" * 100 + b"]" * 100,
        b'{"d":' * 100 + b"null" + b"}" * 100,
        rb'"\ud800"',
        rb'"\udc00\ud800 \ud83d\ude00"',
        rb'"\u0000 \u001f \/ \u0041"',
        '"\U0001f600 \u2028 \u00e9 e\u0301"'.encode(),
        b'"\x7f"',
        b'{"a":1,"a":2,"":3}',
        b'{ "a" :\t[ 1 , 2 ] ,\r\n"b":{ } }',
        b"null",
        b'""',
    ]

    async def play(scene: Scene) -> None:
        scene.job_changes = {"compression": compression}
        await scene.start()
        await scene.live()
        write_as(scene, in_order(keys))
        for value in values:
            scene.sim.emit("SOMETHING_NEW", value)
        await scene.settled()
        came = [one.payload for one in scene.events("SOMETHING_NEW")]
        assert len(came) == len(values)
        assert all(b'"d":' + value in payload for value, payload in zip(values, came, strict=True))
        await assert_passed_on(scene)

    stage(tmp_path, play, start=False)


# Two shard counts at once


def test_f106_one_event_on_the_sessions_of_two_shard_counts_is_told_apart_by_its_header(
    tmp_path: Path,
) -> None:
    # While a bot is moved from one shard count to another, both fleets get each event:
    # https://docs.discord.com/developers/events/gateway#sharding
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(6.0)  # the two don't know of each other's identifies
        (tmp_path / "next").mkdir()
        after = Scene(tmp_path / "next", scene.sim, {"shards": {"count": 2}})
        await after.start()
        await after.live()
        scene.sim.emit_random(0, 40)
        await scene.settled()
        by_id = {one.payload.split(b'"d":', 1)[1]: one for one in scene.events("MESSAGE_CREATE")}
        twice = [
            (by_id[d], one)
            for one in after.events("MESSAGE_CREATE")
            if (d := one.payload.split(b'"d":', 1)[1]) in by_id
        ]
        assert len(twice) > 5, "the simulator makes one event for all who are to have it"
        for one, other in twice:
            assert (one.header["shards"], other.header["shards"]) == (1, 2)
            assert one.header["epoch"] != other.header["epoch"]
        assert len({one.header["epoch"] for one in scene.events()}) == 1
        assert len({(one.shard, one.header["epoch"]) for one in after.events()}) == 2
        await after.stop()

    # I8 looks for the sessions of both among what the first published.
    stage(tmp_path, play, excused={"I8"}, expect={"rest_calls": 2}, guilds=4)


def test_f106_another_shard_count_begins_another_epoch_and_a_restart_does_not(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        epochs: list[dict[int, str]] = []
        for count in (2, 2, 1):
            scene.config["shards"] = {"count": count}
            seen = len(scene.published)
            await scene.start()
            await scene.live()
            scene.sim.emit("TYPING_START", {"count": count})
            await scene.settled()
            epochs.append({one.shard: one.header["epoch"] for one in scene.published[seen:] if one.is_logged})
            await scene.stop()
        assert epochs[0] == epochs[1]
        assert epochs[2][0] not in epochs[0].values()
        assert len(scene.sim.ledger.identifies) == 3

    stage(tmp_path, play, start=False, max_concurrency=2)
