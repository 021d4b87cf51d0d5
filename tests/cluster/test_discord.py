from __future__ import annotations

import pytest

from gwcluster.discord import (
    GatewayUrlError,
    close_meaning,
    gateway_url,
    is_loopback,
    is_loopback_url,
    shard_of,
    snowflake,
)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["*", "0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.1.example.com", "", None]
)
def test_everything_else_is_the_world(host: str | None) -> None:
    assert not is_loopback(host)


def test_an_address_is_judged_by_its_host() -> None:
    assert is_loopback_url("http://127.3.2.1:80/api/v10")
    assert not is_loopback_url("https://discord.com/api/v10")
    assert not is_loopback_url("http://[")


@pytest.mark.parametrize(
    "base",
    [
        "wss://gateway.discord.gg",
        "wss://gateway.discord.gg/",
        "wss://gateway.discord.gg/?v=6&encoding=etf&compress=zlib-stream",
    ],
)
def test_version_encoding_and_compression_are_always_in_the_query(base: str) -> None:
    # "it's a good idea to explicitly pass the API version and encoding as query parameters"
    # https://docs.discord.com/developers/events/gateway#connecting
    assert gateway_url(base, "zstd-stream", plain_ok=False) == (
        "wss://gateway.discord.gg/?v=10&encoding=json&compress=zstd-stream"
    )


def test_no_compression_is_no_key_and_other_keys_and_paths_stay() -> None:
    assert gateway_url("wss://a.discord.gg/x?y=1&compress=zlib-stream", "none", plain_ok=False) == (
        "wss://a.discord.gg/x?y=1&v=10&encoding=json"
    )


@pytest.mark.parametrize("base", ["ws://127.0.0.1:8080", "wss://localhost:1/x", "ws://[::1]:5"])
def test_a_gateway_on_this_machine_is_dialed_only_where_the_api_is_there_too(base: str) -> None:
    assert gateway_url(base, "none", plain_ok=True).startswith(base)
    with pytest.raises(GatewayUrlError):
        gateway_url(base, "none", plain_ok=False)


@pytest.mark.parametrize(
    "base",
    [
        "ws://gateway.discord.gg",
        "https://gateway.discord.gg",
        "wss://gateway.discord.gg.example.org",
        "wss://notdiscord.gg",
        "wss://example.org\\.discord.gg",
        "wss://user@gateway.discord.gg",
        "wss://gateway.discord.gg:0",
        "wss://gateway.discord.gg:99999",
        "wss://gateway.discord.gg/\r\nHost: x",
        "wss://[::1",
        "",
    ],
)
def test_nothing_but_discord_is_dialed(base: str) -> None:
    with pytest.raises(GatewayUrlError):
        gateway_url(base, "none", plain_ok=False)


def test_a_guild_is_on_one_shard_whatever_the_size_of_its_id() -> None:
    # "shard_id = (guild_id >> 22) % num_shards": https://docs.discord.com/developers/events/gateway#sharding
    # and ids use 64 bits, beyond what a float holds
    assert shard_of((1_000_005 << 22) + 4_194_303, 16) == 5
    assert shard_of(2**64 - 1, 1000) == 103  # 2**42 - 1 = 4,398,046,511,103
    assert shard_of(1_000_005 << 22, 1) == 0


@pytest.mark.parametrize("value", [1, "1", "000001"])
def test_an_id_is_an_integer_or_a_string_of_digits(value: object) -> None:
    assert snowflake(value) == 1
    assert snowflake("18446744073709551615") == snowflake(2**64 - 1) == 2**64 - 1


@pytest.mark.parametrize(
    "value", [None, True, 0, "0", -1, 2**64, 1.0, "", "1 ", "-1", "٣", "1" * 21, b"1", []]
)
def test_anything_else_is_no_id(value: object) -> None:
    assert snowflake(value) is None


def test_a_close_code_has_words() -> None:
    # "you will be notified annually to reapply": a bot may meet 4014 without any change of its own.
    # https://docs.discord.com/developers/events/gateway#privileged-intent-access-review
    assert close_meaning(4014).startswith("4014 disallowed intents: enable them")
    assert "renew their approval" in close_meaning(4014)
    assert close_meaning(4999) == "4999 undocumented"
    assert close_meaning(None) == "connection lost without a close frame"
