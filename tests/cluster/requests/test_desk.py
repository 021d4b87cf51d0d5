from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from pathlib import Path

import msgpack
import pytest
import zmq

from gwcluster.binding import BindError
from gwcluster.requests.desk import Desk
from gwcluster.wire.control import CommandDone
from support.desk_rig import MIB, Rig, answer, asked, code, opened, request, until


def test_dealers_and_reqs_get_their_own_frames_back_and_the_answer_behind_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            expected = {"v": 1, "id": 7, "ok": True, "status": {"name": "example"}}
            assert await asked(rig.client()) == expected
            assert await asked(rig.client(zmq.REQ)) == expected
            far = rig.client()
            await far.send_multipart([b"proxy", b"", request()])
            *envelope, body = await far.recv_multipart()
            assert (envelope, msgpack.unpackb(body)) == ([b"proxy", b""], expected)

    asyncio.run(scenario())


def test_every_address_is_answered_at(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            addresses = [f"ipc://{tmp_path / 'second'}", f"tcp://127.0.0.1:{port}"]
            second = Desk(addresses, rig.control, lambda: rig.logs, clock=time.monotonic)
            for rig.address in addresses:
                assert (await asked(rig.client()))["ok"] is True
            await second.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"", b""],
        [b"garbage"],
        [b"", b"\xc1"],
        [msgpack.packb([1])],
        [request(v=2)],
        [request("none")],
        [request("replay")],
        [request(), b""],
        [b"x" * 3000, request()],
        [request()] * 40,
        [b"", *[b"x"] * 40],
        [request(x="x" * 65_536)],
        [bytes(250_000)],
    ],
)
def test_what_is_no_request_is_answered_and_does_no_harm(tmp_path: Path, frames: list[bytes]) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            await client.send_multipart(frames)
            async with asyncio.timeout(5.0):
                *envelope, body = await client.recv_multipart()
            assert code(msgpack.unpackb(body)) == "bad_request"
            assert envelope in (frames[:-1], [], [b""])
            assert (await asked(client))["ok"] is True

    asyncio.run(scenario())


def test_a_frame_that_is_far_too_large_costs_its_sender_the_connection_and_nobody_else(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            bad, good = rig.client(), rig.client()
            assert (await asked(bad))["ok"] is True
            await bad.send(bytes(MIB))
            assert (await asked(good))["ok"] is True
            assert (await asked(bad))["ok"] is True  # over a connection that ZeroMQ made anew

    asyncio.run(scenario())


def test_before_the_shards_are_known_only_the_status_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        rig = Rig(tmp_path)
        client = rig.client()
        assert (await asked(client))["ok"] is True
        for op in ("send", "replay"):
            found = await asked(client, op, shard=0)
            assert (code(found), found["error"]["retry_after"]) == ("not_ready", 1.0)
        await rig.close()

    asyncio.run(scenario())


def test_every_one_of_many_questions_for_the_status_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            for number in range(200):
                await client.send(request(id=number))
            found = [await answer(client) for _ in range(200)]
            assert sorted(each["id"] for each in found) == list(range(200))
            assert {code(each) for each in found if not each["ok"]} <= {"rate_limited"}
            assert sum(each["ok"] for each in found) >= 8

    asyncio.run(scenario())


def test_however_often_the_status_is_asked_for_the_control_loop_has_to_look_now_and_then(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            for _ in range(4):
                assert (await asked(client))["ok"] is True
            waits = [after - before for before, after in itertools.pairwise(rig.looked_at)]
            assert len(waits) == 3
            assert min(waits) >= 0.05

    asyncio.run(scenario())


def test_a_payload_is_sent_and_answered_when_its_worker_has_sent_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            await client.send(request("send", guild_id=str(5 << 22), payload={"op": 4, "d": {"x": 1}}, ttl=5))
            await until(lambda: bool(rig.told))
            ((shard, command),) = rig.told
            assert (shard, command.op, command.d, command.ttl_s) == (1, 4, {"x": 1}, 5.0)
            assert not await client.poll(20)
            rig.commands.heard(CommandDone(command.id, None, "", None, 1.0))
            assert await answer(client) == {"v": 1, "id": 7, "ok": True}

    asyncio.run(scenario())


def test_a_payload_that_is_not_sent_is_answered_with_the_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            payload = {"op": 3, "d": {}}
            found = await asked(client, "send", shard=3, payload=payload)
            assert (code(found), found["error"]["retry_after"]) == ("not_ready", 1.0)
            assert code(await asked(client, "send", shard=9, payload=payload)) == "unknown_shard"
            assert code(await asked(client, "send", payload=payload)) == "bad_request"
            assert code(await asked(client, "send", shard=0, payload=payload, ttl=-1)) == "bad_request"
            found = await asked(client, "send", shard=0, payload={"op": 3, "d": "x" * 20_000})
            assert (code(found), "retry_after" in found["error"]) == ("too_large", False)

    asyncio.run(scenario())


def test_payloads_that_wait_are_bounded_per_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            greedy, modest = rig.client(), rig.client()
            for number in range(1030):
                await greedy.send(request("send", id=number, shard=number % 3, payload={"op": 8, "d": {}}))
            for number in range(1024, 1030):
                found = await answer(greedy)
                assert (found["id"], code(found)) == (number, "rate_limited")
                assert found["error"]["retry_after"] > 0
            await modest.send(request("send", shard=0, payload={"op": 8, "d": {}}))
            await until(lambda: len(rig.told) == 1025)
            for _, command in rig.told:
                rig.commands.heard(CommandDone(command.id, None, "", None, 1.0))
            assert [(await answer(greedy))["id"] for _ in range(1024)] == list(range(1024))
            assert (await answer(modest))["ok"] is True
            await greedy.send(request("send", shard=0, payload={"op": 8, "d": {}}))
            await until(lambda: len(rig.told) == 1026)

    asyncio.run(scenario())


def test_a_replay_is_read_from_the_log_of_its_shard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            assert (await asked(client, "replay", shard=2, after=5))["ok"] is True
            assert [(ask.shard, ask.after) for ask in rig.logs.asked] == [(2, 5)]
            assert code(await asked(client, "replay", shard=4)) == "unknown_shard"

    asyncio.run(scenario())


def test_a_disk_that_hangs_holds_up_replays_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            rig.logs.hold = True
            client = rig.client()
            await client.send(request("replay", shard=0, id="late"))
            await until(lambda: bool(rig.logs.held))
            assert (await asked(client))["ok"] is True
            assert code(await asked(client, "send", shard=9, payload={"op": 3, "d": {}})) == "unknown_shard"
            rig.logs.held.pop()()
            assert (await answer(client))["id"] == "late"

    asyncio.run(scenario())


def test_replays_that_wait_are_bounded_per_client_and_others_have_their_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            rig.logs.hold = True
            greedy, modest = rig.client(), rig.client()
            await greedy.send(request("replay", shard=0, id=0))
            await until(lambda: bool(rig.logs.held))
            for number in range(1, 40):
                await greedy.send(request("replay", shard=0, id=number))
            for number in range(33, 40):  # one is being read, 32 wait
                found = await answer(greedy)
                assert (found["id"], code(found)) == (number, "rate_limited")
                assert found["error"]["retry_after"] > 0
            await modest.send(request("replay", shard=1, id="modest"))
            assert (await asked(modest))["ok"] is True  # so it has been read, too
            for turn in itertools.count():
                await until(lambda: bool(rig.logs.held))
                rig.logs.held.pop()()
                if rig.logs.asked[turn].id == "modest":
                    break
            assert turn <= 2
            assert (await answer(modest))["id"] == "modest"
            await until(lambda: bool(rig.logs.held))
            rig.logs.hold = False
            rig.logs.held.pop()()
            assert [(await answer(greedy))["id"] for _ in range(33)] == list(range(33))

    asyncio.run(scenario())


def test_for_a_client_that_does_not_read_no_more_is_read_and_others_notice_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            rig.logs.size = MIB
            mute, lively = rig.mute(), rig.client()
            for number in range(30):
                await mute.send(request("replay", shard=0, id=number))
            for number in range(30):
                assert (await asked(lively, "replay", shard=1, id=number))["ok"] is True
            read = sum(ask.shard == 0 for ask in rig.logs.asked)
            assert read <= 12  # in ZeroMQ's queues at both ends, and one that waits
            assert [(await answer(mute))["id"] for _ in range(30)] == list(range(30))

    asyncio.run(scenario())


def test_answers_for_a_client_that_never_reads_are_dropped_beyond_a_bound_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            mute = rig.mute()
            number = b"x" * 1000
            for _ in range(6000):
                await mute.send(request("none", id=number))
            lively = rig.client()
            await until(lambda: "lose them" in caplog.text)
            assert (await asked(lively))["ok"] is True
            for _ in range(500):
                await mute.send(request("none", id=number))
            assert (await asked(lively))["ok"] is True

    caplog.set_level(logging.WARNING)
    asyncio.run(scenario())
    assert caplog.text.count("lose them") == 1


def test_who_reads_loses_nothing_to_any_number_of_those_who_never_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            rig.logs.size = 4 * MIB
            for _ in range(12):  # one such answer for each of them would be more than may wait in all
                mute = rig.mute()
                for number in range(12):
                    await mute.send(request("replay", shard=0, id=number))
            await until(lambda: "lose them" in caplog.text)
            reads = rig.mute()
            for number in range(20):
                await reads.send(request("replay", shard=1, id=number))
            await until(lambda: sum(ask.shard == 1 for ask in rig.logs.asked) > 4)  # so they had to wait
            assert [(await answer(reads))["id"] for _ in range(20)] == list(range(20))

    caplog.set_level(logging.WARNING)
    asyncio.run(scenario())


def test_what_a_client_that_is_gone_had_asked_for_is_not_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            rig.logs.hold = True
            gone, stays = rig.client(), rig.client()
            for _ in range(20):
                await gone.send(request("replay", shard=0))
            await until(lambda: bool(rig.logs.held))
            assert (await asked(gone))["ok"] is True
            gone.close()
            await asyncio.sleep(0.1)  # for ZeroMQ's threads to hear of it; there is nothing to poll
            rig.logs.hold = False
            rig.logs.held.pop()()
            assert (await asked(stays, "replay", shard=1))["ok"] is True
            assert sum(ask.shard == 0 for ask in rig.logs.asked) <= 2

    asyncio.run(scenario())


def test_close_answers_what_waits_and_does_not_wait_for_a_disk_that_hangs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            rig.logs.hold = True
            client = rig.client()
            for number in range(3):
                await client.send(request("replay", shard=0, id=number))
            await until(lambda: bool(rig.logs.held))
            assert (await asked(client))["ok"] is True
            started = time.monotonic()
            await rig.desk.close()
            assert time.monotonic() - started < 2.0
            found = [await answer(client) for _ in range(3)]
            assert {(each["id"], code(each)) for each in found} == {
                (number, "not_ready") for number in range(3)
            }

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_a_path_at_which_somebody_listens_is_not_taken_from_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            with pytest.raises(BindError, match=f"can't bind {rig.address}: another process listens there"):
                Desk([rig.address], rig.control, lambda: rig.logs, clock=time.monotonic)
            assert (await asked(rig.client()))["ok"] is True

    asyncio.run(scenario())


def test_a_taken_port_is_an_error_that_names_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            with socket.create_server(("127.0.0.1", 0)) as other:
                address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
                with pytest.raises(BindError, match=f"can't bind {address}: .* is another cluster running"):
                    Desk([address], rig.control, lambda: rig.logs, clock=time.monotonic)

    asyncio.run(scenario())


def test_a_host_that_is_one_of_several_is_drained_and_a_single_one_says_that_it_is_alone(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            found = await asked(client, "drain")
            assert code(found) == "not_ready"
            assert "cluster.yaml has no `hosts`" in found["error"]["message"]
            drained: list[str] = []
            rig.operations.emptied = lambda: drained.append("all")
            assert (await asked(client, "drain"))["ok"]
            assert drained == ["all"]

    asyncio.run(scenario())
