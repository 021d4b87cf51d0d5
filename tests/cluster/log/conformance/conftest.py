from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.nats_servers import NatsServers, nats_servers


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    """One server, for all tests that don't harm it."""
    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        yield servers
