"""Which shards a start runs, what it costs, and what speaks against it (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from gwcluster.config.units import MAX_SHARDS
from gwcluster.discord import IDENTIFY_WINDOW_S
from gwcluster.errors import GwclusterError
from gwcluster.identify.budget import Budget
from gwcluster.spans import moment, span

ABSURD: Final = 10
"""A recommendation of more than so many times the last one is not followed unasked."""


class StartError(GwclusterError):
    """The cluster doesn't start like this, and nothing was begun; the message says why and what helps."""


@dataclass(frozen=True, slots=True)
class Start:
    """A start that is intended.

    Attributes:
        shards: shard count of the bot.
        ids: shards of this cluster, ascending.
        resumable: those whose saved session can probably be resumed; this costs nothing.
        given_up: other sessions of the bot that could be resumed, but not with this configuration.
    """

    shards: int
    ids: tuple[int, ...]
    resumable: frozenset[int] = frozenset()
    given_up: int = 0

    @property
    def identifying(self) -> tuple[int, ...]:
        """Shards that need an IDENTIFY."""
        return tuple(shard for shard in self.ids if shard not in self.resumable)

    def least_s(self, max_concurrency: int) -> float:
        """Return the seconds from the first IDENTIFY to the last one, if nothing goes wrong.

        Sources:
            https://docs.discord.com/developers/events/gateway#sharding-max-concurrency
        """
        by_key = Counter(shard % max_concurrency for shard in self.identifying)
        return (max(by_key.values(), default=1) - 1) * IDENTIFY_WINDOW_S


def shard_ids(wanted: Iterable[int] | None, count: int) -> tuple[int, ...]:
    """Return the ids of this cluster's shards.

    Raises:
        StartError: `wanted` has one that a bot of `count` shards hasn't.
    """
    ids = tuple(sorted(set(range(count) if wanted is None else wanted)))
    if ids[-1] >= count:
        raise StartError(
            f"shards.ids names shard {ids[-1]}, but Discord recommends {count} shards; "
            f"write ids from 0 to {count - 1}, or set shards.count"
        )
    return ids


def check_recommendation(recommended: int, last: int | None) -> None:
    """Look at the count that Discord recommends before it is followed.

    Args:
        recommended: shards.
        last: what it recommended the last time, None if that isn't known.

    Raises:
        StartError: it is absurd.
    """
    if recommended > MAX_SHARDS:
        raise StartError(
            f"Discord recommends {recommended} shards, and gwcluster runs {MAX_SHARDS} at most; "
            "set shards.count"
        )
    if last is not None and recommended > ABSURD * last:
        raise StartError(
            f"Discord recommends {recommended} shards, and the last time it was {last}: more than {ABSURD} "
            f"times as many, which would cost {recommended} identifies. If it is right, set shards.count: "
            f"{recommended}; if not, shards.count: {last}"
        )


def shortage(start: Start, budget: Budget, reset: str) -> str | None:
    """Return what a start lacks, with its numbers, or None if it lacks nothing.

    Args:
        start: what is intended.
        budget: what may be spent.
        reset: when Discord counts anew, in words.
    """
    needed = len(start.identifying)
    if needed <= budget.spendable:
        return None
    return (
        f"{needed} of {len(start.ids)} shards need an IDENTIFY, and {budget.spendable} may be spent: "
        f"{budget.remaining} of {budget.total} a day are left, {budget.reserve} of them kept in reserve, "
        f"until {reset}"
    )


def reset_in_words(reset_at: float, now: float) -> str:
    """Return when Discord counts anew, for `shortage`; both moments are Unix seconds.

    It has been seen to say "now" while nothing is left and nothing comes back.
    """
    if reset_at <= now:
        return "Discord's reset, which it says is due: it is asked again and again"
    return f"Discord's reset at {moment(reset_at, now)}"


def refusal(start: Start, lack: str, *, fresh: bool) -> str | None:
    """Return why a start that lacks permits must not begin, None if it may begin with what there is.

    It begins with what there is, unless that would cost sessions which live.

    Args:
        start: what is intended.
        lack: from `shortage`.
        fresh: the operator wants the resumable ones given up.
    """
    if fresh:
        return f"{lack}. No session was given up. Start without --fresh, wait, or allow it with --use-reserve"
    if start.given_up:
        return (
            f"{lack}. {start.given_up} sessions can still be resumed, but not with this shard count and "
            "these intents: put the old ones back within minutes, wait, or allow it with --use-reserve"
        )
    return None


def advice(code: int, count: int, recommended: int | None) -> str:
    """Return what to do when Discord refuses a shard with a close code, "" if there is nothing to say.

    Sources:
        https://docs.discord.com/developers/events/gateway#sharding
        https://docs.discord.com/developers/events/gateway#sharding-for-large-bots
    """
    if recommended is None or recommended == count:
        return ""
    if code == 4011:
        return f": shards.count is {count} and Discord recommends {recommended}: set that, and start anew"
    if code != 4010:
        return ""
    return (
        f": shards.count is {count} and Discord recommends {recommended}; the count of a very large bot has "
        f"to be a multiple of the number that Discord assigned to it (often 16): set {recommended}, or auto"
    )


def ranges(shards: Collection[int]) -> str:
    """Return shard ids as people write them: `0-3, 7`."""
    parts: list[list[int]] = []
    for shard in sorted(shards):
        if parts and shard == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], shard]
        else:
            parts.append([shard])
    return ", ".join("-".join(map(str, part)) for part in parts)


def told(start: Start, max_concurrency: int) -> str:
    """Return a line that says what a start does and how long it takes at least."""
    fresh = start.identifying
    words = f"{len(start.resumable)} resume, {len(fresh)} identify"
    if fresh:
        words += f", which takes at least {span(start.least_s(max_concurrency))}"
    return f"running {len(start.ids)} of {start.shards} shards: {words}"
