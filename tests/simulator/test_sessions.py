import pytest

from gwsimulator.sessions import Session, Sessions, buffer_size


def session(capacity: int = 100) -> Session:
    return Session("a" * 32, "abc", (0, 1), 513, None, capacity, live=True)


@pytest.mark.parametrize(("guilds", "events"), [(0, 100), (1, 100), (2, 150), (46, 3450), (1000, 3500)])
def test_the_replay_buffer_grows_with_the_guilds_within_limits(guilds: int, events: int) -> None:
    assert buffer_size(guilds) == events


def test_numbers_start_at_1_and_rise_by_1() -> None:
    one = session()
    assert [one.stamp("A", b"1"), one.stamp("B", b"2")] == [
        b'{"t":"A","s":1,"op":0,"d":1}',
        b'{"t":"B","s":2,"op":0,"d":2}',
    ]


def test_what_was_missed_is_what_came_after() -> None:
    one = session()
    sent = [one.stamp("A", b"%d" % n) for n in range(5)]
    assert one.missed(2) == sent[2:]
    assert one.missed(5) == []
    assert one.missed(0) == sent


def test_a_full_buffer_forgets_the_oldest_and_admits_it() -> None:
    one = session(capacity=3)
    sent = [one.stamp("A", b"%d" % n) for n in range(5)]
    assert one.missed(2) == sent[2:]
    assert one.missed(1) is None


def test_a_session_dropped_twice_is_dropped_once() -> None:
    sessions = Sessions()
    one = session()
    sessions.add(one)
    assert sessions.on_shard(0) == [one]
    sessions.drop(one)
    sessions.drop(one)
    assert sessions.on_shard(0) == []
    assert sessions.get(one.id) is None


def test_a_trimmed_buffer_has_what_came_after_and_nothing_else() -> None:
    one = session()
    sent = [one.stamp("A", b"%d" % n) for n in range(5)]
    one.trim(3)
    assert one.missed(3) == sent[3:]
    assert one.missed(2) is None
