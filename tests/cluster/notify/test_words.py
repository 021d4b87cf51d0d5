from __future__ import annotations

import json
from dataclasses import replace

from gwcluster.board import Counts
from gwcluster.notify.reply import Again, Arrived, Hopeless, judge
from gwcluster.notify.watch import Kind, News
from gwcluster.notify.words import body, line
from gwcluster.sight import Sight

WALL = 1_790_000_000.0
SEEN = Sight(counts=Counts(ready=3, total=4, degraded=0, failed=1))
FAILED = News(Kind.FAILED, False, (0, 1, 2, 7), "died 6 times", 0.5)


def test_a_line_says_whose_what_since_when_and_why() -> None:
    assert line(FAILED) == "shards 0-2, 7: given up: died 6 times"
    assert line(News(Kind.DEGRADED, False, (7,), "No space\nleft", 62.0)) == (
        "shard 7: the log can't be written, for 1 min 2 s: No space left"
    )
    assert line(News(Kind.DOWN, True, (), "x", 303.0)) == "all shards are live again, after 5 min 3 s"
    assert len(line(News(Kind.REFUSED, False, (), "x" * 5000, 0.0))) < 400


def test_discord_gets_text_that_pings_nobody() -> None:
    data = json.loads(body("discord", [FAILED], SEEN, cluster="bot", wall=WALL))
    assert data == {
        "content": "**bot**\n🔴 shards 0-2, 7: given up: died 6 times",
        "allowed_mentions": {"parse": []},
        "flags": 4,
    }


def test_discord_gets_no_more_than_it_takes() -> None:
    for why in ("x" * 300, "🔴" * 300, "\ud800" * 300):
        news = [News(kind, False, tuple(range(0, 1000, 2)), why, 5.0) for kind in list(Kind) * 4]
        content = json.loads(body("discord", news, SEEN, cluster="bot", wall=WALL))["content"]
        assert 1900 < len(content.encode("utf-16-le", errors="surrogatepass")) // 2 <= 2000


def test_a_program_gets_what_is_so_as_data() -> None:
    many = News(Kind.FAILED, False, tuple(range(500)), "died", 1.0)
    data = json.loads(body("json", [many, News(Kind.DOWN, True, (), "", 5.0)], SEEN, cluster="b", wall=WALL))
    assert (data["v"], data["cluster"], data["at"], data["ready"], data["total"]) == (1, "b", WALL, 3, 4)
    first, second = data["news"]
    assert first == {
        "kind": "shard_failed",
        "over": False,
        "shards": list(range(100)),
        "more": 400,
        "hosts": [],
        "text": "shards 0-499: given up, for 1 s: died",
    }
    assert (second["kind"], second["over"], second["shards"], second["more"]) == ("shards_down", True, [], 0)


def test_an_answer_decides_whether_the_message_is_tried_again() -> None:
    assert judge(204, None) == Arrived()
    assert judge(429, "1.5") == Again("status 429", 1.5)
    assert judge(429, "86400") == Again("status 429", 300.0)
    for strange in (None, "soon", "nan", ""):
        assert judge(429, strange) == Again("status 429", None)
    assert judge(429, "-1") == Again("status 429", 0.0)
    assert judge(503, "5") == Again("status 503")
    assert judge(408, None) == Again("status 408")
    assert judge(None, None, "no answer") == Again("no answer")
    for status in (302, 400, 401, 403, 404, 410):
        assert judge(status, None) == Hopeless(f"status {status}")


def test_hosts_are_named_and_of_many_only_some() -> None:
    news = News(Kind.GONE, False, (), "others take its shards", 70.0, ("b", "c"))
    assert line(news) == "hosts b, c: gone, for 1 min 10 s: others take its shards"
    assert line(replace(news, over=True, hosts=("b",))) == "host b: back, after 1 min 10 s"
    many = replace(news, hosts=tuple(f"h{number}" for number in range(20)))
    assert "h7 and 12 more: gone" in line(many)
    data = json.loads(body("json", [many], SEEN, cluster="b", wall=WALL))["news"][0]
    assert (data["kind"], data["hosts"], data["shards"]) == ("host_gone", [f"h{n}" for n in range(8)], [])
    assert line(News(Kind.SILENT, True, (), "", 9.0)) == "NATS answers again, after 9 s"
    assert (
        line(News(Kind.FREE, False, (3,), "too few", 61.0))
        == "shard 3: run by no host, for 1 min 1 s: too few"
    )
