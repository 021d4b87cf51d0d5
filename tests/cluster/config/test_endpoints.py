from __future__ import annotations

import pytest

from gwcluster.config.endpoints import Address, api_url, http_address, zmq_address
from gwcluster.config.problems import UnfitError


def test_zmq_binds_are_tcp_or_ipc() -> None:
    assert zmq_address("tcp://127.0.0.1:5570") == Address("127.0.0.1", 5570)
    assert zmq_address("tcp://*:1") == Address("*", 1)
    assert zmq_address("ipc:///run/bot/events") == Address("/run/bot/events", 0)
    assert zmq_address("ipc:///" + "x" * 106).local


@pytest.mark.parametrize(
    "bind",
    [
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:*",
        "tcp://127.0.0.1:0",
        "tcp://:5570",
        "tcp://[::1]:5570",
        "tcp://eth0:5570",
        "tcp://300.0.0.1:5570",
        "inproc://x",
        "ipc://",
        "ipc://@abstract",
        "ipc:///" + "x" * 107,
        "ipc:///a\0b",
        "ipc:///\ud800",
        "",
    ],
)
def test_what_zmq_can_not_bind_is_refused(bind: str) -> None:
    with pytest.raises(UnfitError):
        zmq_address(bind)


def test_http_binds_are_host_and_port() -> None:
    assert http_address("127.0.0.1:5572") == Address("127.0.0.1", 5572)
    assert http_address("[::1]:80") == Address("::1", 80)
    assert http_address("bot.internal:80") == Address("bot.internal", 80)


@pytest.mark.parametrize(
    "bind", ["5572", ":5572", "::1:5572", "[x]:1", "127.0.0.1:0", "a b:1", "https://a:1", "a:99999"]
)
def test_what_http_can_not_bind_is_refused(bind: str) -> None:
    with pytest.raises(UnfitError):
        http_address(bind)


def test_addresses_clash_when_they_can_not_both_be_bound() -> None:
    local = Address("127.0.0.1", 80)
    assert local.clashes(Address("localhost", 80))
    assert local.clashes(Address("*", 80))
    assert Address("0.0.0.0", 80).clashes(Address("10.0.0.1", 80))
    assert not local.clashes(Address("127.0.0.1", 81))
    assert not local.clashes(Address("127.0.0.2", 80))
    assert Address("/run/a", 0).clashes(Address("/run/a", 0))
    assert not Address("/run/a", 0).clashes(Address("/run/b", 0))


@pytest.mark.parametrize(
    "url",
    [
        "https://discord.com/api/v10",
        "https://discord.com/api/v10/",
        "https://proxy.example:8443/api/v10",
        "http://127.0.0.1:8080/api/v10",
        "http://[::1]:8080/api/v10",
    ],
)
def test_the_token_goes_out_encrypted_or_not_at_all(url: str) -> None:
    assert api_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://discord.com/api/v10",
        "http://127.0.0.1.evil.example/api/v10",
        "http://127.0.0.1@evil.example/api/v10",
        "https://user:pass@discord.com/api/v10",
        "https://discord.com/api",
        "https://discord.com/api/v9",
        "https://discord.com/api/v100",
        "https://discord.com/api/v10?x",
        "https://discord.com/api/v10#x",
        "https://discordapp.com/api/v10",
        "https://DiscordApp.com/api/v10",
        "https://discord.com:99999/api/v10",
        "https:///api/v10",
        "https://[/api/v10",
        "https://dis cord.com/api/v10",
        "ftp://discord.com/api/v10",
        "discord.com/api/v10",
        "",
    ],
)
def test_other_api_addresses_are_refused(url: str) -> None:
    with pytest.raises(UnfitError):
        api_url(url)
