from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

import pytest

from gwworker.ran import noted, noted_in_fork
from support.cluster import children


def runs(value: int) -> Callable[[], int]:
    def inner() -> int:
        return sum(each + value for each in range(3))

    return inner


def rests() -> str:
    return "never called"


def test_what_ran_is_noted_and_nothing_else() -> None:
    with noted() as ran:
        runs(1)()
    assert runs.__code__ in ran
    assert rests.__code__ not in ran
    assert sys.getprofile() is None


def threads_that_run() -> None:
    thread = threading.Thread(target=runs(1))
    thread.start()
    thread.join()


def test_what_ran_in_a_fork_and_its_threads_is_noted_as_the_code_it_is_here() -> None:
    ran = noted_in_fork(threads_that_run, within_s=30.0)
    assert {threads_that_run.__code__, runs.__code__, runs(1).__code__} <= ran
    assert rests.__code__ not in ran
    assert threading._after_fork.__code__ in ran  # type: ignore[attr-defined]
    assert sys.getprofile() is None


@pytest.mark.parametrize("life", [lambda: 1 / 0, lambda: time.sleep(60)], ids=["fails", "lasts"])
def test_a_fork_that_fails_or_lasts_is_told_and_gone(life: Callable[[], object]) -> None:
    before = children(os.getpid())
    with pytest.raises(RuntimeError, match="a life in a fork ended with"):
        noted_in_fork(life, within_s=0.5)
    assert children(os.getpid()) == before
