from __future__ import annotations

from gwcluster.hosts.health import Health


def test_the_first_failure_and_the_first_answer_after_it_are_news() -> None:
    health = Health()
    assert not health.answered(10_000.0)
    assert health.failed(10_001.0, "no answer", leaderless=False)
    assert not health.failed(10_002.0, "no leader", leaderless=True)
    assert (health.unreachable_since, health.why, health.leader) == (10_001.0, "no leader", False)
    assert health.answered(10_003.0)
    assert not health.answered(10_004.0)
    assert (health.unreachable_since, health.why, health.leader, health.answered_at) == (
        None,
        None,
        True,
        10_004.0,
    )
