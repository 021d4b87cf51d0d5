from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwcluster.log.jetstream.flight import Compare, Flight, Item, Perform, Publish
from support.stream_model import WINDOW, Owner, Server

NOW = 10_000.0


def item(offset: int, size: int = 10) -> Item:
    return Item(("A", "w", "e", offset, offset), "", {}, b"", size, received=(1, offset))


def flying(count: int, **changed: int) -> tuple[Flight, list[Publish], list[int]]:
    """Return a flight of `count` items that were published, and what comes to count."""
    flight, called = Flight(7, (0, None), NOW, **changed), list[int]()
    for offset in range(count):
        flight.stage(item(offset), NOW)
        flight.after(lambda offset=offset: called.append(offset))  # type: ignore[misc]
    return flight, publishes(flight), called


def publishes(flight: Flight, now: float = NOW) -> list[Publish]:
    found = []
    while isinstance(effect := flight.next(now), Publish):
        found.append(effect)
    return found


def call(thens: list[Callable[[], None]]) -> None:
    for each in thens:
        each()


def test_items_are_published_in_order_each_behind_the_one_before() -> None:
    flight, sent, _ = flying(3)
    assert [(each.item.key, each.after) for each in sent] == [
        (("A", "w", "e", offset, offset), 7 + offset) for offset in range(3)
    ]
    assert flight.waiting == 30


def test_what_is_acknowledged_counts_in_order_whatever_the_order_of_the_answers() -> None:
    flight, sent, called = flying(3)
    call(flight.acked(sent[2].attempt, sent[2].number, 10, NOW))
    call(flight.acked(sent[1].attempt, sent[1].number, 9, NOW))
    assert (called, flight.received, flight.waiting) == ([], (0, None), 30)
    call(flight.acked(sent[0].attempt, sent[0].number, 8, NOW))
    assert (called, flight.received, flight.waiting, flight.last) == ([0, 1, 2], (1, 2), 0, 10)


def test_an_answer_that_comes_twice_counts_once() -> None:
    flight, sent, called = flying(2)
    for _ in range(2):
        call(flight.acked(sent[0].attempt, sent[0].number, 8, NOW))
    assert (called, flight.last) == ([0], 8)


def test_no_more_is_on_its_way_than_a_successor_reckons_with() -> None:
    flight, sent, _ = flying(300)
    assert len(sent) == 256
    flight.acked(sent[0].attempt, sent[0].number, 8, NOW)
    (another,) = publishes(flight)
    assert another.after == 7 + 256


def test_bytes_on_their_way_are_bounded_but_one_item_always_goes() -> None:
    _, sent, _ = flying(5, window_bytes=25)
    assert len(sent) == 2
    large = Flight(0, (0, None), NOW, window_bytes=25)
    large.stage(item(0, 1000), NOW)
    assert len(publishes(large)) == 1


def test_a_refusal_is_settled_by_comparing_and_the_rest_is_published_again() -> None:
    flight, sent, called = flying(3)
    flight.refused(sent[1].attempt, sent[1].number, "wrong last sequence", NOW)
    assert flight.next(NOW) is None  # what is still on its way may land first
    assert flight.due == pytest.approx(NOW + 0.05)
    assert flight.next(NOW + 0.1) == Compare(7, 4)
    assert flight.next(NOW + 9.0) is None  # until it is answered
    call(flight.compared(8, [sent[0].item.key], NOW + 0.2))
    assert (called, flight.last) == ([0], 8)
    again = publishes(flight)
    assert [(each.item, each.after) for each in again] == [(sent[1].item, 8), (sent[2].item, 9)]
    assert {each.attempt for each in again} == {1}


def test_answers_to_an_earlier_attempt_are_nothing_to_go_by() -> None:
    flight, sent, called = flying(2)
    flight.refused(sent[0].attempt, sent[0].number, "no leader", NOW)
    flight.next(NOW + 0.1)
    flight.compared(7, [], NOW + 0.1)
    publishes(flight)
    call(flight.acked(sent[0].attempt, sent[0].number, 8, NOW))
    flight.refused(sent[1].attempt, sent[1].number, "wrong last sequence", NOW)
    assert (called, flight.last, flight.trouble) == ([], 7, None)


def test_silence_raises_doubt() -> None:
    flight, sent, _ = flying(2)
    flight.acked(sent[0].attempt, sent[0].number, 8, NOW + 3.0)
    assert flight.due == NOW + 8.0
    assert flight.next(NOW + 7.9) is None
    assert flight.next(NOW + 8.0) == Compare(8, 2)


def test_a_lost_connection_raises_doubt_and_nothing_is_sent_before_there_is_another() -> None:
    flight, _, _ = flying(2)
    flight.connected(False, NOW)
    assert (flight.next(NOW + 60.0), flight.due) == (None, None)
    flight.connected(True, NOW + 60.0)
    assert flight.next(NOW + 60.0) == Compare(7, 3)


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (8, [("_fence", "x", "e", 0, None)]),  # a successor's fence
        (8, [("A", "w", "e", 1, 1)]),  # ours, but not the next
        (8, [("A", "x", "e", 0, 0)]),  # the same event, written by somebody else
        (9, [("A", "w", "e", 0, 0)]),  # something that is gone
        (8, [None]),
        (6, []),  # the stream is another one
    ],
)
def test_whatever_is_not_what_was_published_next_ends_the_writer(
    last: int, found: list[tuple[str, str, str, int, int | None] | None]
) -> None:
    flight, _, called = flying(2)
    flight.connected(False, NOW)
    flight.connected(True, NOW)
    flight.next(NOW)
    call(flight.compared(last, found, NOW))
    assert flight.fenced is not None
    assert (flight.next(NOW + 99.0), flight.due, flight.waiting) == (None, None, 0)
    flight.stage(item(5), NOW)
    assert flight.waiting == 0
    assert 1 not in called


def test_what_was_never_published_cannot_be_in_the_stream() -> None:
    flight = Flight(7, (0, None), NOW, window=1)
    for offset in range(2):
        flight.stage(item(offset), NOW)
    (first,) = publishes(flight)
    flight.refused(first.attempt, first.number, "no leader", NOW)
    assert flight.next(NOW + 0.1) == Compare(7, 2)
    flight.compared(9, [("A", "w", "e", 0, 0), ("A", "w", "e", 1, 1)], NOW)
    assert flight.fenced is not None


def test_a_session_waits_for_all_before_it_and_all_behind_it_waits_for_the_session() -> None:
    flight = Flight(0, (0, None), NOW)
    flight.stage(item(0), NOW)
    flight.stage(Item(None, "", {}, b"session", 10), NOW)
    flight.stage(item(1), NOW)
    (first,) = publishes(flight)
    assert flight.next(NOW) is None
    flight.acked(first.attempt, first.number, 1, NOW)
    assert isinstance(flight.next(NOW), Perform)
    assert flight.next(NOW) is None
    flight.performed(NOW)
    (second,) = publishes(flight)
    assert (second.item.key, second.after) == (("A", "w", "e", 1, 1), 1)


def test_comparisons_that_fail_are_tried_again_ever_more_seldom_up_to_two_seconds() -> None:
    flight, _, _ = flying(1)
    flight.connected(False, NOW)
    flight.connected(True, NOW)
    now, waits = NOW, []
    for _ in range(9):
        assert flight.next(now) == Compare(7, 2)
        flight.failed("no answer", now)
        assert flight.due is not None
        waits.append(flight.due - now)
        now = flight.due
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(2.0)


def test_how_long_nothing_has_come_to_count() -> None:
    flight, sent, _ = flying(2)
    assert flight.stalled_s(NOW + 3.0) == 3.0
    flight.acked(sent[0].attempt, sent[0].number, 8, NOW + 3.0)
    assert flight.stalled_s(NOW + 4.0) == 1.0
    flight.acked(sent[1].attempt, sent[1].number, 9, NOW + 4.0)
    assert flight.stalled_s(NOW + 99.0) == 0.0


def test_a_server_that_refuses_again_and_again_has_taken_nothing_all_the_while() -> None:
    # as one does whose disk is full: each attempt is answered, and nothing is taken
    flight, sent, _ = flying(2)
    now = NOW
    for _ in range(8):
        flight.refused(sent[0].attempt, sent[0].number, "no room", now)
        now += 2.0
        assert isinstance(flight.next(now), Compare)
        flight.compared(7, [], now)
        sent = publishes(flight, now)
    assert flight.stalled_s(now) == 16.0
    assert flight.trouble is None
    call(flight.acked(sent[0].attempt, sent[0].number, 8, now))
    assert flight.stalled_s(now + 1.0) == 1.0


# Whatever happens


class World:
    """A stream, its present owner and those before it."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.server = Server()
        self.owners: list[Owner] = []
        self.fences: list[int] = []
        self.take_over()

    def draw(self, most: int) -> int:
        return self._data.draw(st.integers(0, most))

    def yes(self) -> bool:
        return self._data.draw(st.booleans())

    @property
    def owner(self) -> Owner:
        return self.owners[-1]

    def deliver(self) -> None:
        """Some messages arrive at the server, of any owner, by any connection, in the order of that one."""
        lines = [line for owner in self.owners for line in owner.lines if line]
        if lines:
            line = lines[self.draw(len(lines) - 1)]
            for _ in range(1 + self.draw(len(line) - 1)):
                self.server.take(line.pop(0))

    def answer(self) -> None:
        """One of the answers arrives, at once or twice, or is lost."""
        owners = [owner for owner in self.owners if owner.answers]
        if owners:
            owner = owners[self.draw(len(owners) - 1)]
            arrives = owner.answers.pop(self.draw(len(owner.answers) - 1))
            for _ in range(self.draw(2)):
                arrives()

    def break_line(self) -> None:
        """The connection breaks; what was on it is lost from somewhere on, or comes later."""
        line = self.owner.lines[-1]
        del line[self.draw(len(line)) :]
        self.owner.lines.append([])
        self.owner.flight.connected(False, self.owner.now)
        self.owner.flight.connected(True, self.owner.now)

    def pass_time(self) -> None:
        for owner in self.owners:
            owner.now += 1.0 + self.draw(5)

    def act(self) -> None:
        owner = self.owners[self.draw(len(self.owners) - 1)]  # an older one may still believe that it owns it
        for _ in range(1 + self.draw(5)):
            owner.save() if self.draw(9) == 0 else owner.append()
        owner.pump(self.yes)

    def pump(self) -> None:
        for owner in self.owners:
            owner.pump(self.yes)

    def _lurkers(self) -> None:
        for _ in range(self.draw(3)):
            self.deliver()

    def take_over(self) -> None:
        """What `opening` does, with messages of others arriving between its steps."""
        server, name = self.server, f"w{len(self.owners)}"
        stream = server.stream
        if self.owners:
            stream.append(("_fence", name, "e", -1, None))
            taking = len(stream)
            self._lurkers()
            while len(stream) < taking + WINDOW:
                stream.append(("_fill", name, "e", 0, None))
                self._lurkers()
            for at in range(taking, len(stream)):
                if (key := stream[at]) is not None and key[0] == "A":
                    stream[at] = None
        value, revision = server.session
        server.session = (value, revision + 1)
        records = [key for key in stream if key is not None and key[0] == "A"]
        stream.append(("_fence", name, "e", len(records), None))
        self.fences.append(len(stream))
        received = (1, records[-1][4]) if records else (0, None)
        flight = Flight(len(stream), received, 10_000.0, window=WINDOW)
        self.owners.append(Owner(name, server, flight, revision + 1, len(records)))

    def settle(self) -> None:
        """Everything arrives by and by."""
        for _ in range(40):
            for owner in self.owners:
                owner.now += 6.0
                owner.pump(lambda: True)
                for line in owner.lines:
                    while line:
                        self.server.take(line.pop(0))
                while owner.answers:
                    owner.answers.pop(0)()

    def check(self) -> None:
        """Nothing twice, nothing missing, nothing out of order, nothing counts that isn't in the log."""
        records = [key for key in self.server.stream if key is not None and key[0] == "A"]
        assert [key[3] for key in records] == list(range(len(records)))
        for owner in self.owners:
            assert owner.counted == owner.staged[: len(owner.counted)]
            counted = [what for what in owner.counted if isinstance(what, int)]
            assert counted == [key[3] for key in records if key[1] == owner.name][: len(counted)]
        present = self.owner
        assert present.flight.fenced is None
        assert present.counted == present.staged
        assert all(owner.flight.fenced or owner.counted == owner.staged for owner in self.owners)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_lost_late_or_doubled_and_whoever_takes_over_each_record_is_once_in_the_log(
    data: st.DataObject,
) -> None:
    world = World(data)
    deeds = [
        world.act,
        world.act,
        world.pump,
        world.deliver,
        world.deliver,
        world.answer,
        world.answer,
        world.break_line,
        world.pass_time,
        world.take_over,
    ]
    for _ in range(data.draw(st.integers(0, 60))):
        deeds[data.draw(st.integers(0, len(deeds) - 1))]()
    world.settle()
    world.check()
