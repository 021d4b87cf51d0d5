from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gwcluster.curve.certificate import Certificate
from gwcluster.curve.key_files import KeyFileError, public_file_of, read_public, read_secret, write_new
from support.keys import pair, public, write

AS_NOBODY = """
import os, sys
from pathlib import Path
from gwcluster.curve.key_files import read_secret
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(read_secret(Path(sys.argv[1])).may)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def said_of(path: Path, secret: bool = True) -> str:
    with pytest.raises(KeyFileError) as caught:
        (read_secret if secret else read_public)(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_what_is_written_is_its_owners_alone_and_read_again(tmp_path: Path) -> None:
    made = pair("read,send")
    old = os.umask(0)
    try:
        write_new(tmp_path / "key", made, ["a remark"])
        write_new(tmp_path / "key.pub", public(made), [])
    finally:
        os.umask(old)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key.pub").stat().st_mode & 0o777 == 0o644
    assert read_secret(tmp_path / "key") == made
    assert read_public(tmp_path / "key.pub") == public(made)
    assert read_public(tmp_path / "key").secret_key is None


@pytest.mark.parametrize("there", ["file", "link to nowhere"])
def test_no_key_is_written_over_another(tmp_path: Path, there: str) -> None:
    path = tmp_path / "key"
    if there == "file":
        path.write_text("precious")
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="keys are not overwritten"):
        write_new(path, pair(), [])
    assert not (tmp_path / "elsewhere").exists()
    assert there != "file" or path.read_text() == "precious"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="it can't be written: no such file or directory"):
        write_new(tmp_path / "no" / "key", pair(), [])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_secret_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path / "key", pair())
    (tmp_path / "key").chmod(mode)
    said = said_of(tmp_path / "key")
    assert f"others may read it (mode {mode:04o}); chmod 0600 it" in said


@as_root
@pytest.mark.parametrize(("mode", "good"), [(0o640, True), (0o440, True), (0o660, False), (0o644, False)])
def test_a_services_group_may_read_what_is_roots(tmp_path: Path, mode: int, good: bool) -> None:
    folder = Path("/tmp") / f"gwcluster-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        path = folder / "key"
        write(path, pair())
        path.chmod(mode)
        os.chown(path, 0, 65534)
        run = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ("READ" in run.stdout) is good, run.stderr
        assert good or "others may read it" in run.stderr
    finally:
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()


@as_root
@pytest.mark.parametrize("secret", [True, False])
def test_a_strangers_file_is_refused(tmp_path: Path, secret: bool) -> None:
    write(tmp_path / "key", pair())
    os.chown(tmp_path / "key", 4321, 4321)
    assert "it belongs to user 4321; chown it to root" in said_of(tmp_path / "key", secret)


def test_a_public_key_that_everybody_may_change_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "key", public(pair()))
    (tmp_path / "key").chmod(0o666)
    assert "everybody may change it (mode 0666)" in said_of(tmp_path / "key", secret=False)


def test_each_thing_that_is_no_secret_key_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert "there is no such file; make keys with gwcluster keygen" in said_of(path)
    path.mkdir()
    assert "it can't be read: is a directory" in said_of(path)
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert "it is no file" in said_of(path)
    path.unlink()
    path.touch(0o600)
    assert "there is no public-key in it" in said_of(path)
    path.write_bytes(b"\xff" * 100)
    assert "it is no text" in said_of(path)
    path.write_bytes(b"#" * 20_000)
    assert "it is too long for a certificate" in said_of(path)
    write(path, public(pair()))
    path.chmod(0o600)
    assert "there is no secret-key in it; is it the public certificate?" in said_of(path)
    write(path, Certificate(pair().public_key, pair().secret_key))
    assert "its public-key doesn't belong to its secret-key" in said_of(path)
    assert "it can't be read: embedded null" in said_of(tmp_path / "a\0b")


@pytest.mark.parametrize(
    ("secret", "expected"),
    [("cluster.key_secret", "cluster.key"), ("cluster", "cluster.pub"), ("_secret", "_secret.pub")],
)
def test_the_public_half_has_its_place_beside_the_secret_one(secret: str, expected: str) -> None:
    assert public_file_of(Path("/etc") / secret) == Path("/etc") / expected
