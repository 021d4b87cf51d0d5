from __future__ import annotations

from pathlib import Path

import pytest

from gwcluster.hosts.errors import HostsError
from gwcluster.hosts.incarnation import Incarnation, begin
from gwcluster.log.writer import boot_id


def test_earlier_runs_on_a_folder_are_known(tmp_path: Path) -> None:
    assert begin(tmp_path, boot="x", fresh="1") == Incarnation("1", frozenset())
    assert begin(tmp_path, boot="x", fresh="2") == Incarnation("2", frozenset({"1"}))
    assert begin(tmp_path, boot="x", fresh="3") == Incarnation("3", frozenset({"1", "2"}))


def test_runs_on_another_boot_or_machine_prove_nothing(tmp_path: Path) -> None:
    begin(tmp_path, boot="x", fresh="1")
    assert begin(tmp_path, boot="y", fresh="2").earlier == frozenset()
    assert begin(tmp_path, boot="x", fresh="3").earlier == frozenset()


def test_only_the_last_runs_are_kept(tmp_path: Path) -> None:
    for number in range(20):
        begin(tmp_path, boot="x", fresh=str(number))
    assert begin(tmp_path, boot="x", fresh="20").earlier == {str(number) for number in range(12, 20)}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"boot": "x"}', '{"boot": "x", "runs": 3}', '{"boot": "x", "runs": [1]}']
)
def test_a_damaged_note_proves_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "incarnations.json").write_text(text, encoding="ascii")
    assert begin(tmp_path, boot="x", fresh="2").earlier == frozenset()


def test_a_run_that_can_not_be_noted_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(HostsError, match=r"can't write .*incarnations\.json"):
        begin(tmp_path / "missing", boot="x", fresh="1")


def test_where_a_boot_has_no_name_nothing_is_proven(tmp_path: Path) -> None:
    begin(tmp_path, boot="", fresh="1")
    assert begin(tmp_path, boot="", fresh="2").earlier == frozenset()


def test_a_boot_has_a_name() -> None:
    assert len(boot_id()) == 36
