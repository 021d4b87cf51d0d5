"""One shard followed step by step: when it asks, what it holds back, and what it says is missing."""

from __future__ import annotations

from typing import Any

from gwcluster.client.event import Event
from gwcluster.client.follower import PATIENCE_S, Follower
from gwcluster.client.place import Place, Step
from gwcluster.client.room import Room
from gwcluster.wire.events import Header
from gwcluster.wire.notices import GAP
from gwcluster.wire.replay import Ask, Refused

A = "00000000000000aa"
B = "00000000000000bb"
SOME = frozenset({"M", "T"})


def event(offset: int, name: str = "M", epoch: str = A, size: int = 2) -> Event:
    return Event(name, Header(3, 4, epoch, offset, None, 1, offset, 10_000.0), b"x" * size)


class Rig:
    """A follower of shard 3, what it gave out, and a clock."""

    def __init__(
        self, names: frozenset[str] | None = None, place: Place | None = None, room_bytes: int = 1000
    ) -> None:
        self.now = 10_000.0
        self.given: list[Event] = []
        self.steps: list[Step] = []
        self.room = Room(room_bytes)
        self.shard = Follower(
            3, names, place, room=self.room, emit=self._emit, wall=lambda: 10_000.0, now=self.now
        )

    def _emit(self, given: Event | None, step: Step) -> None:
        self.steps.append(step)
        if given is not None:
            self.given.append(given)

    def placed(self, newest: int | None = None, epoch: str = A) -> Rig:
        """Let it begin at now."""
        assert self.ask() == Ask(3, None, None, None, only_place=True)
        self.page(epoch=epoch, newest=newest)
        return self

    def ask(self) -> Ask:
        assert self.shard.ask_at is not None
        assert self.shard.ask_at <= self.now
        return self.shard.ask()

    def page(self, *came: tuple[Event, int | None], **said: Any) -> None:
        values: dict[str, Any] = {"epoch": A, "holes": [], "last": None, "oldest": 0, "newest": None, **said}
        self.shard.page(values.pop("epoch"), came, values.pop("holes"), now=self.now, **values)

    def event(self, offset: int, prev: int | None, name: str = "M", epoch: str = A, size: int = 2) -> None:
        self.shard.event(event(offset, name, epoch, size), prev, self.now)

    def refuse(self, code: str, **more: Any) -> None:
        self.shard.refused(Refused(code, "", **more), self.now)

    @property
    def offsets(self) -> list[int]:
        return [each.offset for each in self.given if each.name != GAP]

    @property
    def gaps(self) -> list[tuple[str, int, int | None]]:
        return [(g.epoch, g.data["first"], g.data["last"]) for g in self.given if g.name == GAP]


def test_it_begins_at_now_and_asks_for_nothing_that_was_before() -> None:
    rig = Rig().placed(newest=41)
    assert rig.shard.ask_at is None
    rig.event(42, 40)
    assert rig.offsets == [42]


def test_what_came_while_it_looked_for_its_place_is_not_lost() -> None:
    rig = Rig()
    rig.event(40, 39)
    rig.event(41, 40)
    rig.placed(newest=41)
    assert rig.offsets == [40, 41]


def test_a_log_that_was_not_there_yet_is_read_from_its_beginning() -> None:
    rig = Rig()
    rig.ask()
    rig.refuse("not_ready", retry_after_s=1.0, no_log=True)
    assert rig.shard.ask_at == rig.now + 1.0
    rig.now += 1.0
    rig.placed(newest=1)
    assert rig.ask() == Ask(3, A, None, None)
    rig.page((event(0), None), (event(1), 0), last=1, newest=1)
    assert rig.offsets == [0, 1]


def test_a_log_that_the_disk_can_not_read_is_no_new_one() -> None:
    rig = Rig()
    rig.ask()
    rig.refuse("not_ready", retry_after_s=1.0)
    rig.now += 1.0
    rig.placed(newest=7)
    assert rig.shard.ask_at is None


def test_a_missing_offset_is_fetched_before_what_follows_it_is_given_out() -> None:
    rig = Rig().placed(newest=9)
    rig.event(12, 11)
    assert rig.offsets == []
    assert rig.ask() == Ask(3, A, 9, None)
    rig.event(13, 12)
    rig.page((event(10), 9), (event(11), 10), (event(12), 11), last=12, newest=12)
    assert rig.offsets == [10, 11, 12, 13]
    assert rig.shard.ask_at is None


def test_a_break_in_a_names_chain_is_fetched_and_offsets_of_others_are_none_of_its_business() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.event(20, None, "T")
    rig.event(30, 20, "T")
    assert rig.offsets == [20, 30]
    rig.event(50, 40, "T")
    assert rig.ask() == Ask(3, A, 9, ["M", "T"])
    rig.page(
        (event(20, "T"), None),
        (event(30, "T"), 20),
        (event(40, "T"), 30),
        (event(50, "T"), 40),
        last=55,
        newest=55,
    )
    assert rig.offsets == [20, 30, 40, 50]


def test_a_beacon_shows_a_lost_last_event() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.shard.beacon(A, 99, {"M": 12, "OTHER": 99}, None, rig.now)
    assert rig.ask() == Ask(3, A, 9, ["M", "T"])
    rig.page((event(12), None), last=99, newest=99)
    assert rig.offsets == [12]


def test_a_beacon_that_tells_nothing_new_moves_the_place() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.event(12, None)
    rig.shard.beacon(A, 99, {"M": 12, "OTHER": 99}, None, rig.now)
    assert rig.shard.ask_at is None
    assert rig.steps[-1] == Step(3, A, 99)


def test_a_beacon_of_a_log_without_events_means_nothing() -> None:
    rig = Rig().placed(newest=None)
    rig.shard.beacon(A, 0, {}, None, rig.now)
    assert rig.shard.ask_at is None


def test_a_beacon_that_lacks_a_name_tells_up_to_where_it_may_have_come() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.shard.beacon(A, 99, {"M": 5}, 9, rig.now)
    assert rig.shard.ask_at is None
    rig.shard.beacon(A, 150, {"M": 5}, 140, rig.now)
    assert rig.ask() == Ask(3, A, 99, ["M", "T"])
    rig.page((event(140, "T"), 139), last=150, newest=150)
    assert rig.offsets == [140]
    rig.shard.beacon(A, 151, {"M": 5}, 140, rig.now)
    assert rig.shard.ask_at is None


def test_what_a_beacon_says_of_others_is_nothing_to_whom_it_tells_of_all_that_is_wanted() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.shard.beacon(A, 99, {"M": 5, "T": 4}, 40, rig.now)
    assert rig.shard.ask_at is None


def test_a_prev_that_is_another_names_is_asked_about_and_is_no_gap() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.event(60, 50, "T")
    assert rig.ask() == Ask(3, A, 9, ["M", "T"])
    rig.page((event(20), None), (event(60, "T"), 50), last=60, newest=60)
    assert [each.name for each in rig.given] == ["M", "T"]


def test_after_a_doubt_what_comes_waits_for_the_log_so_that_names_stay_in_order() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.shard.doubt(rig.now)
    rig.event(12, None, "T")  # its own chain is whole, but an M may be missing before it
    assert rig.offsets == []
    assert rig.ask() == Ask(3, A, 9, ["M", "T"])
    rig.page((event(11, "M"), None), (event(12, "T"), None), last=12, newest=12)
    assert rig.offsets == [11, 12]


def test_a_question_from_before_a_doubt_does_not_settle_it() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.shard.doubt(rig.now)
    rig.ask()
    rig.shard.doubt(rig.now)
    rig.page(last=9, newest=9)
    assert rig.ask() == Ask(3, A, 9, ["M", "T"])
    rig.page(last=9, newest=9)
    assert rig.shard.ask_at is None


def test_who_wants_everything_has_no_doubts() -> None:
    rig = Rig().placed(newest=9)
    rig.shard.doubt(rig.now)
    rig.event(10, 9)
    assert (rig.offsets, rig.shard.ask_at) == ([10], None)


def test_it_asks_on_until_the_log_has_told_all_that_there_was_to_fetch() -> None:
    rig = Rig(SOME, Place(A, 9))
    assert rig.ask() == Ask(3, A, 9, ["M", "T"])
    rig.page((event(10), 9), last=10, newest=12)
    rig.event(14, 12, "T")
    assert rig.offsets == [10], "14 waits for what is before it"
    assert rig.ask() == Ask(3, A, 10, ["M", "T"])
    rig.page((event(11), 10), (event(12, "T"), None), last=12, newest=14)
    assert rig.offsets == [10, 11, 12, 14]


def test_with_a_cursor_it_goes_on_behind_what_was_done_and_gives_nothing_twice() -> None:
    rig = Rig(SOME, Place(A, 9, {"T": 15}))
    rig.ask()
    rig.page((event(12), 8), (event(15, "T"), 4), (event(16, "T"), 15), last=16, newest=16)
    assert rig.offsets == [12, 16]


def test_what_has_expired_is_a_gap_with_its_exact_range() -> None:
    rig = Rig(place=Place(A, 9))
    rig.ask()
    rig.refuse("expired", oldest=100)
    assert rig.gaps == [(A, 10, 99)]
    assert rig.steps[-1] == Step(3, A, 99), "and it isn't told again after a restart"
    assert rig.ask() == Ask(3, A, 99, None)


def test_a_cursor_at_the_beginning_of_a_log_whose_beginning_is_gone_is_told_so() -> None:
    rig = Rig(place=Place(A, -1))
    assert rig.ask() == Ask(3, A, None, None)
    rig.page((event(100), 99), last=100, oldest=100, newest=100)
    assert rig.gaps == [(A, 0, 99)]
    assert rig.offsets == [100]


def test_holes_are_gaps_in_their_place() -> None:
    rig = Rig(SOME, Place(A, 9))
    rig.ask()
    rig.page((event(10), 9), (event(31, "T"), 30), holes=[(11, 30)], last=31, newest=31)
    assert [(e.name, e.offset) for e in rig.given] == [("M", 10), (GAP, 30), ("T", 31)]
    assert rig.gaps == [(A, 11, 30)]


def test_another_epoch_is_asked_about_and_a_gap_without_an_end_closes_the_old_one() -> None:
    rig = Rig().placed(newest=9)
    rig.event(0, None, epoch=B)
    assert rig.ask() == Ask(3, None, None, None, only_place=True)
    rig.page(epoch=B, newest=1)
    assert rig.gaps == [(A, 10, None)]
    assert rig.ask() == Ask(3, B, None, None)
    rig.page((event(0, epoch=B), None), (event(1, epoch=B), 0), epoch=B, last=1, newest=1)
    assert rig.offsets == [0, 1]


def test_of_an_old_log_nobody_knows_how_far_it_went_whatever_was_heard_of_it() -> None:
    rig = Rig(SOME).placed(newest=9)
    rig.shard.beacon(A, 50, {"M": 48}, None, rig.now)
    rig.ask()
    rig.refuse("wrong_epoch")
    rig.placed(epoch=B, newest=None)
    assert rig.gaps == [(A, 10, None)]


def test_a_new_log_whose_beginning_has_expired_is_a_second_gap() -> None:
    rig = Rig(place=Place(A, 9))
    rig.ask()
    rig.refuse("wrong_epoch")
    rig.ask()
    rig.page(epoch=B, oldest=7, newest=8)
    assert rig.gaps == [(A, 10, None), (B, 0, 6)]


def test_a_straggler_of_an_old_log_changes_nothing() -> None:
    rig = Rig().placed(newest=9, epoch=B)
    rig.event(77, 76, epoch=A)
    rig.ask()
    rig.page(epoch=B, newest=9)
    rig.event(10, 9, epoch=B)
    assert (rig.offsets, rig.gaps) == ([10], [])


def test_what_is_not_in_the_log_yet_is_waited_for_and_then_given_up() -> None:
    rig = Rig().placed(newest=9)
    rig.event(11, 10)
    until = rig.now + PATIENCE_S
    while rig.now < until:
        rig.ask()
        rig.page(last=9, newest=9)
        assert rig.gaps == []
        assert rig.shard.ask_at is not None
        rig.now = rig.shard.ask_at
    rig.ask()
    rig.page(last=9, newest=9)
    assert rig.gaps == [(A, 10, 11)]
    assert rig.shard.ask_at is None
    rig.event(12, 11)
    assert rig.offsets == [12]


def test_what_turns_up_in_the_log_in_time_is_given_out() -> None:
    rig = Rig().placed(newest=9)
    rig.event(11, 10)
    for _ in range(3):
        rig.ask()
        rig.page(last=9, newest=9)
        rig.now += 1.0
    rig.ask()
    rig.page((event(10), 9), (event(11), 10), last=11, newest=11)
    assert (rig.offsets, rig.gaps) == ([10, 11], [])


def test_events_without_room_are_fetched_when_their_turn_comes() -> None:
    rig = Rig(room_bytes=10).placed(newest=9)
    rig.event(11, 10, size=8)
    rig.event(12, 11, size=8)  # no room
    rig.ask()
    rig.page((event(10), 9), last=10, newest=12)
    assert rig.offsets == [10], "what was dropped is still to come, so nothing is given out of turn"
    rig.ask()
    rig.page((event(11), 10), (event(12), 11), last=12, newest=12)
    assert rig.offsets == [10, 11, 12]
    assert rig.room.free_bytes == 10


def test_a_shard_that_the_cluster_does_not_run_is_left_alone_until_somebody_speaks_for_it() -> None:
    rig = Rig(place=Place(A, 9))
    rig.ask()
    rig.refuse("unknown_shard")
    assert rig.gaps == [(A, 10, None)]
    assert rig.shard.ask_at is None
    rig.shard.beacon(B, 3, {"M": 3}, None, rig.now)
    assert rig.ask() == Ask(3, None, None, None, only_place=True)


def test_a_refusal_without_a_time_is_asked_again_a_second_later() -> None:
    rig = Rig(place=Place(A, 9))
    rig.ask()
    rig.refuse("rate_limited")
    assert rig.shard.ask_at == rig.now + 1.0
