"""Whether every shard is live and heard of, and if not, which isn't, since when and why (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gwcluster.hosts.words import is_late, silence

NOT_JOINED: Final = "this host is not one of the hosts yet: it waits for NATS"

MAX_REASONS: Final = 100
"""Most shards that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of `/readyz`.

    Attributes:
        ok: every shard is live and its figures are fresh; of several hosts: this one's, it is in touch with
            the others, and takes shards. A host that is draining takes none: a rollout that goes on to the
            next host once this one is ready must not count it.
        ready, total: numbers of shards; of several hosts, this one's.
        reasons: for each shard that isn't ready `shard`, `state`, `since` (Unix seconds), `for_s` and `why`;
            `shard` and `state` are None where the whole host is meant, `since` and `for_s` if not known.
        more: shards that aren't ready and not in `reasons`.
        degraded: shards whose logs can't be written; they count as ready.
    """

    ok: bool
    ready: int
    total: int
    reasons: tuple[dict[str, Any], ...]
    more: int
    degraded: tuple[int, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "ok": self.ok,
            "ready": self.ready,
            "total": self.total,
            "reasons": list(self.reasons),
            "more": self.more,
            "degraded": list(self.degraded),
        }

    def text(self) -> str:
        """Return it as lines for people."""
        lines = [f"{self.ready} of {self.total} shards are ready"]
        lines += [_line(reason) for reason in self.reasons]
        if self.more:
            lines.append(f"and {self.more} more")
        if self.degraded:
            lines.append(f"degraded: {', '.join(map(str, self.degraded))}")
        return "\n".join(lines) + "\n"


def judge(document: dict[str, Any]) -> Readiness:
    """Judge a status document; docs/wire.md describes it."""
    known: list[dict[str, Any]] = document["shard"]
    shards = [shard for shard in known if shard["state"] != "elsewhere"]
    now: float = document["now"]
    reasons = [_reason(shard, now) for shard in shards if not _is_ready(shard)]
    ready = len(shards) - len(reasons)
    if not known:
        why = "the shards are not known yet: Discord has not said how many there are"
        reasons = [_of_all(why, now - document["started_at"])]
    elif document["hosts"] is None and not shards:
        reasons = [_of_all(NOT_JOINED, now - document["started_at"])]
    if (hosts := document["hosts"]) is not None:
        reasons = [*_between_hosts(hosts, now), *reasons]
    return Readiness(
        ok=not reasons,
        ready=ready,
        total=len(shards),
        reasons=tuple(reasons[:MAX_REASONS]),
        more=max(0, len(reasons) - MAX_REASONS),
        degraded=tuple(shard["shard"] for shard in shards if shard["degraded"] is not None)[:MAX_REASONS],
    )


def age(of_figure: float | None, pulse_age_s: float | None) -> float | None:
    """Return how old something is now whose age a worker told `pulse_age_s` ago; None: it isn't known."""
    return None if of_figure is None or pulse_age_s is None else of_figure + pulse_age_s


def _between_hosts(hosts: dict[str, Any], now: float) -> list[dict[str, Any]]:
    """Return what speaks against this host, whatever its shards do."""
    found = []
    if is_late(hosts) and (why := silence(hosts["nats"], since=False)) is not None:
        silent_s = hosts["nats"]["unreachable_s"]
        found.append(_of_all(why, silent_s, now - silent_s))
    if hosts["draining"]:
        found.append(_of_all("this host is draining: it gives its shards to others and takes none", None))
    return found


def _of_all(why: str, for_s: float | None, since: float | None = None) -> dict[str, Any]:
    return {"shard": None, "state": None, "since": since, "for_s": for_s, "why": why}


def _is_ready(shard: dict[str, Any]) -> bool:
    return bool(shard["state"] == "live" and shard["fresh"])


def _reason(shard: dict[str, Any], now: float) -> dict[str, Any]:
    why = shard["reason"] if shard["state"] != "live" else _stale(shard)
    since = shard["since"]
    return {
        "shard": shard["shard"],
        "state": shard["state"],
        "since": since,
        "for_s": max(0.0, now - since),
        "why": why,
    }


def _stale(shard: dict[str, Any]) -> str:
    """Say what of a live shard is too old."""
    pulse_age_s = shard["pulse_age_s"]
    if pulse_age_s is None:
        return "live, but its worker has told no figures yet"
    told = [f"last figures {pulse_age_s:.0f} s ago"]
    for name, key in (("last ACK", "ack_age_s"), ("last event", "event_age_s")):
        if (how_old_s := age(shard[key], pulse_age_s)) is not None:
            told.append(f"{name} {how_old_s:.0f} s ago")
    return f"live, but not fresh: {', '.join(told)}"


def _line(reason: dict[str, Any]) -> str:
    if reason["shard"] is None:
        lasts = "" if reason["for_s"] is None else f"for {reason['for_s']:.0f} s: "
        return f"{lasts}{reason['why']}"
    return f"shard {reason['shard']}: {reason['state']} for {reason['for_s']:.0f} s: {reason['why']}"
