from __future__ import annotations

import json
from typing import Any

from gwcluster.identify.budget import Budget
from gwcluster.identify.caution import Caution
from gwcluster.identify.gateway_info import GatewayInfo
from gwcluster.identify.outlook import Outlook, Party
from gwcluster.identify.start import Start

NOW = 1_790_000_000.0
INFO = GatewayInfo("wss://gateway.discord.gg", 16, 1000, 1000, 3600.0, 16)
SIXTEEN = Start(16, tuple(range(16)))


def outlook(start: Start | None = SIXTEEN, remaining: int | None = 1000, **changed: Any) -> Outlook:
    fields: dict[str, Any] = {
        "now": NOW,
        "start": start,
        "objection": None,
        "info": None if remaining is None else INFO,
        "silence": "status 500" if remaining is None else None,
        "budget": None if remaining is None else Budget(1000, remaining, NOW + 3600.0, 100),
        "spent": 0,
        "caution": careful(),
        "not_before": None,
        "owner": None,
    }
    return Outlook(**(fields | changed))


def careful(refused: int = 0, shards: int = 1) -> Caution:
    """Return what is left of so many refused identifies, the last of them 100 s ago."""
    caution = Caution(total=1000, jitter=lambda: 0.0)
    for number in range(refused):
        caution.granted(number % shards, NOW - 100.0)
        caution.sent(number % shards, NOW - 100.0)
        caution.again(number % shards, NOW - 100.0, 800)
    caution.settle(range(shards), NOW, 800)
    return caution


def test_a_start_that_the_budget_allows_may_happen() -> None:
    assert outlook().hitches == []
    assert not outlook().refused


def test_a_start_without_an_identify_may_happen_whatever_the_limits_say() -> None:
    resuming = Start(16, tuple(range(16)), frozenset(range(16)))
    assert outlook(resuming, remaining=None).hitches == []
    assert outlook(resuming, remaining=0, caution=careful(200)).hitches == []


def test_a_budget_that_is_short_is_a_hitch_with_numbers_and_a_remedy() -> None:
    (hitch,) = outlook(remaining=110).hitches
    assert "16 of 16 shards need an IDENTIFY, and 10 may be spent" in hitch.reason
    assert "in 1 h" in hitch.reason
    assert "6 shards wait" in hitch.remedy
    assert "--use-reserve" in hitch.remedy
    assert not outlook(remaining=110).refused


def test_where_nothing_at_all_is_left_neither_the_reserve_nor_a_reset_that_is_due_is_promised() -> None:
    # "reset_after": 0 has been seen with "remaining": 0
    (hitch,) = outlook(budget=Budget(1000, 0, NOW, 100)).hitches
    assert "0 of 1000 a day are left" in hitch.reason
    assert "until Discord's reset, which it says is due" in hitch.reason
    assert "--use-reserve" not in hitch.remedy


def test_a_start_that_would_lose_sessions_for_nothing_is_refused() -> None:
    found = outlook(Start(32, tuple(range(32)), given_up=16), remaining=120)
    (hitch,) = found.hitches
    assert "16 sessions can still be resumed" in hitch.reason
    assert found.refused


def test_an_objection_is_all_there_is_to_say() -> None:
    found = outlook(None, objection="Discord recommends 161 shards, and the last time it was 16")
    assert [hitch.reason for hitch in found.hitches] == [found.objection]
    assert found.refused


def test_without_an_answer_those_that_can_resume_do_and_the_others_wait() -> None:
    (hitch,) = outlook(Start(16, tuple(range(16)), frozenset(range(14))), remaining=None).hitches
    assert "status 500" in hitch.reason
    assert hitch.remedy == "`run` resumes 14 shards at once; shards 14-15 wait until Discord answers"
    (unknown,) = outlook(None, remaining=None).hitches
    assert "nothing starts before Discord answers" in unknown.remedy


def test_without_an_answer_a_count_that_is_set_tells_what_will_identify_and_what_is_given_up() -> None:
    (hitch,) = outlook(remaining=None).hitches
    assert hitch.remedy == "`run` asks until Discord answers; then 16 shards identify"
    found = outlook(Start(32, tuple(range(32)), given_up=16), remaining=None)
    assert "16 sessions can still be resumed" in found.hitches[0].remedy
    assert found.waits
    assert found.document()["given_up"] == 16
    assert not outlook(Start(16, tuple(range(16)), frozenset({3})), remaining=None).waits


def test_what_is_careful_without_an_answer_is_not_told_as_its_limit_is_not_known() -> None:
    found = outlook(remaining=None, caution=careful(200))
    assert [hitch.reason for hitch in found.hitches] == ["Nothing from Discord: status 500"]
    assert (found.document()["next_try_at"], found.document()["failing"]) == (None, None)


def test_an_open_breaker_is_a_hitch() -> None:
    found = outlook(caution=careful(200))
    (hitch,) = found.hitches
    assert "200 identifies of the last 24 h gained no shard" in hitch.reason
    assert "in 3 min 20 s" in hitch.remedy
    assert found.least_s == 200.0 + 60.0, "one tries, and when it has lasted a minute the others do"
    assert outlook(Start(1, (0,)), caution=careful(200)).least_s == 200.0


def test_shards_that_failed_too_often_for_what_is_left_are_a_hitch() -> None:
    found = outlook(caution=careful(100, shards=16))
    (hitch,) = found.hitches
    assert "16 shards have identified in vain again and again" in hitch.reason
    assert "one of them tries every 5 min until that lasts" in hitch.reason
    assert found.least_s == 200.0
    assert found.document()["failing"] == 16
    assert outlook(remaining=100, caution=careful(100, shards=16)).hitches[1:] == [], "nobody tries at all"


def test_a_start_lasts_as_long_as_its_windows_or_its_longest_wait() -> None:
    two_to_a_key = Start(32, tuple(range(32)))
    assert outlook(two_to_a_key).least_s == 5.0
    assert outlook(two_to_a_key, remaining=131).least_s == 3600.0, "one of them after the reset"
    assert outlook(two_to_a_key, remaining=132).least_s == 5.0
    assert outlook(two_to_a_key, remaining=None).least_s is None


def test_the_document_has_every_number_and_is_json() -> None:
    document = outlook(Start(16, tuple(range(16)), frozenset({3})), remaining=110).document()
    assert json.loads(json.dumps(document)) == document
    assert document["may_start"] is False
    assert document["refused"] is False
    assert document["resume"] == [3]
    assert len(document["identify"]) == 15
    assert (document["total"], document["remaining"], document["reserve"], document["spendable"]) == (
        1000,
        1000,
        100,
        10,
    )
    assert (document["least_s"], document["max_concurrency"]) == (3600.0, 16)
    assert (document["reset_at"], document["reset_after_s"]) == (NOW + 3600.0, 3600.0)
    silent = outlook(None, remaining=None, not_before=NOW + 60.0, owner=7).document()
    assert (silent["shards"], silent["remaining"], silent["unanswered"]) == (None, None, "status 500")
    assert (silent["not_before"], silent["running_pid"]) == (NOW + 60.0, 7)


def test_of_several_hosts_it_is_said_what_the_share_of_this_one_is_and_what_is_assumed() -> None:
    joins = outlook(party=Party("c", ("a", "b"), None))
    assert joins.party is not None
    assert joins.party.text(16) == "3: c joins a, b; the share of c is 6 of 16 shards"
    assert joins.document()["hosts"] == {"me": "c", "others": ["a", "b"], "share": 6, "unanswered": None}
    assert Party("c", (), None).text(16) == "c alone: no other one runs; the share of c is 16 of 16 shards"
    assert Party("c", (), "no answer").text(16) == "c alone, as far as anybody knows: no answer"
    assert outlook(start=None, party=Party("c", (), "no")).document()["hosts"]["share"] is None
    assert outlook().document()["hosts"] is None
