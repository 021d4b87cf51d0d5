from __future__ import annotations

import pytest

from gwcluster.memory import pause_s


@pytest.mark.parametrize(("workers", "seconds"), [(1, 10.0), (40, 10.0), (64, 16.0), (512, 128.0)])
def test_many_workers_are_weighed_less_often(workers: int, seconds: float) -> None:
    assert pause_s(workers) == seconds
