from __future__ import annotations

import logging
from pathlib import Path

import msgpack
import pytest
import zmq

import gwcluster
from gwcluster.client.addresses import find
from gwcluster.client.entry import FAILED, MISMATCHED, REFUSED, SUCCEEDED, Entry
from gwcluster.client.following import Following
from gwcluster.client.host import Host
from gwcluster.client.roster import Roster
from gwcluster.client.topics import Wanted
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.requests import refused
from support.keys import Keys, write

EVENTS, REQUESTS = "tcp://127.0.0.1:5570", "tcp://127.0.0.1:5571"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.delenv("GWCLUSTER_KEY", raising=False)
    return Keys(tmp_path / "keys")


def file_of(keys: Keys) -> Path:
    file = keys.folder / "cluster.yaml"
    file.write_text(f"token: ${{NONE}}\nintents: 0\nsecurity: {keys.setting}\n")
    return file


def secret_of(keys: Keys, name: str = "bot") -> Path:
    path = keys.folder / f"{name}.key_secret"
    write(path, keys.client(name))
    return path


def test_keys_come_out_of_certificates_and_a_repr_shows_no_secret(keys: Keys) -> None:
    secret = secret_of(keys)
    found = gwcluster.Curve.load(str(secret), keys.folder / "cluster.key")
    assert found.server_key == keys.server.public_key.decode()
    assert zmq.curve_public(found.secret_key.encode()) == found.public_key.encode()
    assert found.secret_key not in repr(found)


@pytest.mark.parametrize("name", ["server_key", "public_key", "secret_key"])
def test_what_is_no_key_is_refused_without_repeating_it(name: str) -> None:
    given = dict.fromkeys(("server_key", "public_key", "secret_key"), "0" * 40)
    with pytest.raises(ValueError, match=f"{name} is no key; it should be 40 characters") as caught:
        gwcluster.Curve(**{**given, name: "almost a key"})
    assert "almost" not in str(caught.value)


def test_a_file_with_curve_wants_a_key_and_says_how_to_give_one(keys: Keys) -> None:
    with pytest.raises(gwcluster.KeyRefused, match=r"gwcluster keygen --client, and name its secret file in"):
        gwcluster.connect(file_of(keys))


def test_the_key_is_given_or_in_the_environment_or_an_option(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, secret, other = file_of(keys), secret_of(keys), secret_of(keys, "other")
    by_environment = gwcluster.Curve.load(secret, keys.folder / "cluster.key")
    by_option = gwcluster.Curve.load(other, keys.folder / "cluster.key")
    monkeypatch.setenv("GWCLUSTER_KEY", str(secret))
    assert find(file, None, None).curve == by_environment
    assert find(file, None, None, key=other).curve == by_option
    assert find(file, None, None, by_option).curve == by_option
    assert find(None, EVENTS, REQUESTS, by_option).curve == by_option
    assert find(None, EVENTS, REQUESTS).curve is None


def test_without_the_public_file_of_the_cluster_its_secret_one_says_it(keys: Keys) -> None:
    file, secret = file_of(keys), secret_of(keys)
    (keys.folder / "cluster.key").unlink()
    found = find(file, None, None, key=secret).curve
    assert found is not None
    assert found.server_key == keys.server.public_key.decode()
    keys.secret_file.unlink()
    with pytest.raises(
        gwcluster.KeyFileError, match=r"cluster\.key: there is no such file; copy the cluster's"
    ):
        find(file, None, None, key=secret)


def test_a_key_file_that_can_not_be_used_is_named(keys: Keys) -> None:
    file, secret = file_of(keys), secret_of(keys)
    secret.chmod(0o644)
    with pytest.raises(gwcluster.KeyFileError, match=r"bot\.key_secret: others may read it"):
        find(file, None, None, key=secret)


def test_a_key_is_of_no_matter_to_a_cluster_that_asks_for_none(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("token: x\nintents: 0\n")
    assert find(file, None, None, key=tmp_path / "nowhere").curve is None


@pytest.mark.parametrize("shards", [None, [3]])
def test_a_subscription_whose_questions_are_forbidden_ends(shards: list[int] | None) -> None:
    host = Host(EVENTS, REQUESTS)
    following = Following(
        Wanted([], shards),
        {},
        roster=Roster([host], several=False, now=10_000.0),
        finished=lambda _: None,
        wall=lambda: 0.0,
        now=10_000.0,
    )
    *_, asked = (msgpack.unpackb(body) for _, body in following.questions(10_000.0))
    assert asked["op"] == ("status" if shards is None else "replay")
    following.answered(refused(asked["id"], Refusal.FORBIDDEN, "client x may send"), host, 10_000.0)
    with pytest.raises(gwcluster.KeyRefused, match="client x may send"):
        following.next()


@pytest.mark.parametrize(
    ("event", "has_key", "said"),
    [
        (REFUSED, True, "doesn't know this key, or it may not read"),
        (MISMATCHED, True, "asks for no key; is it a cluster without security.curve?"),
        (MISMATCHED, False, "lets nobody in without a key; give one as curve="),
    ],
)
def test_what_zeromq_gives_up_for_is_an_error_in_words(event: int, has_key: bool, said: str) -> None:
    error = Entry(EVENTS, has_key=has_key).heard(event)
    assert error is not None
    assert str(error).startswith(EVENTS)
    assert said in str(error)


def test_a_cluster_that_hangs_up_again_and_again_makes_the_server_key_doubted_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    entry = Entry(EVENTS, has_key=True)
    for event in (FAILED, FAILED, SUCCEEDED, FAILED, FAILED):
        assert entry.heard(event) is None
    assert (entry.hint, caplog.messages) == ("", [])
    for _ in range(5):
        assert entry.heard(FAILED) is None
    assert "is the server's key the right one?" in entry.hint
    assert len(caplog.messages) == 1
    entry.heard(SUCCEEDED)
    assert entry.hint == ""


def test_without_a_key_no_key_is_doubted() -> None:
    entry = Entry(EVENTS, has_key=False)
    for _ in range(10):
        entry.heard(FAILED)
    assert entry.hint == ""
