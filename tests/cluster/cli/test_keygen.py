from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import gwcluster
from gwcluster.cli import main
from gwcluster.curve.clients import Client, Clients
from gwcluster.curve.key_files import read_secret
from gwcluster.wire.permissions import Permission


def keygen(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["keygen", *map(str, arguments)])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_made_is_what_cluster_and_client_take(tmp_path: Path) -> None:
    server, clients = tmp_path / "cluster.key_secret", tmp_path / "clients"
    clients.mkdir()
    assert keygen("--server", server).exit_code == 0
    assert keygen("--client", "bot", "--may", "read,send", "--dir", clients).exit_code == 0
    assert keygen("--client", "shop", "--dir", clients).exit_code == 0
    secrets = [server, clients / "bot.key_secret"]
    assert [mode(path) for path in secrets] == [0o600, 0o600]
    keys = gwcluster.Curve.load(clients / "bot.key_secret", tmp_path / "cluster.key")
    assert keys.server_key.encode() == read_secret(server).public_key
    known = Clients(clients)
    assert known.who(keys.public_key.encode()) == Client("bot", frozenset({Permission.READ, Permission.SEND}))
    assert len(known) == 2


def test_what_is_printed_says_what_to_do_next_and_no_secret(tmp_path: Path) -> None:
    server = keygen("--server", tmp_path / "cluster.key_secret").stdout
    assert f"{{secret_key_file: {tmp_path}/cluster.key_secret, clients_dir: FOLDER}}" in server
    client = keygen("--client", "bot", "--may", "send,operate", "--dir", tmp_path).stdout
    assert "which may send and operate. It belongs into the cluster's security.curve.clients_dir" in client
    assert "$GWCLUSTER_KEY" in client
    for path in (tmp_path / "cluster.key_secret", tmp_path / "bot.key_secret"):
        secret = read_secret(path).secret_key
        assert secret is not None
        assert secret.decode() not in server + client


@pytest.mark.parametrize("there", ["bot.key", "bot.key_secret"])
def test_nothing_is_overwritten_and_no_half_of_a_pair_left(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    made = keygen("--client", "bot", "--dir", tmp_path)
    assert made.exit_code == 1
    assert f"{tmp_path / there}: there is such a file already, and keys are not overwritten" in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_public_key_that_can_not_be_written_leaves_no_secret_one(tmp_path: Path) -> None:
    (tmp_path / "bot.key").symlink_to("nowhere")
    assert keygen("--client", "bot", "--dir", tmp_path).exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bot.key"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either --server FILE or --client NAME"),
        (["--server", "a", "--client", "b"], "give either --server FILE or --client NAME"),
        (["--client", "bot"], "--client needs --dir"),
        (["--client", "../bot", "--dir", "."], "'../bot' is no name"),
        (["--client", "bot", "--dir", ".", "--may", "write"], "may names 'write'; it should be some of"),
    ],
)
def test_wrong_usage_is_2_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = keygen(*arguments)
    assert made.exit_code == 2
    assert said in made.stderr
    assert list(tmp_path.iterdir()) == []
