from __future__ import annotations

import pytest

from gwcluster.supervise.verdict import Severity, Verdict, cost, how


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exited by itself (status 0)"),
        (1, "failed (status 1)"),
        (3, "ended (status 3)"),
        (64, "was refused by Discord for the whole cluster (status 64)"),
        (65, "was refused by Discord for this shard (status 65)"),
        (75, "found its log held by another process (status 75)"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-200, "was killed by signal 200"),
    ],
)
def test_every_exit_status_has_words(status: int, words: str) -> None:
    assert how(status) == words


def test_the_words_tell_a_free_resume_from_an_identify() -> None:
    assert "RESUME is free" in cost(-9, was_live=True)
    assert "identify may have been spent" in cost(-9, was_live=False)
    assert "no identify was spent" in cost(75, was_live=False)


def test_a_verdict_reads_as_its_text() -> None:
    assert str(Verdict("shard 1: x", Severity.ERROR)) == "shard 1: x"
