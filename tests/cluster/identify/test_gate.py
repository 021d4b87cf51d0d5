from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gwcluster.identify.gate import UNKNOWN, Budget, Gate, Grant

PLENTY = Budget(total=1000, remaining=1000, reset_at=96_400.0, reserve=100)


@dataclass
class Rig:
    """A gate with a clock that jumps from one due moment to the next, and workers that send at once."""

    max_concurrency: int = 1
    budget: Budget = PLENTY
    jitter: float = 0.0
    now: float = 10_000.0
    sent: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = Gate(max_concurrency=self.max_concurrency, budget=self.budget, jitter=lambda: self.jitter)

    def ask(self, *shards: int) -> Rig:
        for shard in shards:
            self.gate.ask(shard, self.now)
        return self

    def granted(self, after_s: float = 0.0) -> list[int]:
        self.now += after_s
        return [grant.shard for grant in self.gate.step(self.now)]

    def use(self, *shards: int, after_s: float = 0.0) -> None:
        self.now += after_s
        for shard in shards:
            self.gate.used(shard, self.now, self.now)
            self.sent.append((self.now, shard))

    def run(self, until: float) -> None:
        while (due := self.gate.due) is not None and due <= until:
            self.now = max(self.now, due)
            self.use(*self.granted())


def gaps(moments: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


def test_a_permit_is_granted_at_once_and_says_until_when_it_holds() -> None:
    rig = Rig().ask(0)
    assert rig.gate.due == 10_000.0
    assert rig.gate.step(10_000.0) == [Grant(shard=0, lease_until=10_020.0)]
    assert rig.gate.leased == {0: 10_020.0}


def test_sixty_four_shards_of_one_key_start_in_order_and_five_seconds_apart() -> None:
    # "max_concurrency: Number of identify requests allowed per 5 seconds"
    # https://docs.discord.com/developers/events/gateway#session-start-limit-object
    rig = Rig().ask(*reversed(range(64)))
    rig.run(until=11_000.0)
    assert [shard for _, shard in rig.sent] == list(range(64))
    assert min(gaps([at for at, _ in rig.sent])) >= 5.25
    assert rig.now - 10_000.0 >= 315.0  # (ceil(64 / 1) - 1) * 5 s


def test_the_key_is_the_shard_id_modulo_max_concurrency_not_a_place_in_a_list() -> None:
    # "rate_limit_key = shard_id % max_concurrency"
    # https://docs.discord.com/developers/events/gateway#sharding-max-concurrency
    rig = Rig(max_concurrency=16).ask(0, 16, 32)
    rig.run(until=11_000.0)
    assert rig.sent == [(10_000.0, 0), (10_005.25, 16), (10_010.5, 32)]


def test_a_bucket_goes_in_parallel_and_the_next_one_only_after_all_of_it_was_sent() -> None:
    # "you may start up to max_concurrency shards at a time, and you must start them by "bucket" in order"
    # https://docs.discord.com/developers/events/gateway#sharding-max-concurrency
    rig = Rig(max_concurrency=4).ask(*range(8))
    assert rig.granted() == [0, 1, 2, 3]
    rig.use(0, 1, 2)
    assert rig.granted(after_s=10.0) == []  # shard 3 still holds its permit
    rig.use(3)
    assert rig.granted() == [4, 5, 6]
    assert rig.granted(after_s=5.25) == [7]


def test_up_to_a_quarter_of_a_second_is_added_so_that_two_clusters_of_one_token_lose_step() -> None:
    rig = Rig(jitter=1.0).ask(0, 1, 2)
    rig.run(until=11_000.0)
    assert rig.sent == [(10_000.0, 0), (10_005.5, 1), (10_011.0, 2)]


def test_the_window_counts_from_the_frame_not_from_the_permit() -> None:
    rig = Rig().ask(0, 1)
    assert rig.granted() == [0]
    rig.use(0, after_s=6.0)
    assert rig.gate.due == 10_011.25
    assert rig.granted(after_s=5.24) == []
    assert rig.granted(after_s=0.01) == [1]


@pytest.mark.parametrize("sent_at", [9_999.0, 1e12, 0.0])
def test_an_impossible_moment_of_sending_counts_as_now(sent_at: float) -> None:
    rig = Rig().ask(0, 1)
    rig.granted()
    rig.gate.used(0, 10_002.0, sent_at)
    assert rig.gate.due == 10_007.25


def test_a_returned_permit_costs_nothing_and_opens_the_key_at_once() -> None:
    rig = Rig().ask(0, 1)
    rig.granted()
    rig.gate.unused(0, rig.now)
    assert rig.granted() == [1]
    assert rig.gate.budget.remaining == 1000


def test_a_worker_that_died_with_a_permit_may_have_used_it() -> None:
    rig = Rig().ask(0, 1)
    rig.granted()
    rig.gate.lost(0, 10_003.0)
    assert rig.gate.budget.remaining == 999
    assert rig.gate.due == 10_008.25


def test_a_permit_of_which_nothing_is_heard_counts_as_sent_at_the_end_of_its_lease() -> None:
    rig = Rig().ask(0, 1)
    rig.granted()
    assert rig.gate.due == 10_020.0
    assert rig.granted(after_s=20.0) == []
    assert rig.gate.budget.remaining == 999
    assert rig.gate.overdue == {0}
    assert rig.gate.due == 10_025.25
    rig.gate.used(0, 10_021.0, 10_019.0)  # late, and already counted
    assert rig.gate.budget.remaining == 999
    assert rig.gate.overdue == frozenset()


def test_an_identify_without_a_permit_of_ours_counts_all_the_same() -> None:
    rig = Rig()
    rig.use(0)
    assert rig.gate.budget.remaining == 999
    assert rig.ask(1).gate.due == 10_005.25


@pytest.mark.parametrize("answer", [Gate.refused, Gate.succeeded])
def test_an_answer_shows_that_a_permit_was_used_whatever_the_worker_said(
    answer: Callable[[Gate, int, float], None],
) -> None:
    # "Clients are limited to 1000 IDENTIFY calls to the websocket in a 24-hour period": calls, whatever they
    # bear. https://docs.discord.com/developers/events/gateway#identifying
    rig = Rig().ask(0)
    assert rig.granted() == [0]
    answer(rig.gate, 0, rig.now)
    assert rig.gate.leased == {}
    assert rig.gate.budget.remaining == 999
    rig.ask(1)
    assert rig.granted(after_s=5.0) == []


def test_a_refused_identify_counts_like_any_other() -> None:
    rig = Rig().ask(0)
    rig.use(*rig.granted())
    rig.gate.refused(0, rig.now)
    assert rig.gate.budget.remaining == 999


def test_a_shard_that_no_longer_waits_holds_nobody_back() -> None:
    rig = Rig().ask(0, 1)
    rig.gate.withdraw(0, rig.now)
    assert rig.granted() == [1]


def test_refusals_close_the_key_for_five_ten_twenty_up_to_sixty_seconds() -> None:
    rig = Rig()
    waits = []
    for _ in range(6):
        rig.ask(0)
        rig.now = rig.gate.due or 0.0
        rig.use(*rig.granted())
        rig.now += 3.0  # the answer comes late
        rig.gate.refused(0, rig.now)
        waits.append((rig.ask(0).gate.due or 0.0) - rig.now)
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert rig.gate.budget.remaining == 994
    rig.gate.succeeded(0, rig.now)
    rig.now += 60.0
    rig.use(*rig.granted())
    rig.gate.refused(0, rig.now)
    assert rig.ask(0).gate.due == rig.now + 5.25


def test_a_refused_key_leaves_the_others_alone() -> None:
    rig = Rig(max_concurrency=2).ask(0)
    rig.use(*rig.granted())
    rig.gate.refused(0, rig.now)
    rig.ask(0, 1, 3)
    assert rig.granted() == [1]
    rig.use(1)
    assert rig.granted(after_s=5.25) == [3, 0]  # first those that never tried


def test_a_shard_that_is_refused_for_ever_goes_behind_those_that_never_tried() -> None:
    rig = Rig().ask(0, 1, 2)
    for _ in range(3):
        rig.now = max(rig.now, rig.gate.due or 0.0)
        (shard,) = rig.granted()
        rig.use(shard)
        if shard == 0:
            rig.gate.refused(0, rig.now)
            rig.ask(0)
    assert [shard for _, shard in rig.sent] == [0, 1, 2]
    assert rig.gate.waiting == [0]


def test_shards_that_come_again_are_served_in_the_order_in_which_they_came() -> None:
    rig = Rig().ask(0, 1, 2)
    rig.run(until=10_100.0)
    rig.ask(2, 0, 1)
    rig.run(until=10_200.0)
    assert [shard for _, shard in rig.sent[3:]] == [2, 0, 1]


def test_nothing_is_granted_once_only_the_reserve_is_left() -> None:
    rig = Rig(budget=Budget(total=1000, remaining=102, reset_at=10_360.0, reserve=100)).ask(0, 1, 2)
    rig.run(until=20_000.0)
    assert [shard for _, shard in rig.sent] == [0, 1]
    assert rig.gate.due is None
    assert rig.gate.blocked is None
    assert rig.granted() == []
    assert rig.gate.blocked == (
        "100 of 1000 identifies a day are left and 100 of them kept in reserve: "
        "no shard may identify until Discord's reset in 5 min 55 s"
    )


def test_three_left_and_eight_shards_grants_none_and_says_so() -> None:
    budget = Budget.of(1000, 3, 10_360.0, fraction=0.1, shards=8)
    rig = Rig(max_concurrency=16, budget=budget).ask(*range(8))
    assert rig.granted() == []
    assert rig.gate.blocked is not None
    assert "3 of 1000" in rig.gate.blocked
    assert rig.gate.ask_again_at == 10_360.0
    assert rig.gate.etas(rig.now)[0] == 360.0


def test_permits_that_are_out_count_against_the_budget() -> None:
    budget = Budget(total=1000, remaining=102, reset_at=10_360.0, reserve=100)
    rig = Rig(max_concurrency=4, budget=budget).ask(0, 1, 2)
    assert rig.granted() == [0, 1]
    rig.gate.unused(0, rig.now)
    assert rig.granted() == [2]


def test_a_new_answer_from_discord_lets_shards_go_on() -> None:
    rig = Rig(budget=Budget(total=1000, remaining=100, reset_at=10_360.0, reserve=100)).ask(0)
    assert rig.granted() == []
    rig.now = 10_360.0
    rig.gate.refill(Budget.of(1000, 1000, 96_760.0, fraction=0.1, shards=1), rig.now)
    assert rig.gate.blocked is None
    assert rig.gate.ask_again_at is None
    assert rig.granted() == [0]


def test_a_limit_that_is_used_up_and_resets_at_once_is_looked_at_every_five_seconds_at_most() -> None:
    rig = Rig(budget=Budget(total=1000, remaining=0, reset_at=10_000.0, reserve=100)).ask(0)
    rig.granted()
    assert rig.gate.ask_again_at == 10_005.0
    rig.gate.refill(Budget.of(1000, 0, 10_005.0, fraction=0.1, shards=1), 10_005.0)
    assert rig.gate.ask_again_at == 10_010.0


def test_who_is_told_again_and_again_that_it_resets_at_once_asks_ever_more_rarely() -> None:
    rig = Rig(budget=Budget(total=6, remaining=2, reset_at=10_000.0, reserve=2)).ask(0)
    rig.granted()
    waits = []
    for _ in range(11):
        assert rig.gate.ask_again_at is not None
        waits.append(rig.gate.ask_again_at - rig.now)
        rig.now = rig.gate.ask_again_at
        rig.gate.refill(Budget(total=6, remaining=2, reset_at=rig.now, reserve=2), rig.now)
    assert waits == [5.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 900.0, 900.0]
    rig.gate.refill(Budget(total=6, remaining=6, reset_at=rig.now, reserve=2), rig.now)
    rig.gate.refill(Budget(total=6, remaining=2, reset_at=rig.now + 3600.0, reserve=2), rig.now)
    assert rig.gate.ask_again_at == rig.now + 900.0


def test_a_try_whose_session_lasts_a_minute_lets_the_others_go_on() -> None:
    rig = Rig(budget=Budget(total=50, remaining=50, reset_at=96_400.0, reserve=0))
    for _ in range(10):
        rig.use(0)
        rig.gate.refused(0, rig.now)
        rig.now += 60.0
    rig.ask(0, 1)
    rig.now = rig.gate.due or 0.0
    rig.use(*rig.granted())
    rig.gate.succeeded(1, rig.now + 1.0)
    assert rig.granted(after_s=30.0) == []
    assert rig.gate.due == rig.now + 31.0
    assert rig.granted(after_s=31.0) == [0]
    assert "only one try" not in (rig.gate.blocked or "")


def test_an_open_breaker_is_no_reason_to_ask_discord_but_a_used_up_budget_is_even_then() -> None:
    rig = Rig(budget=Budget(total=50, remaining=50, reset_at=96_400.0, reserve=39))
    for _ in range(10):
        rig.use(0)
        rig.gate.refused(0, rig.now)
        rig.now += 60.0
    rig.granted()
    assert "only one try every 300 s" in (rig.gate.blocked or "")
    assert rig.gate.ask_again_at is None
    rig.use(0)
    rig.granted()
    assert "kept in reserve" in (rig.gate.blocked or "")
    assert rig.gate.ask_again_at == rig.now + 900.0


def test_windows_survive_a_restart_of_the_coordinator() -> None:
    rig = Rig(max_concurrency=2)
    rig.gate.restore({0: 9_998.0})
    rig.ask(0, 1)
    assert rig.granted() == [1]
    assert rig.gate.due == 10_003.25


def test_another_max_concurrency_makes_other_keys_which_open_when_the_last_of_the_old_ones_does() -> None:
    rig = Rig(max_concurrency=16).ask(0, 1)
    rig.use(*rig.granted())
    rig.now += 1.0
    rig.gate.refill(PLENTY, rig.now, max_concurrency=1)
    assert rig.gate.max_concurrency == 1
    assert rig.ask(5, 6).granted() == []
    assert rig.gate.due == 10_005.25
    rig.now = 10_005.25
    assert rig.granted() == [5]


def test_permits_that_are_out_while_the_keys_change_hold_theirs() -> None:
    rig = Rig(max_concurrency=16).ask(0, 1)
    assert rig.granted() == [0, 1]
    rig.gate.refill(PLENTY, rig.now, max_concurrency=1)
    assert rig.ask(2).granted() == []
    rig.use(0)
    assert rig.granted(after_s=5.25) == []
    rig.use(1)
    assert rig.granted(after_s=5.25) == [2]


def test_a_gate_that_knows_no_limits_says_so_and_grants_nothing() -> None:
    rig = Rig(budget=UNKNOWN).ask(0)
    assert rig.granted(after_s=7200.0) == []
    assert rig.gate.blocked == (
        "Discord has not told yet how many identifies are left: shards may only resume"
    )
    assert rig.gate.ask_again_at is None
    rig.gate.refill(PLENTY, rig.now, max_concurrency=16)
    assert rig.gate.blocked is None
    assert rig.granted() == [0]


def test_shards_that_fail_again_and_again_are_said_with_what_is_left() -> None:
    rig = Rig(max_concurrency=16)
    for _ in range(2):
        rig.ask(*range(16))
        rig.now = rig.gate.due or 0.0
        for shard in rig.granted():
            rig.use(shard)
            rig.gate.refused(shard, rig.now)
        rig.now += 30.0
    assert rig.ask(*range(16)).granted() == [0]
    assert rig.gate.blocked == (
        "968 of 1000 identifies a day are left, too few for the shards that identify in vain again and again "
        "(16): one of them tries every 300 s until that lasts"
    )
    assert rig.ask(16).granted(after_s=1.0) == []  # its key is shard 0's
    rig.gate.unused(0, rig.now)
    assert rig.granted() == [16], "who never failed is not held back"


def test_the_estimate_is_what_then_happens() -> None:
    rig = Rig(max_concurrency=4, jitter=0.5).ask(*range(3, 14))
    expected = rig.gate.etas(rig.now)
    rig.run(until=11_000.0)
    assert {shard: at - 10_000.0 for at, shard in rig.sent} == pytest.approx(expected)
    assert rig.gate.etas(rig.now) == {}


# What a worker does with its permit: "use" and "late" send (at once, at the end of the lease), "die" and
# "mute" may have sent and say nothing, "return" didn't send, "refuse" is answered with op 9.
ACTIONS = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 11)),
    st.tuples(st.just("withdraw"), st.integers(0, 11)),
    st.tuples(st.sampled_from(["use", "late", "die", "mute", "return", "refuse"]), st.integers(0, 11)),
    st.tuples(st.just("wait"), st.integers(0, 9)),
)


@settings(max_examples=150, deadline=None)
@given(max_concurrency=st.sampled_from([1, 2, 5]), actions=st.lists(ACTIONS, max_size=60))
@example(max_concurrency=1, actions=[("ask", 0), ("mute", 0), ("ask", 0), ("wait", 9), ("ask", 1)])
def test_no_order_of_events_breaks_a_window_or_the_budget_or_starves_a_shard(
    max_concurrency: int, actions: list[tuple[str, int]]
) -> None:
    budget = Budget(total=1000, remaining=60, reset_at=96_400.0, reserve=50)
    rig = Rig(max_concurrency=max_concurrency, budget=budget)
    gate, held = rig.gate, dict[int, float]()

    def step() -> None:
        for grant in gate.step(rig.now):
            held[grant.shard] = grant.lease_until
        assert gate.due is None or gate.due > rig.now  # or its shell would spin

    for action, number in actions:
        match action:
            case "ask":
                rig.ask(number)
            case "withdraw":
                gate.withdraw(number, rig.now)
            case "wait":
                rig.now += number
            case _ if number not in held:
                continue
            case "return":
                del held[number]
                gate.unused(number, rig.now)
            case "mute":
                rig.sent.append((held.pop(number), number))
            case "late":
                until = held.pop(number)
                rig.sent.append((min(rig.now, until), number))
                gate.used(number, rig.now, min(rig.now, until))
            case _:
                if rig.now > held.pop(number):
                    continue  # a worker doesn't send after its lease
                rig.sent.append((rig.now, number))
                if action == "die":
                    gate.lost(number, rig.now)
                else:
                    gate.used(number, rig.now, rig.now)
                if action == "refuse":
                    gate.refused(number, rig.now)
        step()
    for shard, until in held.items():  # nobody else says anything: all those may have sent
        rig.sent.append((until, shard))
    assert len(rig.sent) <= 10
    waiting = gate.waiting
    gate.refill(Budget(total=1000, remaining=1000, reset_at=1e9, reserve=0), 96_400.0)
    before = len(rig.sent)
    rig.run(until=rig.now + 20.0 + 60.25 + 5.25 * len(waiting))
    assert {shard for _, shard in rig.sent[before:]} == set(waiting)
    for key in range(max_concurrency):
        moments = sorted(at for at, shard in rig.sent if shard % max_concurrency == key)
        assert min(gaps(moments), default=5.25) >= 5.25


def test_a_shard_of_a_higher_bucket_that_asks_first_waits_for_the_lower_ones_that_will_ask() -> None:
    rig = Rig()
    rig.gate.expect([0, 1, 2], until=10_005.0)
    assert rig.ask(2).granted() == []
    assert rig.gate.due == 10_005.0
    assert rig.ask(0).granted() == [0]
    rig.use(0)
    rig.gate.dismiss(1)  # it resumes
    assert rig.granted(after_s=5.25) == [2]


def test_a_lower_bucket_that_stays_silent_is_waited_for_only_so_long() -> None:
    rig = Rig()
    rig.gate.expect([0, 1], until=10_005.0)
    assert rig.ask(1).granted(after_s=4.9) == []
    assert rig.granted(after_s=0.1) == [1]


def test_a_worker_that_died_before_it_asked_is_not_waited_for() -> None:
    rig = Rig()
    rig.gate.expect([0, 1], until=10_005.0)
    rig.gate.lost(0, rig.now)
    assert rig.ask(1).granted() == [1]


def test_with_other_hosts_only_keys_that_are_held_are_granted_and_only_as_long_as_they_are_good() -> None:
    rig = Rig(max_concurrency=2).ask(0, 1)
    assert rig.gate.wanted_keys(10_000.0) == {0: 0, 1: 1}
    assert rig.gate.step(10_000.0, keys={}) == []
    assert rig.gate.step(10_001.0, keys={1: 10_019.0, 0: 10_001.0}) == [Grant(shard=1, lease_until=10_019.0)]
    assert rig.gate.wanted_keys(10_001.0) == {0: 0}
    assert rig.gate.busy_keys == {1}
    assert rig.gate.step(10_002.0, keys={0: 10_040.0}) == [Grant(shard=0, lease_until=10_022.0)]


def test_a_permit_of_a_shared_key_that_is_not_reported_counts_as_sent_when_it_ends() -> None:
    rig = Rig().ask(0, 1)
    rig.gate.step(10_000.0, keys={0: 10_015.0})
    rig.gate.step(10_015.0, keys={})
    assert rig.gate.overdue == {0}
    assert rig.gate.key_opens_at(0) == 10_020.25


def test_while_a_key_is_awaited_there_is_nothing_to_do_until_a_window_opens() -> None:
    rig = Rig(max_concurrency=2).ask(0, 1)
    rig.gate.step(10_000.0, keys={1: 10_020.0})
    rig.gate.used(1, 10_000.0, 10_000.0)
    rig.ask(1)  # once more
    assert rig.gate.step(10_001.0, keys={}) == []
    assert rig.gate.due == 10_005.25  # then key 1 is wanted again; for key 0 we wait to be told
    assert rig.gate.wanted_keys(10_005.24) == {0: 0}
    rig.gate.step(10_005.25, keys={})
    assert rig.gate.due is None
    assert rig.gate.wanted_keys(10_005.25) == {0: 0, 1: 1}


def test_no_more_keys_are_wanted_than_may_be_spent() -> None:
    budget = Budget(total=1000, remaining=102, reset_at=96_400.0, reserve=100)
    rig = Rig(max_concurrency=16, budget=budget).ask(*range(16))
    assert rig.gate.wanted_keys(10_000.0) == {0: 0, 1: 1}
    assert Rig(budget=UNKNOWN).ask(0).gate.wanted_keys(10_000.0) == {}
