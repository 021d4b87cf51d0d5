from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gwcluster.state_folder import StateFolder, StateFolderError, owner_of


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_second_cluster_is_told_whose_the_folder_is_and_what_would_help(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from gwcluster.state_folder import StateFolder;"
        "StateFolder(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(
                StateFolderError, match=f"runs as process {other.pid}; stop that one"
            ) as caught:
                StateFolder(tmp_path / "state")
        finally:
            other.kill()
    assert str(tmp_path / "state") in str(caught.value)
    StateFolder(tmp_path / "state").close()  # the kernel let go, however it ended


def test_a_refused_cluster_leaves_the_owners_files_alone(tmp_path: Path) -> None:
    with contextlib.closing(StateFolder(tmp_path)) as owner:
        (owner.runtime / "fanin").touch()
        with pytest.raises(StateFolderError, match=f"process {os.getpid()};"):
            StateFolder(tmp_path)
        assert (owner.runtime / "fanin").exists()
        assert (tmp_path / "coordinator.pid").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_an_owner_that_can_not_be_read_is_unknown(tmp_path: Path, content: bytes | None) -> None:
    with contextlib.closing(StateFolder(tmp_path)):
        pid_file = tmp_path / "coordinator.pid"
        pid_file.unlink() if content is None else pid_file.write_bytes(content)
        with pytest.raises(StateFolderError, match="process unknown;"):
            StateFolder(tmp_path)


def test_nobody_else_may_look_into_it_even_if_it_was_open_before(tmp_path: Path) -> None:
    (tmp_path / "old" / "run").mkdir(parents=True)
    (tmp_path / "old").chmod(0o755)
    (tmp_path / "old" / "run").chmod(0o777)
    for folder in (tmp_path / "old", tmp_path / "new" / "one"):
        with contextlib.closing(StateFolder(folder)) as state:
            assert (mode(state.path), mode(state.runtime)) == (0o700, 0o700)


def test_sockets_of_a_killed_run_are_removed_at_the_start_and_what_must_last_is_not(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "fanin").touch()
    (tmp_path / "coordinator.pid").write_text("1\n")
    (tmp_path / "identify.sqlite").write_text("kept")
    (tmp_path / "shards" / "3").mkdir(parents=True)
    with contextlib.closing(StateFolder(tmp_path)) as state:
        assert list(state.runtime.iterdir()) == []
        assert state.ledger.read_text() == "kept"
        assert state.shard(3).is_dir()


def test_close_leaves_neither_pid_nor_run_folder_and_lets_the_next_one_in(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    (state.runtime / "fanin").touch()
    state.close()
    assert list(tmp_path.iterdir()) == []
    StateFolder(tmp_path).close()


def test_the_run_folder_goes_even_if_the_pid_is_gone_already(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    (tmp_path / "coordinator.pid").unlink()
    state.close()
    assert list(tmp_path.iterdir()) == []


def test_workers_push_into_the_run_folder(tmp_path: Path) -> None:
    with contextlib.closing(StateFolder(tmp_path)) as state:
        assert state.fanin == f"ipc://{tmp_path}/run/fanin"


@pytest.mark.parametrize("unusable", ["file", "file/below"])
def test_a_path_that_can_not_be_a_folder_is_an_error_that_names_it(tmp_path: Path, unusable: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateFolderError, match=f"can't use the state folder {tmp_path / unusable}: "):
        StateFolder(tmp_path / unusable)


def test_something_in_the_way_is_an_error_that_names_it_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / "run" / "folder").mkdir(parents=True)
    with pytest.raises(StateFolderError, match=f"can't use the state folder {tmp_path}: .*run/folder"):
        StateFolder(tmp_path)
    (tmp_path / "run" / "folder").rmdir()
    StateFolder(tmp_path).close()


def test_who_runs_on_a_folder_is_told_without_touching_it(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None
    state = StateFolder(tmp_path / "state")
    assert owner_of(tmp_path / "state") == os.getpid()
    state.close()
    assert owner_of(tmp_path / "state") is None


@pytest.mark.parametrize("content", ["", "x", "-1", "0", "99999999999"])
def test_a_process_that_is_gone_runs_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "coordinator.pid").write_text(content)
    assert owner_of(tmp_path) is None
