"""The file that keeps how far a subscriber has come."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwcluster.client.cursor import REWRITE_BYTES, Cursor, CursorError
from gwcluster.client.cursor_lines import line_of, lines_of, places_in
from gwcluster.client.place import Place, Step

EPOCH, OTHER = "00000000000000aa", "00000000000000bb"


def places(path: Path) -> dict[int, Place]:
    cursor = Cursor(path)
    cursor.close()
    return dict(cursor.places)


def test_a_new_cursor_knows_no_place_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert places(tmp_path / "bot.cursor") == {}
    assert (tmp_path / "bot.cursor").stat().st_mode & 0o777 == 0o600


def test_each_step_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bot.cursor"
    cursor = Cursor(path)
    for step, place in [
        (Step(3, EPOCH, 7), Place(EPOCH, 7)),
        (Step(3, EPOCH, 7, "READY", 9), Place(EPOCH, 7, {"READY": 9})),
        (Step(3, EPOCH, 9), Place(EPOCH, 9)),
        (Step(3, OTHER, -1), Place(OTHER, -1)),
    ]:
        cursor.finished(step)
        assert places_in(path.read_bytes())[0] == {3: place}
    cursor.close()


def test_a_process_that_is_killed_has_noted_all_that_was_done(tmp_path: Path) -> None:
    path = tmp_path / "bot.cursor"
    program = (
        "import os, signal, sys; from pathlib import Path; from gwcluster.client.cursor import Cursor;"
        "from gwcluster.client.place import Step; cursor = Cursor(Path(sys.argv[1]));"
        f"[cursor.finished(Step(shard, {EPOCH!r}, at)) for at in range(50) for shard in range(3)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode
    assert ended == -signal.SIGKILL
    assert places(path) == {shard: Place(EPOCH, 49) for shard in range(3)}


def test_only_one_process_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "bot.cursor"
    cursor = Cursor(path)
    with pytest.raises(CursorError, match=rf"another process uses the cursor {path}; give each its own"):
        Cursor(path)
    cursor.close()
    Cursor(path).close()


def test_it_stays_locked_when_it_was_replaced_by_a_shorter_one(tmp_path: Path) -> None:
    path = tmp_path / "bot.cursor"
    cursor = Cursor(path)
    steps = REWRITE_BYTES // len(line_of(Step(3, EPOCH, 10**6))) + 10
    for at in range(steps):
        cursor.finished(Step(3, EPOCH, 10**6 + at))
    assert path.stat().st_size < REWRITE_BYTES // 2
    with pytest.raises(CursorError, match="another process"):
        Cursor(path)
    cursor.close()
    assert places(path) == {3: Place(EPOCH, 10**6 + steps - 1)}


@pytest.mark.parametrize("content", [b"hello", b"gwcluster cursor 2\n", b"{}"])
def test_another_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(CursorError, match="it doesn't begin with 'gwcluster cursor 1'; give another path"):
        Cursor(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CursorError, match=rf"{tmp_path}/no/bot.cursor: No such file or directory"):
        Cursor(tmp_path / "no" / "bot.cursor")


@pytest.mark.parametrize("kept", range(len(b"gwcluster cursor 1\n")))
def test_a_file_that_was_cut_short_at_its_making_is_a_new_one(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "bot.cursor"
    path.write_bytes(b"gwcluster cursor 1\n"[:kept])
    assert places(path) == {}


def test_a_step_that_was_cut_short_counts_for_nothing_and_the_next_one_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "bot.cursor"
    whole = lines_of({3: Place(EPOCH, 7)})
    torn = line_of(Step(3, EPOCH, 123456))
    for cut in range(1, len(torn)):
        path.write_bytes(whole + torn[:cut])
        cursor = Cursor(path)
        assert cursor.places == {3: Place(EPOCH, 7)}
        cursor.finished(Step(3, EPOCH, 8))
        cursor.close()
        assert places(path) == {3: Place(EPOCH, 8)}


def test_a_step_whose_bits_flipped_counts_for_nothing() -> None:
    whole = lines_of({3: Place(EPOCH, 7)})
    line = line_of(Step(3, EPOCH, 123456))
    for at in range(len(line) - 1):
        broken = bytearray(line)
        broken[at] ^= 1
        assert places_in(whole + bytes(broken))[0] == {3: Place(EPOCH, 7)}


def test_a_full_disk_is_an_error_that_says_so_and_takes_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "bot.cursor"
    cursor = Cursor(path)
    cursor.finished(Step(3, EPOCH, 7))
    before = path.stat().st_size
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 5, old[1]))
    try:
        with pytest.raises(CursorError, match=rf"can't write the cursor {path}: "):
            cursor.finished(Step(3, EPOCH, 8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.stat().st_size == before
    cursor.finished(Step(3, EPOCH, 9))
    cursor.close()
    assert places(path) == {3: Place(EPOCH, 9)}


def test_closing_twice_is_closing(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "bot.cursor")
    cursor.close()
    cursor.close()


def test_nobody_inherits_it(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "bot.cursor")
    assert not os.get_inheritable(cursor._fd)
    cursor.close()


STEPS = st.builds(
    lambda shard, epoch, upto, above: Step(shard, epoch, upto, *above(upto)),
    st.integers(0, 3),
    st.sampled_from([EPOCH, OTHER]),
    st.integers(-1, 30),
    st.sampled_from([lambda _: (), lambda upto: ("READY", upto + 2), lambda upto: ("RESUMED", upto + 1)]),
)


@given(st.lists(STEPS, max_size=20))
def test_what_is_read_is_what_was_noted_and_a_short_file_says_the_same(steps: list[Step]) -> None:
    expected: dict[int, Place] = {}
    for step in steps:
        before = expected.get(step.shard)
        expected[step.shard] = (Place(step.epoch, -1) if before is None else before).moved(step)
    data = lines_of({}) + b"".join(map(line_of, steps))
    assert places_in(data) == (expected, len(data))
    assert places_in(lines_of(expected))[0] == expected
