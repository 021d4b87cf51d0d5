from typing import Any

import pytest

from gwsimulator import Settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shards": 0}, "shards must be at least 1, not 0"),
        ({"rate": -1.0}, "rate must not be negative, not -1.0"),
        ({"port": 65_536}, "port must be 0 to 65535, not 65536"),
        ({"mix": "loud"}, "mix must be one of chat, presence, guilds, not 'loud'"),
        ({"guild_rate": -1.0}, "guild_rate must not be negative, not -1.0"),
        ({"daily_window": "weekly"}, "daily_window must be one of fixed, sliding, not 'weekly'"),
        (
            {"identify_window_from": "x"},
            "identify_window_from must be one of attempt, accept, ready, not 'x'",
        ),
        ({"presence_limit": ""}, "presence_limit must be one of ignore, close, not ''"),
        ({"token": ""}, "token must not be empty; None accepts any"),
    ],
)
def test_what_can_not_be_simulated_is_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message + "$"):
        Settings(**wrong)


def test_the_defaults_are_discords() -> None:
    settings = Settings()
    assert (settings.identify_window_s, settings.daily_limit) == (5.0, 1000)
    assert (settings.send_limit, settings.send_window_s) == (120, 60.0)
    assert settings.heartbeat_interval_ms == 41_250
    assert settings.guilds_per_shard_max == 2500


def test_where_discord_tells_a_number_or_one_was_measured_it_is_the_default() -> None:
    usual = Settings()
    assert (usual.identify_window_s, usual.daily_limit, usual.guilds_per_shard_max) == (5.0, 1000, 2500)
    assert (usual.heartbeat_interval_ms, usual.session_ttl_s, usual.max_payload_bytes) == (
        41_250,
        180.0,
        4096,
    )
    assert (usual.send_limit, usual.send_window_s, usual.rest_limit) == (120, 60.0, 50)
    assert usual.invalid_answers_max == 10_000
