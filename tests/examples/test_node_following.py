"""What the follower in Node decides, without sockets and with a clock of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from support.node_example import NODE, install

RIG: Final = Path(__file__).parents[1] / "support" / "node" / "following_rig.mjs"
OLD, NEW = "a" * 16, "b" * 16
NAME: Final = "MESSAGE_CREATE"
START_MS: Final = 10_000.0


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """following.mjs, with what it needs."""
    return install(tmp_path_factory.mktemp("node")) / "following.mjs"


class Rig:
    """A Following that starts at 10 s.

    Attributes:
        now: its clock, milliseconds.
        events: what was handed out, as `NAME offset`, or `gap NAME first last`.
        asked: questions that were asked and neither answered nor dropped, by their ids.
        error: what it threw.
        position: how far it has come.
    """

    def __init__(self, module: Path, *arguments: Any) -> None:
        self.now = START_MS
        self.events: list[str] = []
        self.asked: dict[int, dict[str, Any]] = {}
        self.error: str | None = None
        self.position: dict[str, Any] = {}
        self.positions: list[dict[str, Any]] = []
        self.due = 0.0
        self.process = subprocess.Popen(
            [str(NODE), str(RIG), str(module), json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        with self.process:
            self.process.kill()

    def event(
        self,
        offset: int,
        prev: int | None,
        *,
        name: str = NAME,
        shard: int = 0,
        epoch: str = OLD,
        size: int = 8,
        **head: Any,
    ) -> None:
        self._play("received", frames(offset, prev, name=name, shard=shard, epoch=epoch, size=size, **head))

    def beacon(
        self,
        offset: int,
        names: dict[str, int],
        *,
        shard: int = 0,
        epoch: str = OLD,
        others: int | None = None,
    ) -> None:
        head = {"shard": shard, "epoch": epoch, "offset": offset, "prev": None}
        told = {"names": names} if others is None else {"names": names, "others": others}
        payload = json.dumps({"op": 0, "d": told})
        self._play("received", [f"GWCLUSTER_BEACON.{shard}.", head, payload])

    def answer(self, **answer: Any) -> None:
        """Answer the oldest question."""
        number = min(self.asked)
        del self.asked[number]
        self._play("answered", {"id": number, "ok": True, **answer})

    def refuse(self, code: str, **fields: Any) -> None:
        """Refuse the oldest question."""
        self.answer(ok=False, error={"code": code, "message": "so it is", **fields})

    def log_is(self, oldest: int, newest: int | None, *, epoch: str = OLD) -> None:
        """Answer how far the log goes."""
        self.answer(epoch=epoch, events=[], holes=[], last=None, more=False, oldest=oldest, newest=newest)

    def page(
        self,
        *offsets: int,
        last: int,
        holes: list[list[int]] | None = None,
        name: str = NAME,
        epoch: str = OLD,
    ) -> None:
        """Answer with events."""
        events = [frames(offset, None, name=name, epoch=epoch) for offset in offsets]
        self.answer(epoch=epoch, events=events, holes=holes or [], last=last, more=False)

    def wait(self, seconds: float) -> None:
        """Let time pass in which nothing comes."""
        self.now += 1000 * seconds
        self._play("waited", None)

    def begun(self, newest: int = 9) -> Rig:
        """Bring it to where it follows shard 0 from now on."""
        self.wait(0)
        self.answer(status={"ids": [0]})
        self.log_is(0, newest)
        assert self.asked == {}
        return self

    def _play(self, method: str, first: Any) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([method, first, self.now]), file=self.process.stdin, flush=True)
        out = json.loads(self.process.stdout.readline())
        self.error = out.get("error")
        if self.error is not None:
            return
        for event in out["events"]:
            told = event.get("data")
            if event["name"] == "GWCLUSTER_GAP":
                self.events.append(f"gap {told['name']} {told['first']} {told['last']}")
            else:
                self.events.append(f"{event['name']} {event['offset']}")
            self.positions.append(event["position"])
        self.asked |= {question["id"]: question for question in out["asked"]}
        self.due, self.position = out["due"], out["position"]


def frames(
    offset: int,
    prev: int | None,
    *,
    name: str = NAME,
    shard: int = 0,
    epoch: str = OLD,
    size: int = 8,
    **head: Any,
) -> list[Any]:
    where = {"shard": shard, "epoch": epoch, "offset": offset, "prev": prev, **head}
    return [f"{name}.{shard}.", where, json.dumps({"op": 0, "d": "x" * size})]


@pytest.fixture
def rig(module: Path) -> Iterator[Callable[..., Rig]]:
    """Makes a Following: names, shards, from."""
    with ExitStack() as stack:

        def make(*arguments: Any) -> Rig:
            made = Rig(module, *arguments)
            stack.callback(made.close)
            return made

        yield make


def only(asked: dict[int, dict[str, Any]]) -> dict[str, Any]:
    (question,) = asked.values()
    return question


Make = Callable[..., Rig]


def test_it_begins_now_and_hands_out_what_follows(rig: Make) -> None:
    one = rig([NAME])
    one.wait(0)
    assert only(one.asked) == {"v": 1, "id": 1, "op": "status"}
    one.event(9, 8)
    one.answer(status={"ids": [0]})
    assert only(one.asked) == {"v": 1, "id": 2, "op": "replay", "shard": 0, "epoch": None, "limit": 0}
    one.event(10, 9)
    one.log_is(0, 10)
    one.event(10, 9)
    one.event(12, 10)
    one.event(12, 10)
    assert one.events == [f"{NAME} 12"]
    assert one.position == {"0": {"epoch": OLD, "done": {NAME: 12}}}


def test_it_asks_for_the_shards_again_while_there_are_none(rig: Make) -> None:
    one = rig([NAME])
    one.wait(0)
    one.answer(status={"ids": []})
    assert only(one.asked)["op"] == "status"


def test_a_prev_that_it_does_not_have_is_fetched_and_what_comes_meanwhile_waits_in_order(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(14, 12)
    asked = only(one.asked)
    assert (asked["after"], asked["names"], asked["epoch"]) == (9, [NAME], OLD)
    one.event(15, 14)
    assert one.events == []
    one.page(10, 12, last=12)
    assert one.events == [f"{NAME} {offset}" for offset in (10, 12, 14, 15)]
    assert one.asked == {}


def test_a_beacon_shows_a_last_event_that_was_lost(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.beacon(20, {NAME: 12, "TYPING_START": 20})
    assert only(one.asked)["after"] == 9
    one.page(12, last=20)
    assert one.events == [f"{NAME} 12"]
    one.event(21, 12)
    assert one.events[1:] == [f"{NAME} 21"]


def test_a_beacon_brings_the_position_of_a_quiet_name_on(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.beacon(5_000, {NAME: 7})
    assert one.position["0"]["done"] == {NAME: 5_000}
    assert one.asked == {}


def test_a_beacon_speaks_for_names_that_it_leaves_out(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.beacon(20, {"TYPING_START": 20}, others=9)
    assert one.position["0"]["done"] == {NAME: 20}
    assert one.asked == {}
    one.beacon(40, {"TYPING_START": 40}, others=30)
    assert only(one.asked)["after"] == 20
    one.page(25, last=40)
    assert one.events == [f"{NAME} 25"]


def test_who_wants_every_event_goes_by_the_offsets(rig: Make) -> None:
    one = rig([]).begun()
    one.event(10, None, name="A")
    one.event(12, 10, name="A")
    assert (only(one.asked)["after"], only(one.asked)["names"]) == (10, None)
    one.page(11, last=11, name="B")
    assert one.events == ["A 10", "B 11", "A 12"]
    one.beacon(14, {"A": 14, "B": 13})
    assert only(one.asked)["after"] == 12
    one.beacon(14, {})  # of a log that is empty, whose offset means nothing


def test_expired_events_are_told_and_it_goes_on(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(40, 35)
    one.refuse("expired", oldest=30)
    assert one.events == [f"gap {NAME} 10 29"]
    assert only(one.asked)["after"] == 29
    one.page(33, 35, last=36)
    assert one.events[1:] == [f"{NAME} 33", f"{NAME} 35", f"{NAME} 40"]


def test_a_log_that_was_started_anew_is_told_and_read_from_its_beginning(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(40, 35)
    one.refuse("wrong_epoch", epoch=NEW)
    assert one.events == [f"gap {NAME} 10 None"]
    assert only(one.asked)["limit"] == 0
    one.log_is(0, 3, epoch=NEW)
    assert (only(one.asked)["after"], only(one.asked)["epoch"]) == (-1, NEW)
    one.page(2, last=3, epoch=NEW)
    one.event(41, 40)  # was still on its way
    one.event(4, 2, epoch=NEW)
    assert one.events[1:] == [f"{NAME} 2", f"{NAME} 4"]
    assert one.position == {"0": {"epoch": NEW, "done": {NAME: 4}}}


def test_an_event_of_another_epoch_begins_anew_too(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(3, 1, epoch=NEW)
    assert one.events == [f"gap {NAME} 10 None"]
    one.log_is(0, 3, epoch=NEW)
    one.page(1, 3, last=3, epoch=NEW)
    assert one.events[1:] == [f"{NAME} 1", f"{NAME} 3"]


def test_a_shard_without_a_log_begins_with_its_first_event(rig: Make) -> None:
    one = rig([NAME])
    one.wait(0)
    one.answer(status={"ids": [0]})
    one.refuse("not_ready", no_log=True, retry_after=1.0)
    one.event(2, 1)
    assert (only(one.asked)["after"], only(one.asked)["epoch"]) == (-1, OLD)
    one.page(1, last=1)
    assert one.events == [f"{NAME} 1", f"{NAME} 2"]


@pytest.mark.parametrize(
    ("code", "fields", "seconds"),
    [
        ("rate_limited", {"retry_after": 2.5}, 2.5),
        ("not_ready", {}, 1.0),
        ("not_ready", {"retry_after": 4}, 4.0),
    ],
)
def test_it_asks_again_when_it_is_told_to(
    rig: Make, code: str, fields: dict[str, Any], seconds: float
) -> None:
    one = rig([NAME]).begun()
    one.event(14, 12)
    one.refuse(code, **fields)
    one.wait(seconds - 0.001)
    assert one.asked == {}
    one.wait(0.002)
    one.page(12, last=12)
    assert one.events == [f"{NAME} 12", f"{NAME} 14"]


def test_a_question_without_answer_is_asked_again_and_its_late_answer_means_nothing(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(14, 12)
    (first,) = one.asked
    one.wait(4.9)
    assert list(one.asked) == [first]
    one.wait(0.2)
    assert len(one.asked) == 2
    one.refuse("bad_request")  # the late one
    assert one.error is None
    one.page(12, last=12)
    assert one.events == [f"{NAME} 12", f"{NAME} 14"]


def test_what_the_log_lacks_is_told_between_the_events_so_that_no_position_is_ahead(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(40, 39)
    one.page(10, 20, 30, last=39, holes=[[12, 15], [25, 26]])
    assert one.events == [
        *(f"{NAME} 10", f"gap {NAME} 11 15", f"{NAME} 20"),
        *(f"gap {NAME} 21 26", f"{NAME} 30", f"{NAME} 40"),
    ]
    assert [position["0"]["done"][NAME] for position in one.positions] == [10, 15, 20, 26, 30, 40]


def test_it_is_patient_with_a_disk_that_is_behind_and_then_tells_what_is_missing(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(14, 12)
    for _ in range(30):
        one.beacon(14, {NAME: 14})  # the worker is well
        one.page(last=9)
        assert one.asked == {}
        one.wait(1.0)
    assert one.events == []
    one.page(last=9)
    assert one.events == [f"gap {NAME} 10 12", f"{NAME} 14"]


def test_what_waits_is_bounded_and_fetched_again(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(12, 11)
    for offset in range(13, 33):
        one.event(offset, offset - 1, size=1 << 20)
    one.page(11, last=11)
    assert one.events == [f"{NAME} {offset}" for offset in range(11, 28)]
    one.beacon(32, {NAME: 32})
    assert only(one.asked)["after"] == 27
    one.page(*range(28, 33), last=32)
    assert one.events == [f"{NAME} {offset}" for offset in range(11, 33)]
    one.event(35, 34)  # and there is room again
    one.event(36, 35, size=1 << 20)
    one.page(34, last=34)
    assert one.events[-3:] == [f"{NAME} 34", f"{NAME} 35", f"{NAME} 36"]


def test_it_asks_four_questions_at_a_time(rig: Make) -> None:
    one = rig([NAME], list(range(10)))
    one.wait(0)
    assert len(one.asked) == 4
    one.log_is(0, None)
    assert sorted(question["shard"] for question in one.asked.values()) == [1, 2, 3, 4]


def test_it_goes_on_where_a_position_ends(rig: Make) -> None:
    saved = {"0": {"epoch": OLD, "done": {NAME: 4}}}
    one = rig([NAME, "A"], None, saved)
    one.wait(0)
    one.answer(status={"ids": [0, 1]})
    assert [question["epoch"] for question in one.asked.values()] == [OLD, None]
    one.log_is(2, 9)
    one.log_is(30, 40)  # of shard 1, which the position doesn't know: it is new
    (name,) = (question for question in one.asked.values() if question["shard"] == 0)
    assert (name["after"], name["names"]) == (4, [NAME])  # A is new, and begins now
    assert {(q["after"], q["names"][0]) for q in one.asked.values() if q["shard"] == 1} == {
        (29, NAME),
        (29, "A"),
    }
    one.page(6, last=9)
    assert one.events == [f"{NAME} 6"]


def test_a_position_in_a_log_that_is_gone_is_told(rig: Make) -> None:
    one = rig([NAME], None, {"0": {"epoch": OLD, "done": {NAME: 4}}})
    one.wait(0)
    one.answer(status={"ids": [0]})
    one.refuse("wrong_epoch", epoch=NEW)
    one.log_is(0, 1, epoch=NEW)
    one.page(1, last=1, epoch=NEW)
    assert one.events == [f"gap {NAME} 5 None", f"{NAME} 1"]


def test_it_may_begin_with_all_that_is_left(rig: Make) -> None:
    one = rig([NAME], None, "oldest")
    one.wait(0)
    one.answer(status={"ids": [0]})
    one.log_is(5, 9)
    assert only(one.asked)["after"] == 4
    one.page(7, last=9)
    assert one.events == [f"{NAME} 7"]


def test_a_shard_that_comes_later_is_read_from_its_beginning(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(2, 1, shard=5)
    assert only(one.asked)["shard"] == 5
    one.log_is(0, 2)
    assert only(one.asked)["after"] == -1


def test_shards_of_others_are_left_alone(rig: Make) -> None:
    one = rig([NAME], [0])
    one.wait(0)
    one.log_is(0, 9)
    one.event(2, 1, shard=5)
    assert (one.events, one.asked) == ([], {})


def test_a_shard_without_beacons_is_asked_now_and_then(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.beacon(9, {NAME: 9})
    one.wait(29)
    assert one.asked == {}
    one.wait(2)
    assert only(one.asked)["limit"] == 0
    one.log_is(0, 12)
    one.page(12, last=12)
    assert one.events == [f"{NAME} 12"]


def test_a_shard_that_is_not_run_any_more_is_told_and_one_that_never_was_is_an_error(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(14, 12)
    one.refuse("unknown_shard")
    assert (one.events, one.asked, one.error) == ([f"gap {NAME} 10 None"], {}, None)
    other = rig([NAME], [7])
    other.wait(0)
    other.refuse("unknown_shard")
    assert other.error == "unknown_shard: so it is"


def test_a_question_that_is_refused_for_good_and_another_version_are_errors(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.event(14, 12)
    one.refuse("bad_request")
    assert one.error == "bad_request: so it is"
    other = rig([NAME]).begun()
    other.event(10, 9, v=2)
    assert other.error == "wire version 2; this program reads version 1"


def test_what_is_known_to_be_missing_is_not_forgotten_while_the_log_is_behind(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.beacon(25, {NAME: 25})
    one.asked.clear()
    one.wait(31)  # no answer for long, and no beacon either
    repair, place = sorted(one.asked, key=lambda number: "limit" in one.asked[number])
    asked = {repair: one.asked.pop(repair)}
    assert list(one.asked) == [place]
    one.log_is(0, 12)
    one.asked = asked
    one.page(12, last=12)
    assert only(one.asked)["after"] == 12


def test_a_cluster_that_is_away_for_long_is_not_asked_more_and_more(rig: Make) -> None:
    one = rig([NAME]).begun()
    one.wait(31)
    for _ in range(5):
        before = len(one.asked)
        one.wait(31)
        assert len(one.asked) - before == 1
