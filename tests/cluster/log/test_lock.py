from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gwcluster.errors import LogError
from gwcluster.log import LogBusy
from gwcluster.log.lock import _is_still, take_folder
from support.shard_log import open_log, put


def test_a_log_has_one_writer(tmp_path: Path) -> None:
    first = open_log(tmp_path)
    with pytest.raises(LogBusy, match="another process writes the log in") as caught:
        open_log(tmp_path)
    assert caught.value.where == tmp_path
    first.close()
    open_log(tmp_path).close()


def test_a_writer_in_another_process_keeps_this_one_out_until_it_dies(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from gwcluster.log.lock import take_folder;"
        "take_folder(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LogBusy):
            open_log(tmp_path)
        other.kill()
    open_log(tmp_path).close()


def test_no_lock_file_is_left_and_nothing_is_readable_by_others(tmp_path: Path) -> None:
    writer = open_log(tmp_path / "shards" / "3")
    put(writer, "READY")
    writer.close()
    (only,) = (tmp_path / "shards" / "3").iterdir()
    assert only.name == "00000000000000000000.log"
    assert only.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "shards" / "3").stat().st_mode & 0o777 == 0o700


def test_a_failed_start_lets_go_of_the_lock(tmp_path: Path) -> None:
    def no_epoch() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        open_log(tmp_path, new_epoch=no_epoch)
    open_log(tmp_path).close()


def test_a_folder_that_can_not_be_one_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="file"):
        open_log(tmp_path / "file")


def test_a_folder_that_was_replaced_meanwhile_is_not_the_locked_one(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    held = take_folder(folder)
    assert _is_still(folder, held)
    folder.rename(tmp_path / "away")
    assert not _is_still(folder, held)
    folder.mkdir()
    assert not _is_still(folder, held)
    os.close(held)
