from __future__ import annotations

import asyncio
import json
from pathlib import Path

from nats.js.api import KeyValueConfig

from gwcluster.hosts.entries import HostEntry, encode
from gwcluster.hosts.survey import Survey, survey
from gwcluster.log.jetstream import names
from gwcluster.log.session_state import SavedSession, encode_session, token_digest
from gwcluster.nats_login import NatsLogin
from support.nats_rig import connected
from support.nats_servers import NatsServers


def saved(token: str) -> SavedSession:
    return SavedSession(1, "abc", "wss://gateway.discord.gg", 0, 4, 1, token_digest(token), 10)


def test_who_runs_what_is_agreed_and_which_sessions_are_kept_is_found(
    nats: NatsServers, cluster: str
) -> None:
    entry = HostEntry("a", "1f", "1.2.3", 0.0, 60.0, draining=True)

    async def scenario() -> Survey:
        async with connected(nats.urls) as client:
            context = client.jetstream()
            hosts = await context.create_key_value(KeyValueConfig(names.bucket(cluster, "hosts")))
            await hosts.put("a", encode(entry))
            state = await context.create_key_value(KeyValueConfig(names.bucket(cluster, "state")))
            await state.put("layout", json.dumps({"v": 1, "shards": 4, "host": "a"}).encode())
            await state.put("session.2", encode_session(saved("mine")))
            await state.put("session.3", encode_session(saved("another bot's")))
        return await survey(NatsLogin(tuple(nats.urls)), cluster=cluster, token="mine", shards=None)

    found = asyncio.run(scenario())
    assert (found.hosts, found.shards, found.silence) == ((entry,), 4, None)
    assert found.sessions == {2: saved("mine")}


def test_before_the_first_start_there_is_nothing_and_nothing_is_made(nats: NatsServers, cluster: str) -> None:
    async def scenario() -> list[str]:
        login = NatsLogin(tuple(nats.urls))
        assert await survey(login, cluster=cluster, token="mine", shards=4) == Survey()
        async with connected(nats.urls) as client:
            streams = await client.jetstream().streams_info()
            return [stream.config.name or "" for stream in streams]

    assert not any(cluster in name for name in asyncio.run(scenario()))


def test_that_nobody_answers_is_told(tmp_path: Path) -> None:
    login = NatsLogin(("nats://127.0.0.1:1",))
    found = asyncio.run(survey(login, cluster="x", token="mine", shards=4))
    assert (found.hosts, found.sessions) == ((), {})
    assert found.silence is not None
    assert "no NATS server takes us at nats://127.0.0.1:1" in found.silence
