"""A real nursery that runs before anybody asks for it."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from gwcluster.supervise.first_nursery import FirstNursery
from support.cluster import children, is_alive, kill, nurseries
from support.heard import Heard, open_files, until

ENVIRON = {"PATH": os.environ["PATH"]}


def only_child() -> int:
    (pid,) = nurseries()
    return pid


def test_who_takes_it_gets_the_one_that_runs_already_and_hears_it() -> None:
    heard = Heard()

    async def main() -> None:
        async with FirstNursery(ENVIRON) as first:
            nursery = only_child()
            link = first.take(heard)
            await link.start()
            assert only_child() == nursery
            link.fork(3)
            await until(lambda: heard.workers, "a worker")
            assert children(nursery) == [heard.workers[3]]
        assert is_alive(nursery), "it is its new owner's"
        await link.stop()
        assert not is_alive(nursery)

    asyncio.run(main())


def test_nothing_is_forked_until_somebody_asks_and_nothing_is_left_if_nobody_does() -> None:
    async def main() -> None:
        before = open_files()
        async with FirstNursery(ENVIRON):
            nursery = only_child()
            await until(lambda: children(nursery) == [], "the end of its rehearsal; workers stay")
        assert not is_alive(nursery)
        await asyncio.sleep(0)  # closed pipes are closed in the loop's next round
        assert open_files() == before

    asyncio.run(main())


def test_the_next_one_is_still_to_be_started() -> None:
    async def main() -> None:
        async with FirstNursery(ENVIRON) as first:
            taken = [first.take(Heard()), first.take(Heard())]
            nursery = only_child()
            await taken[1].start()
            await until(lambda: len(nurseries()) == 2, "the second one")
            assert is_alive(nursery)
            for link in taken:
                await link.stop()

    asyncio.run(main())


def test_one_that_ended_meanwhile_is_told_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()

    async def main() -> None:
        async with FirstNursery(ENVIRON) as first:
            kill(only_child())
            await until(lambda: "before it was needed" in caplog.text, "its end")
            link = first.take(heard)
            assert nurseries() == []
            await link.start()
            link.fork(0)
            await until(lambda: heard.workers, "a worker")
            await link.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "the nursery ended with status -9 before it was needed" in caplog.text
    assert heard.ends == []


def test_one_that_can_not_be_started_is_the_business_of_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with FirstNursery(ENVIRON) as first:
            with pytest.raises(FileNotFoundError):
                await first.take(Heard()).start()

    monkeypatch.setattr("sys.executable", str(Path("/nowhere/python")))
    asyncio.run(main())
