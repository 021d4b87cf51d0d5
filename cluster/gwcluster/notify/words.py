"""A message as Discord's webhooks take it, and as a program does (pure)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from gwcluster.notify.watch import Kind, News
from gwcluster.sight import Sight, named
from gwcluster.spans import span

MAX_CONTENT: Final = 2000
"""Counted in UTF-16 here, to be safe. https://docs.discord.com/developers/resources/webhook#execute-webhook"""

MAX_WHY: Final = 300
MAX_SHARDS: Final = 100
"""Shard ids in one line of the JSON format; `more` counts the others."""

MAX_HOSTS: Final = 8
"""Names of hosts in one line, and in one line of the JSON format."""

_SUPPRESS_EMBEDS: Final = 1 << 2

_BEGAN: Final = {
    Kind.REFUSED: "Discord refuses the bot; nothing is started again until that is corrected",
    Kind.FAILED: "given up",
    Kind.EXHAUSTED: "the identify budget is used up",
    Kind.SLOWED: "identifies are held back",
    Kind.DEGRADED: "the log can't be written",
    Kind.DOWN: "not all shards are live",
    Kind.SILENT: "NATS does not answer",
    Kind.FREE: "run by no host",
    Kind.GONE: "gone",
}
_OVER: Final = {
    Kind.REFUSED: "Discord takes the bot again",
    Kind.FAILED: "live again",
    Kind.EXHAUSTED: "there are identifies again",
    Kind.SLOWED: "identifies are granted again",
    Kind.DEGRADED: "the log is written again",
    Kind.DOWN: "all shards are live again",
    Kind.SILENT: "NATS answers again",
    Kind.FREE: "run by a host again",
    Kind.GONE: "back",
}


def line(news: News) -> str:
    """Return one line for people."""
    whose = ""
    if news.shards:
        whose = f"shard{'s' if len(news.shards) > 1 else ''} {named(news.shards)}: "
    if news.hosts:
        whose = f"host{'s' if len(news.hosts) > 1 else ''} {_names(news.hosts)}: "
    if news.over:
        return f"{whose}{_OVER[news.kind]}, after {span(news.lasted_s)}"
    since = f", for {span(news.lasted_s)}" if news.lasted_s >= 1 else ""
    why = " ".join(news.why.split())
    return f"{whose}{_BEGAN[news.kind]}{since}: {why if len(why) <= MAX_WHY else why[: MAX_WHY - 1] + '…'}"


def _names(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - MAX_HOSTS} more" if len(hosts) > MAX_HOSTS else ""
    return f"{', '.join(hosts[:MAX_HOSTS])}{more}"


def body(
    form: Literal["discord", "json"], news: Sequence[News], seen: Sight, *, cluster: str, wall: float
) -> bytes:
    """Return what is posted, as JSON.

    Args:
        form: of the message.
        news: its lines.
        seen: how the cluster is.
        cluster: its name.
        wall: Unix seconds.
    """
    lines = [line(one) for one in news]
    data: dict[str, Any]
    if form == "discord":
        signs = ("🟢" if one.over else "🔴" for one in news)
        text = "\n".join(
            [f"**{cluster}**", *(f"{sign} {each}" for sign, each in zip(signs, lines, strict=True))]
        )
        data = {"content": _cut(text), "allowed_mentions": {"parse": []}, "flags": _SUPPRESS_EMBEDS}
    else:
        counts = seen.counts
        data = {
            "v": 1,
            "cluster": cluster,
            "at": wall,
            "ready": None if counts is None else counts.ready,
            "total": None if counts is None else counts.total,
            "news": [_object(one, text) for one, text in zip(news, lines, strict=True)],
        }
    return json.dumps(data).encode()


def _object(news: News, text: str) -> dict[str, Any]:
    return {
        "kind": news.kind.value,
        "over": news.over,
        "shards": list(news.shards[:MAX_SHARDS]),
        "more": max(0, len(news.shards) - MAX_SHARDS),
        "hosts": list(news.hosts[:MAX_HOSTS]),
        "text": text,
    }


def _cut(text: str) -> str:
    if len(text.encode("utf-16-le", errors="replace")) // 2 <= MAX_CONTENT:
        return text
    kept = text.encode("utf-16-le", errors="replace")[: 2 * (MAX_CONTENT - 1)]
    return kept.decode("utf-16-le", errors="ignore") + "…"
