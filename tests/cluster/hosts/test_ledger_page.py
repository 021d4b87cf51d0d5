from __future__ import annotations

import gzip
import json

import pytest

from gwcluster.hosts.errors import HostsError
from gwcluster.hosts.ledger_page import Add, Learn, Page, Row, Set, Wait, changed, decode, encode
from gwcluster.identify.caution import Past
from gwcluster.identify.ledger import READY, REFUSED

NOW = 1_790_000_000.0
DAY_S = 86_400.0
ROOMY = 1_000_000


def test_a_permit_that_is_not_reported_counts_as_sent_at_its_end() -> None:
    page = Page(
        "x", {"a": Row(3, NOW - DAY_S - 19.0), "b": Row(4, NOW - DAY_S - 21.0), "c": Row(5, NOW, NOW)}
    )
    assert page.spent_since(NOW - DAY_S) == 2
    assert page.last_sent_by_key(2, NOW) == {0: NOW - DAY_S - 1.0, 1: NOW}
    assert Page("x", {"a": Row(3, NOW)}).last_sent_by_key(2, NOW) == {1: NOW}


def test_the_past_is_told_in_the_order_of_grants_and_with_what_came_of_it() -> None:
    rows = {
        "b": Row(2, NOW - 10.0, NOW - 9.0, READY, NOW - 8.0),
        "a": Row(1, NOW - 20.0, NOW - 19.0, REFUSED, NOW + 5.0),
        "old": Row(0, NOW - DAY_S - 1.0),
        "c": Row(3, NOW - 5.0, None, "worker ended", NOW),
    }
    assert Page("x", rows).past(NOW, 100.0) == [
        Past(1, NOW + 80.0, NOW + 81.0, None, NOW + 100.0),
        Past(2, NOW + 90.0, NOW + 91.0, NOW + 92.0, None),
        Past(3, NOW + 95.0, NOW + 115.0, None, None),
    ]


def test_a_change_that_is_made_twice_counts_once() -> None:
    once = changed(Page("x"), [Add({"a": Row(1, NOW)})])
    assert changed(once, [Add({"a": Row(1, NOW + 9.0)})]) is once
    sent = changed(once, [Set("a", Row(1, NOW, NOW + 1.0))])
    assert sent.rows == {"a": Row(1, NOW, NOW + 1.0)}
    assert changed(sent, [Set("a", Row(1, NOW, NOW + 1.0))]) is sent
    gone = changed(sent, [Set("a", None)])
    assert gone.rows == {}
    assert changed(gone, [Set("a", None), Set("a", Row(1, NOW))]) is gone  # what is gone stays so


def test_of_what_discord_said_the_latest_stays() -> None:
    page = changed(Page("x"), [Learn("one", NOW), Learn("none", NOW - 1.0), Wait(NOW + 9.0), Wait(NOW + 5.0)])
    assert (page.known, page.known_at, page.not_before) == ("one", NOW, NOW + 9.0)
    assert changed(page, [Learn("one", NOW + 5.0), Wait(NOW + 9.0)]) is page


def test_what_is_older_than_two_days_goes_and_what_is_yet_to_come_is_now() -> None:
    rows = {"old": Row(1, NOW - 2 * DAY_S - 1.0), "kept": Row(2, NOW - 2 * DAY_S), "ahead": Row(3, NOW + 5.0)}
    assert Page("x", rows).tidied(NOW).rows == {"kept": rows["kept"], "ahead": Row(3, NOW)}


def test_what_is_written_is_read() -> None:
    rows = {"a": Row(1, NOW + 0.123, NOW + 1.5, READY, NOW + 2.0), "b": Row(2, NOW)}
    page = Page("x", rows, "known", NOW, NOW + 5.0)
    assert decode(encode(page, ROOMY)) == page


def test_two_days_of_the_largest_bots_fit_into_a_message() -> None:
    # 1000 a day, or 5 per 1000 guilds: 10,000 a day are those of two million guilds
    rows = {
        f"host-a-{n % 7:032x}.{n}": Row(n % 2048, NOW + 17.3 * n, NOW + 17.3 * n + 1.3, READY, NOW + 9.0)
        for n in range(20_000)
    }
    assert len(encode(Page("x", rows), ROOMY)) < 600_000


def test_where_there_is_no_room_only_the_last_day_is_kept_and_it_is_never_cut() -> None:
    old = {f"old-{n}": Row(n, NOW - 1.5 * DAY_S + n / 7) for n in range(300)}
    day = {f"day-{n}": Row(n, NOW + n / 7) for n in range(100)}
    whole = encode(Page("x", {**old, **day}), ROOMY)
    assert decode(encode(Page("x", {**old, **day}), len(whole) - 1)).rows.keys() == day.keys()
    with pytest.raises(
        HostsError, match=r"a day's 100 identifies take \d+ bytes .* takes 500: .*max_payload"
    ):
        encode(Page("x", {**old, **day}), 500)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        gzip.compress(b"{", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b'{"v":1}', mtime=0),
        gzip.compress(b" " * 2**25, mtime=0),
    ],
)
def test_what_makes_no_sense_is_an_error(data: bytes) -> None:
    with pytest.raises(HostsError, match="the ledger of all hosts can't be read"):
        decode(data)


def test_a_newer_ledger_asks_for_an_upgrade() -> None:
    with pytest.raises(HostsError, match="has format 2, newer than ours, 1: upgrade"):
        decode(gzip.compress(json.dumps({"v": 2}).encode()))
