import json

from gwsimulator.effects import Send
from gwsimulator.world import Event
from support.sim_rig import Rig

MESSAGE_CONTENT = 1 << 15


def test_an_event_goes_to_the_shard_of_its_guild_and_to_no_other() -> None:
    rig = Rig(shards=2, guilds=4, identify_window_s=0.0)
    links = [rig.go_live(0)[0], rig.go_live(1)[0]]
    for _ in range(20):
        event = rig.world.happening(1)
        assert event is not None
        rig.perform(rig.gateway.delivery.happen(event, rig.now))
    assert rig.take(links[0]) == []
    got = rig.take(links[1])
    assert got
    assert all((int(one["d"]["guild_id"]) >> 22) % 2 == 1 for one in got)


def test_an_event_without_a_guild_goes_to_shard_0() -> None:
    rig = Rig(identify_window_s=0.0)
    links = [rig.go_live(0)[0], rig.go_live(1)[0]]
    rig.perform(rig.gateway.delivery.happen(Event("USER_UPDATE", b"{}", None), rig.now))
    assert [len(rig.take(link)) for link in links] == [1, 0]


def test_sessions_get_only_what_their_intents_cover() -> None:
    rig = Rig()
    link, _ = rig.go_live()  # GUILDS and GUILD_MESSAGES
    guild = rig.world.guild_ids[0]
    for name in ("MESSAGE_CREATE", "TYPING_START", "PRESENCE_UPDATE", "INTERACTION_CREATE", "CHANNEL_CREATE"):
        rig.perform(rig.gateway.delivery.happen(Event(name, b"{}", guild), rig.now))
    assert [one["t"] for one in rig.take(link)] == ["MESSAGE_CREATE", "INTERACTION_CREATE", "CHANNEL_CREATE"]


def test_content_needs_its_own_intent() -> None:
    for intents, content in [(513, ""), (513 | MESSAGE_CONTENT, "hello")]:
        rig = Rig()
        link = rig.dial()
        rig.identify(link, intents=intents)
        event = Event("MESSAGE_CREATE", b'{"content":"hello"}', rig.world.guild_ids[0], b'{"content":""}')
        rig.perform(rig.gateway.delivery.happen(event, rig.now))
        assert rig.take(link)[-1]["d"] == {"content": content}


def test_two_sessions_of_a_shard_each_count_for_themselves() -> None:
    rig = Rig(identify_window_s=0.0)
    first, _ = rig.go_live()
    rig.perform(rig.gateway.delivery.tell(0, Event("A", b"{}", None), rig.now))
    second, _ = rig.go_live()
    rig.perform(rig.gateway.delivery.tell(0, Event("B", b"{}", None), rig.now))
    assert [(one["t"], one["s"]) for one in rig.take(first)] == [("A", 4), ("B", 5)]
    assert [(one["t"], one["s"]) for one in rig.take(second)] == [("B", 4)]


def test_the_message_begins_with_t_s_op_d_in_this_order() -> None:
    rig = Rig()
    rig.go_live()
    (effect,) = rig.gateway.delivery.tell(0, Event("A", b'{"x":1}', None), rig.now)
    assert isinstance(effect, Send)
    assert effect.payload == b'{"t":"A","s":4,"op":0,"d":{"x":1}}'


def test_every_dispatch_is_in_the_ledger_with_the_bytes_that_were_sent() -> None:
    rig = Rig()
    link, session = rig.go_live()
    event = rig.world.happening(0)
    assert event is not None
    rig.perform(rig.gateway.delivery.tell(0, event, rig.now))
    last = rig.ledger.dispatches(session=session)[-1]
    assert (last.shard, last.shards, last.seq, last.name) == (0, 2, 4, event.name)
    assert last.payload is not None
    assert json.loads(last.payload) == rig.take(link)[-1]


def test_the_next_dispatches_can_be_doubled_skipped_to_or_broken() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    event = rig.world.guild_create(rig.world.guild_ids[0])
    rig.gateway.faults.dispatches.add("duplicate", "gap", "corrupt", where=0)
    rig.raw.clear()
    for _ in range(4):
        rig.perform(rig.gateway.delivery.tell(0, event, rig.now))
    assert [one["s"] for one in rig.take(link)] == [4, 4, 10, 11, 12]
    assert [effect.spoil for effect in rig.raw if isinstance(effect, Send)] == [None] * 3 + ["broken", None]
