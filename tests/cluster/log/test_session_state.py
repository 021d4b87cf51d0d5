from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gwcluster.errors import LogError
from gwcluster.log.session_state import (
    SavedSession,
    alive_at,
    forget,
    load,
    save,
    token_digest,
    touch,
)

SECRET = "0123456789abcdef-session-id"
SAVED = SavedSession(
    session=2,
    session_id=SECRET,
    resume_url="wss://gateway-us-east1-b.discord.gg",
    shard=3,
    shards=16,
    intents=513,
    token_digest="5f70bf18a086007016e948b04aed3b82",
    api_version=10,
)
FIXTURE = [HealthCheck.function_scoped_fixture]


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path, SAVED)
    assert load(tmp_path) == SAVED
    save(tmp_path, replace(SAVED, session=3))
    assert load(tmp_path) == replace(SAVED, session=3)
    (only,) = tmp_path.iterdir()
    assert only.name == "session.json"
    assert only.stat().st_mode & 0o777 == 0o600


def test_nothing_saved_is_none_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path) is None
    assert load(tmp_path / "none") is None
    assert caplog.records == []


def test_a_forgotten_session_is_gone(tmp_path: Path) -> None:
    save(tmp_path, SAVED)
    forget(tmp_path)
    forget(tmp_path)
    forget(tmp_path / "none")
    assert load(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_torn_file_is_none_at_every_length(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, SAVED)
    whole = (tmp_path / "session.json").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "session.json").write_bytes(whole[:size])
        assert load(tmp_path) is None, size
    assert "session.json" in caplog.text
    assert SECRET not in caplog.text


@settings(max_examples=200, deadline=None, suppress_health_check=FIXTURE)
@given(st.integers(0, 1_000_000))
def test_a_flipped_bit_never_gives_another_session(tmp_path: Path, bit: int) -> None:
    save(tmp_path, SAVED)
    data = bytearray((tmp_path / "session.json").read_bytes())
    place = bit % (8 * len(data))
    data[place // 8] ^= 1 << place % 8
    (tmp_path / "session.json").write_bytes(bytes(data))
    assert load(tmp_path) in (None, SAVED)


@settings(max_examples=200, deadline=None, suppress_health_check=FIXTURE)
@given(st.binary(max_size=300) | st.sampled_from([b"null", b"[]", b"{}", b"[" * 60_000, b" " * 70_000]))
def test_any_other_file_is_none_and_never_an_exception(tmp_path: Path, noise: bytes) -> None:
    (tmp_path / "session.json").write_bytes(noise)
    assert load(tmp_path) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("session", "2"), ("session", True), ("shard", 3.0), ("session_id", None), ("resume_url", 1)],
)
def test_a_wrong_type_is_none_even_under_a_right_checksum(
    tmp_path: Path, key: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, replace(SAVED, **{key: value}))  # type: ignore[arg-type]
    assert load(tmp_path) is None
    assert key in caplog.text
    assert SECRET not in caplog.text


def test_a_newer_format_is_none(tmp_path: Path) -> None:
    save(tmp_path, SAVED)
    path = tmp_path / "session.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    assert load(tmp_path) is None


def test_a_folder_in_its_place_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "session.json").mkdir()
    assert load(tmp_path) is None
    assert caplog.records[0].levelno == logging.WARNING


def test_a_disk_that_refuses_is_an_error_and_keeps_what_was_there(tmp_path: Path) -> None:
    save(tmp_path, SAVED)
    (tmp_path / "session.json.tmp").mkdir()
    with pytest.raises(LogError, match="can't save the session"):
        save(tmp_path, replace(SAVED, session=3))
    assert load(tmp_path) == SAVED


def test_the_session_id_is_in_no_repr() -> None:
    assert SECRET not in repr(SAVED)


TOKEN = "MTk4.secret.token"
MINE = replace(SAVED, token_digest=token_digest(TOKEN))


def fits(
    saved: SavedSession, *, shard: int = 3, shards: int = 16, intents: int = 513, token: str = TOKEN
) -> bool:
    return saved.fits(shard=shard, shards=shards, intents=intents, token=token)


def test_a_session_is_for_the_same_bot_shard_count_intents_and_version_alone() -> None:
    assert fits(MINE)
    assert not fits(MINE, shard=4)
    assert not fits(MINE, shards=32)
    assert not fits(MINE, intents=512)
    assert not fits(MINE, token=TOKEN + "x")
    assert not fits(replace(MINE, api_version=9))


def test_the_fingerprint_tells_tokens_apart_and_holds_nothing_of_them() -> None:
    assert token_digest("a") != token_digest("b")
    assert token_digest(TOKEN) == token_digest(TOKEN)
    assert not any(part in token_digest(TOKEN) for part in TOKEN.split("."))


def test_a_session_says_when_it_was_last_known_to_be_alive(tmp_path: Path) -> None:
    touch(tmp_path, 1_790_000_000.0)
    assert alive_at(tmp_path) is None
    save(tmp_path, SAVED)
    assert (alive_at(tmp_path) or 0.0) != 1_790_000_000.0
    touch(tmp_path, 1_790_000_000.0)
    assert alive_at(tmp_path) == 1_790_000_000.0
    assert load(tmp_path) == SAVED
