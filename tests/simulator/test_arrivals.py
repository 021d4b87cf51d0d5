import pytest

from support.sim_rig import Rig


def test_ready_comes_first_and_then_one_guild_create_for_each_of_its_stubs() -> None:
    rig = Rig(shards=2, guilds=7)
    link = rig.dial()
    rig.take(link)
    ready, *rest = rig.identify(link, 1)
    assert (ready["t"], ready["s"], ready["op"]) == ("READY", 1, 0)
    assert ready["d"]["shard"] == [1, 2]
    assert ready["d"]["resume_gateway_url"] == "ws://resume.test"
    assert all(stub["unavailable"] for stub in ready["d"]["guilds"])
    assert [one["t"] for one in rest] == ["GUILD_CREATE"] * 3
    assert [one["s"] for one in rest] == [2, 3, 4]
    assert [one["d"]["id"] for one in rest] == [stub["id"] for stub in ready["d"]["guilds"]]
    assert all((int(one["d"]["id"]) >> 22) % 2 == 1 for one in rest)


def test_without_the_guilds_intent_there_are_no_guild_creates() -> None:
    rig = Rig()
    link = rig.dial()
    rig.take(link)
    assert [one["t"] for one in rig.identify(link, intents=512)] == ["READY"]


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 0.0), (2.0, 2.0)])
def test_guilds_come_at_once_or_one_by_one(rate: float, seconds: float) -> None:
    rig = Rig(guilds=8, guild_rate=rate)
    link = rig.dial()
    rig.take(link)
    assert len(rig.identify(link)) == (1 if rate else 5)
    rig.run_for(seconds - 0.1 if seconds else 0.0)
    assert len(rig.take(link)) == (3 if rate else 0)
    rig.run_for(0.1)
    assert len(rig.take(link)) == (1 if rate else 0)
    rig.run_for(10.0)
    assert rig.take(link) == []


def test_other_events_come_between_guilds_that_come_one_by_one() -> None:
    rig = Rig(guilds=8, guild_rate=1.0)
    link, _ = rig.go_live()
    got = []
    for _ in range(4):
        rig.run_for(0.5)
        rig.happen()
        rig.run_for(0.5)
        got += rig.take(link)
    assert [(one["t"], one["s"]) for one in got] == [
        ("A", 2),
        ("GUILD_CREATE", 3),
        ("A", 4),
        ("GUILD_CREATE", 5),
        ("A", 6),
        ("GUILD_CREATE", 7),
        ("A", 8),
        ("GUILD_CREATE", 9),
    ]


def test_guilds_go_on_coming_while_the_connection_is_lost_and_are_replayed() -> None:
    rig = Rig(guilds=8, guild_rate=1.0)
    link, session = rig.go_live()
    rig.run_for(1.0)
    rig.lose(link)
    rig.run_for(10.0)
    link = rig.dial("resume")
    rig.take(link)
    assert [one["t"] for one in rig.resume(link, session, 2)] == ["GUILD_CREATE"] * 3 + ["RESUMED"]


def test_guilds_of_a_session_that_is_gone_come_no_more() -> None:
    rig = Rig(guilds=8, guild_rate=1.0)
    link, session = rig.go_live()
    rig.lose(link, 1000)
    rig.run_for(10.0)
    assert len(rig.ledger.dispatches(session=session)) == 1


def test_some_guilds_are_unavailable_or_stubs_and_come_back_later() -> None:
    rig = Rig(guilds=8, unavailable_guilds=1, stub_guilds=1, guild_recovery_s=30.0)
    link = rig.dial()
    rig.take(link)
    ready, gone, stub, *whole = rig.identify(link)
    first, second, *_ = (one["id"] for one in ready["d"]["guilds"])
    assert (gone["t"], gone["d"]) == ("GUILD_DELETE", {"unavailable": True, "id": first})
    assert (stub["t"], stub["d"]) == ("GUILD_CREATE", {"unavailable": True, "id": second})
    assert [one["d"]["unavailable"] for one in whole] == [False, False]
    rig.run_for(29.9)
    assert rig.take(link) == []
    rig.run_for(0.1)
    back = rig.take(link)
    assert [(one["t"], one["d"]["id"], one["d"]["unavailable"]) for one in back] == [
        ("GUILD_CREATE", first, False),
        ("GUILD_CREATE", second, False),
    ]


def test_a_guild_may_also_never_come_back() -> None:
    rig = Rig(guilds=8, unavailable_guilds=4, guild_recovery_s=None, heartbeat_interval_ms=3_600_000)
    link = rig.dial()
    rig.take(link)
    assert [one["t"] for one in rig.identify(link)] == ["READY"] + ["GUILD_DELETE"] * 4
    rig.run_for(3_600.0)
    assert rig.take(link) == []
