"""Which tests may run beside which, and what each leaves to the next as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file with real processes in one row: they share addresses, and mind the clock."""
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(autouse=True)
def _logging_stays_on() -> Iterator[None]:
    """Blame whoever silences the log for all tests that come after it."""
    yield
    assert logging.root.manager.disable == logging.NOTSET
