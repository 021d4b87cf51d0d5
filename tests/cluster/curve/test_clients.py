from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from gwcluster.curve.clients import Client, Clients
from gwcluster.curve.key_files import KeyFileError
from gwcluster.wire.permissions import Permission
from support.keys import Keys, pair, write

READ, SEND = Permission.READ, Permission.SEND


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def test_each_file_is_a_client_of_that_name(keys: Keys) -> None:
    bot, shop = keys.client("bot", "read,send"), keys.client("shop.2")
    (keys.clients_dir / "README").write_text("no key")
    write(keys.clients_dir / "bot.key_secret", bot)  # whoever made it here may leave it here
    clients = Clients(keys.clients_dir)
    assert clients.who(bot.public_key) == Client("bot", frozenset({READ, SEND}))
    assert clients.who(shop.public_key) == Client("shop.2", frozenset({READ}))
    assert clients.who(pair().public_key) is None
    assert len(clients) == 2


def test_what_is_wrong_with_a_folder_or_a_file_is_said_at_the_start(keys: Keys) -> None:
    def said() -> str:
        with pytest.raises(KeyFileError) as caught:
            Clients(keys.clients_dir)
        return str(caught.value)

    one = keys.client("one")
    keys.admit("two", one)
    assert said() == (
        f"{keys.clients_dir}/two.key: it holds the same key as one.key; each client needs its own, remove one"
    )
    (keys.clients_dir / "two.key").write_text("")
    assert said().startswith(f"{keys.clients_dir}/two.key: there is no public-key in it")
    (keys.clients_dir / "two.key").rename(keys.clients_dir / "a b.key")
    assert "'a b' can't be a client's name" in said()
    (keys.clients_dir / "a b.key").unlink()
    (keys.clients_dir / "gone.key").symlink_to("nowhere")
    assert said() == f"{keys.clients_dir}/gone.key: it can't be read: no such file or directory"
    (keys.clients_dir / "gone.key").unlink()
    keys.clients_dir.chmod(0o777)
    assert "others may put keys into this folder" in said()
    keys.clients_dir.chmod(0o755)
    Clients(keys.clients_dir)
    (keys.clients_dir / "one.key").unlink()
    keys.clients_dir.rmdir()
    assert said() == f"{keys.clients_dir}: this folder can't be read: no such file or directory"


def test_a_folder_of_too_many_keys_is_refused(keys: Keys) -> None:
    for number in range(1025):
        (keys.clients_dir / f"{number}.key").touch()
    with pytest.raises(KeyFileError, match="there are 1025 keys in it; at most 1024"):
        Clients(keys.clients_dir)


def test_new_keys_are_taken_and_said_and_nobody_loses_anything(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clients = Clients(keys.clients_dir)
    assert clients.look() is False
    bot = keys.client("bot", "send")
    assert clients.look() is False
    assert clients.who(bot.public_key) == Client("bot", frozenset({SEND}))
    assert caplog.messages == ["client bot may now send"]


def test_whoever_may_no_longer_read_is_told_apart(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bot, shop, sender = keys.client("bot", "read,send"), keys.client("shop"), keys.client("sender", "send")
    clients = Clients(keys.clients_dir)
    write(keys.clients_dir / "bot.key", pair("read"))  # another key
    assert clients.look() is True
    assert clients.who(bot.public_key) is None
    assert clients.look() is False
    keys.admit("shop", type(shop)(shop.public_key, None, frozenset({SEND})))
    assert clients.look() is True
    (keys.clients_dir / "sender.key").unlink()
    assert clients.look() is False, "it had nothing to read"
    assert clients.who(sender.public_key) is None
    assert caplog.messages[-2:] == [
        "client shop may now send",
        "client sender may do nothing any more: its key is gone",
    ]


def test_a_file_that_becomes_unusable_is_good_for_nothing_and_said_once(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    bot = keys.client("bot")
    clients = Clients(keys.clients_dir)
    (keys.clients_dir / "bot.key").write_text("spoilt")
    assert [clients.look() for _ in range(3)] == [True, False, False]
    assert clients.who(bot.public_key) is None
    keys.admit("bot", bot)
    assert clients.look() is False
    assert clients.who(bot.public_key) == Client("bot", frozenset({READ}))
    (keys.clients_dir / "bot.key").chmod(0o666)
    assert clients.look() is True, "a mode counts at once, too"
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "bot.key: there is no public-key in it" in errors[0]
    assert "everybody may change it" in errors[1]


def test_a_folder_that_is_away_for_a_while_takes_nobodys_key(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    bot = keys.client("bot")
    clients = Clients(keys.clients_dir)
    away = keys.clients_dir.rename(keys.folder / "away")
    assert [clients.look() for _ in range(3)] == [False, False, False]
    assert clients.who(bot.public_key) is not None
    assert len(caplog.messages) == 1
    assert "this folder can't be read" in caplog.messages[0]
    away.rename(keys.clients_dir)
    (keys.clients_dir / "bot.key").unlink()
    assert clients.look() is True


def test_a_second_owner_of_a_key_changes_nothing_for_the_first(keys: Keys) -> None:
    bot = keys.client("bot")
    clients = Clients(keys.clients_dir)
    keys.admit("copy", bot)
    assert clients.look() is False
    assert clients.who(bot.public_key) == Client("bot", frozenset({READ}))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_strangers_folder_is_refused(keys: Keys) -> None:
    os.chown(keys.clients_dir, 4321, 4321)
    with pytest.raises(KeyFileError, match="others may put keys into this folder"):
        Clients(keys.clients_dir)
