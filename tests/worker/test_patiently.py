"""Opening what may not be there for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gwworker.patiently import patiently


class PassesError(Exception):
    pass


class StaysError(Exception):
    pass


def failing(*errors: Exception) -> tuple[Callable[[], Awaitable[str]], list[Exception]]:
    """Return attempts that fail one after the other, then one that doesn't; and those that are left."""
    left = list(errors)

    async def attempt() -> str:
        if left:
            raise left.pop(0)
        return "open"

    return attempt, left


def ignore(_: str) -> None:
    pass


def test_what_passes_is_tried_again_until_it_is_open() -> None:
    attempt, left = failing(*[PassesError("no leader")] * 20)

    async def scene() -> str:
        return await patiently(attempt, PassesError, tell=ignore, each_s=60.0, tries=None, wait_s=0.0)

    assert asyncio.run(scene()) == "open"
    assert not left


def test_what_does_not_pass_is_raised_at_once() -> None:
    attempt, left = failing(StaysError("not enabled"), PassesError("no leader"))
    with pytest.raises(StaysError):
        asyncio.run(patiently(attempt, PassesError, tell=ignore, each_s=60.0, tries=None, wait_s=0.0))
    assert len(left) == 1


def test_where_nothing_else_bounds_it_so_many_attempts_do() -> None:
    attempt, left = failing(*[PassesError("no leader")] * 3)
    with pytest.raises(PassesError):
        asyncio.run(patiently(attempt, PassesError, tell=ignore, each_s=60.0, tries=2, wait_s=0.0))
    assert len(left) == 1


def test_as_long_as_it_lasts_it_is_told_and_why() -> None:
    told: list[str] = []

    async def scene() -> None:
        news = asyncio.Event()
        go_on = asyncio.Event()
        attempts = 0

        def tell(why: str) -> None:
            told.append(why)
            news.set()

        async def attempt() -> None:
            nonlocal attempts
            attempts += 1
            news.clear()
            await news.wait()
            if attempts == 1:
                raise PassesError("no leader")
            await go_on.wait()

        opening = asyncio.create_task(
            patiently(attempt, PassesError, tell=tell, each_s=0.001, tries=None, wait_s=0.0)
        )
        while not told or "no leader" not in told[-1]:
            news.clear()
            await news.wait()
        go_on.set()
        await opening
        told.clear()
        for _ in range(20):
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scene(), 10.0))
    assert not told  # by now
