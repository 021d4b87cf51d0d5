"""A sender that is at its limit is said, so that it is not taken for the program's."""

from __future__ import annotations

import pytest

from bench.serving import Sender


@pytest.mark.parametrize(
    ("sender", "problems"),
    [
        (Sender(cpu=0.3, seconds=2.0, late_s=0.001, blocked=0.0), []),
        (Sender(cpu=0.3, seconds=2.0, late_s=0.001, blocked=0.9), []),  # that is the program
        (Sender(cpu=0.85, seconds=2.0, late_s=0.001, blocked=0.0), ["the sender used 85% of a processor"]),
        (Sender(cpu=0.3, seconds=2.0, late_s=0.08, blocked=0.0), ["the sender was 80 ms late"]),
    ],
)
def test_a_sender_says_why_it_may_have_been_the_limit(sender: Sender, problems: list[str]) -> None:
    assert sender.problems() == problems
