"""One NATS server for the tests of a file's process, and names of clusters that no other test has."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from support.nats_servers import NatsServers, nats_servers

_numbers = itertools.count()


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        yield servers


@pytest.fixture
def cluster() -> str:
    return f"test-{os.getpid()}-{next(_numbers)}"
