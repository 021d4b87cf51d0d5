"""What is shown of a status: choosing, sorting, figures and lines; nothing here waits."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from gwcluster.cli.chosen import ORDERS, chosen, ids, runs
from gwcluster.cli.figures import age, latency, number, size
from gwcluster.cli.shard_table import grid, headline, table
from gwcluster.cli.top import Shown
from support.statuses import FAILED, NATS, NOW, SILENT, STALE, hosts, neighbour, of_three, shard, status


def lines(*shards: dict[str, Any], width: int = 80, grouped: bool = False) -> list[str]:
    found = [str(line) for line in table(list(shards), NOW, width=width, grouped=grouped)]
    assert max(map(len, found)) <= width
    return found


@pytest.mark.parametrize(("text", "meant"), [("3", [3]), ("0-2", [0, 1, 2]), ("7-7", [7])])
def test_a_shard_or_a_range_can_be_named(text: str, meant: list[int]) -> None:
    assert list(ids(text)) == meant


@pytest.mark.parametrize("text", ["", "x", "-1", "3-", "4-3", "1,2", "9999999"])
def test_what_names_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard"):
        ids(text)


def test_shards_are_chosen_by_state_by_id_and_by_whether_they_are_bad() -> None:
    all_ = [shard(0), shard(1, **FAILED), shard(2, **STALE), shard(3, degraded="no room")]

    def found(**wanted: Any) -> list[int]:
        return [each["shard"] for each in chosen(all_, **wanted)]

    assert found() == [0, 1, 2, 3]
    assert found(states=["failed"]) == [1]
    assert found(among=[range(2, 4), range(1)]) == [0, 2, 3]
    assert found(bad=True) == [1, 2, 3]
    assert found(bad=True, states=["live"], among=[range(3)]) == [2]


def test_the_worst_come_first_and_else_the_most() -> None:
    backoff = {"state": "backoff", "fresh": True}
    slow = shard(1, latency_s=0.5, guilds=9000)
    all_ = [shard(0), slow, shard(2, **STALE), shard(3, **backoff), shard(4, **FAILED)]

    def ordered(name: str) -> list[int]:
        return [each["shard"] for each in sorted(all_, key=ORDERS[name])]

    assert ordered("worst") == [4, 3, 2, 1, 0]
    assert ordered("latency") == [1, 0, 2, 3, 4]
    assert ordered("guilds")[0] == 1
    assert ordered("shard") == [0, 1, 2, 3, 4]


def test_ready_neighbours_are_one_group_and_bad_ones_stand_alone() -> None:
    groups = runs([shard(number, **(FAILED if number == 5 else {})) for number in range(3, 40)], 32)
    ends = [(group[0]["shard"], group[-1]["shard"]) for group in groups]
    assert ends == [(3, 4), (5, 5), (6, 31), (32, 39)]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "-"), (-1, "0.0s"), (9.9, "9.9s"), (42, "42s"), (100, "2m"), (7200, "2h"), (180_000, "2d")],
)
def test_ages_are_short(seconds: float | None, said: str) -> None:
    assert age(seconds) == said


def test_figures_have_units_and_stay_short() -> None:
    assert [latency(one) for one in (None, 0.0423, 12.0)] == ["-", "42ms", "12s"]
    assert [number(one) for one in (None, 0, 3.0, 2.54, 12.6, 99_999, 1_245_000, 12_000_000)] == [
        *("-", "0", "3", "2.5", "13", "99999", "1245k", "12M")
    ]
    assert [size(one) for one in (None, 5 << 20, 3 << 30)] == ["-", "5.0M", "3.0G"]


def test_eighty_columns_have_a_line_for_a_shard_and_one_more_for_what_is_wrong() -> None:
    found = lines(shard(0), shard(1, **FAILED), shard(2, **STALE), shard(3, degraded="no room"))
    assert " ".join(found[0].split()) == "shard state since latency ev/s guilds event ack starts"
    assert found[1].split() == ["0", "●", "live", "90s", "40ms", "12", "2500", "0.2s", "20s", "0"]
    assert found[2].split()[:3] == ["1", "✗", "failed"]
    assert found[3].strip() == "└ died 6 times"
    assert found[4].split() == ["2", "?", "stale", "90s", "40ms?", "12?", "2500?", "0.2s?", "20s?", "0"]
    assert found[5].strip() == "└ not heard of for 33s; it was live then"
    assert found[6].split()[:3] == ["3", "!", "live"]
    assert found[7].strip() == "└ degraded: no room"


def test_a_wide_console_has_it_all_in_one_line() -> None:
    found = lines(shard(0), shard(1, **FAILED), width=160)
    assert len(found) == 3
    assert found[1].split()[10:] == ["0", "2h", "2", "1", "5.0M"]
    assert found[2].endswith("died 6 times")


def test_a_group_has_sums_and_the_worst_of_ages() -> None:
    found = lines(shard(0, latency_s=0.09, ack_age_s=30.0), shard(1), shard(2), grouped=True)
    assert found[1].split() == ["0-2", "●", "live", "90s", "90ms", "38", "7500", "0.2s", "30s", "0"]


def test_no_reason_is_so_long_that_a_line_breaks_and_none_can_steer_the_terminal() -> None:
    found = lines(shard(1, **(FAILED | {"reason": "\x1b[2J\n" + "x" * 200})))
    assert len(found) == 3
    assert "\x1b" not in "".join(found)
    assert "\n" not in "".join(found)


def test_the_headline_has_the_totals_and_how_a_rolling_restart_goes() -> None:
    told = str(headline(status(shard(0), shard(1, **FAILED), shard(2, **STALE))))
    assert "1 of 3 shards are ready · 1 failed · 1 stale · 25 events/s · 5000 guilds · 15.0M memory" in told
    assert "identifies: 900 of 1000 left, 800 spendable; reset " in told
    assert told.endswith(", in 1 h")
    assert str(headline(status(shard(0), rolling={"done": 1, "total": 3}))).endswith("1 of 3 shards are done")
    rolled = {"done": 1, "total": 3, "why": "shard 2 failed: why", "at": NOW}
    said = "rolling restart stopped after 1 of 3 shards: shard 2 failed: why"
    assert str(headline(status(shard(0), rolled=rolled))).endswith(said)
    told = str(headline(status(identifies=None, shards=None)))
    assert "Discord hasn't told yet" in told
    assert "the shards aren't known yet" in told


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 12)])
def test_500_shards_fit_into_a_terminal_and_the_worst_are_listed(width: int, height: int) -> None:
    shards = [shard(number, **(FAILED if number == 77 else {})) for number in range(500)]
    console = Console(width=width, height=height)
    drawn = Shown((), (), False, "worst").draw(console, status(*shards), 1.0, "")
    text = [("".join(piece.text for piece in line)).rstrip() for line in console.render_lines(drawn)]
    if height > 12:  # else there is room for the signs alone
        assert len(text) <= height
        assert any(line.split()[:3] == ["77", "✗", "failed"] for line in text)
        assert text[-1].startswith("and 4")
    assert "".join(text).count("✗") >= 1


def test_what_is_old_is_not_shown_as_if_it_were_true() -> None:
    console = Console(width=100, height=24)
    drawn = Shown((), (), False, "worst").draw(console, status(shard(0)), 12.0, "no answer")
    text = "\n".join("".join(piece.text for piece in line).rstrip() for line in console.render_lines(drawn))
    assert "0 of 1 shards are ready · 1 stale" in text
    assert "what follows is 12 s old. no answer" in text
    assert "not heard of for 13s" in text


def test_keys_sort_choose_and_end() -> None:
    shown = Shown((), (), False, "worst")
    shown.pressed("s")
    shown.pressed("b")
    shown.pressed("?")
    assert (shown.sort, shown.bad, shown.ended) == ("shard", True, False)
    for _ in ORDERS:
        shown.pressed("s")
    assert shown.sort == "shard"
    shown.pressed("q")
    assert shown.ended


def test_the_grid_has_every_shard_in_tens() -> None:
    found = str(grid([shard(number) for number in range(25)], 80))
    assert found == "    0 ●●●●●●●●●● ●●●●●●●●●● ●●●●●"
    assert len(str(grid([shard(number) for number in range(25)], 20)).splitlines()) == 3


def text_of(status: dict[str, Any]) -> list[str]:
    return str(headline(status)).splitlines()


def test_of_several_hosts_each_has_a_line_and_shards_elsewhere_are_counted() -> None:
    found = text_of(of_three())
    assert found[1].startswith("8 of 24 shards are this host's, 8 of 8 are ready · 16 elsewhere · ")
    assert [line.split() for line in found[3:]] == [
        ["host", "shards", "seen", "up", "version"],
        ["a", "8", "2.0s", "2h", "1.2.3", "0-7"],
        ["b", "8", "2.0s", "2h", "1.2.3", "this", "host", "8-15"],
        ["c", "8", "2.0s", "2h", "1.2.3", "16-23"],
    ]


def test_a_single_host_has_no_line_for_hosts_and_no_column() -> None:
    assert not any("host" in line for line in text_of(status(shard(0))))
    assert "host" not in lines(shard(0))[0]


def test_while_nats_does_not_answer_a_loud_line_says_since_when_and_what_follows() -> None:
    told = headline(of_three(nats={**NATS, **SILENT}))
    loud = "NATS has not answered for 9 s (no servers available): shards pause in 3 s"
    assert loud in str(told).splitlines()
    assert any("red" in str(span.style) and loud in str(told)[span.start : span.end] for span in told.spans)
    paused = text_of(of_three(nats={**NATS, **SILENT, "pause_s": 0.0, "why": None}))
    assert "NATS has not answered for 9 s: shards pause; they resume when it is back" in paused
    spare = text_of(of_three(nats={**NATS, **SILENT, "pause_s": None, "why": "\x1b[2J"}))
    assert "NATS has not answered for 9 s ( [2J): no shard runs here, and none can be taken" in spare


def test_shards_that_no_host_runs_and_hosts_that_drain_are_named() -> None:
    free = of_three(free=[16, 17, 20], draining=True)
    for each in (16, 17, 20):
        free["shard"][each].update(host=None, free=True, reason="no host runs it")
    found = text_of(free)
    assert " · 13 elsewhere · 3 free · " in found[1]
    assert found[3] == "shards 16-17, 20 are run by no host"
    assert found[4] == "this host is draining: its shards go to the others, one by one"
    assert found[7].split()[5:] == ["draining", "this", "host", "8-15"]
    assert [each["shard"] for each in chosen(free["shard"], bad=True)] == [16, 17, 20]
    assert [each["shard"] for each in sorted(free["shard"], key=ORDERS["worst"])][:4] == [16, 17, 20, 8]
    rows = lines(*free["shard"][14:18])
    assert rows[0].split()[-1] == "host"
    assert rows[1].split()[-1] == "b"
    assert rows[3].split()[:3] == ["16", "◌", "free"]
    assert rows[4].strip() == "└ no host runs it"


def test_shards_elsewhere_are_grouped_by_host_and_come_last() -> None:
    told = of_three()["shard"]
    groups = [(group[0]["shard"], group[-1]["shard"]) for group in runs(told, 32)]
    assert groups == [(0, 7), (8, 15), (16, 23)]
    assert [each["shard"] for each in sorted(told, key=ORDERS["worst"])][:8] == list(range(8, 16))
    row = lines(*told, grouped=True)[1].split()
    assert row == ["0-7", "○", "elsewhere", "90s", *"-----", "0", "a"]


def test_a_status_of_before_there_were_hosts_is_shown_too() -> None:
    old = status(shard(0))
    del old["hosts"], old["shard"][0]["host"], old["shard"][0]["free"]
    assert text_of(old)[1].startswith("1 of 1 shards are ready")
    assert lines(old["shard"][0])[1].split()[:3] == ["0", "●", "live"]


def test_of_very_many_hosts_some_have_a_line_and_the_rest_is_counted() -> None:
    many = [neighbour(f"host-{number:02}", []) for number in range(20)]
    found = text_of(status(shard(0), hosts=hosts("host-03", *many)))
    assert found[-1] == "and 4 more hosts"
    assert len(found) == 3 + 1 + 16 + 1
