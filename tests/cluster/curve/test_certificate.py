from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import zmq.auth
from hypothesis import given
from hypothesis import strategies as st

from gwcluster.curve.certificate import Certificate, CertificateError, is_key, parse, written
from gwcluster.wire.permissions import Permission, in_words

PUBLIC = b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
SECRET = b"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
ALL = frozenset(Permission)


@pytest.mark.parametrize("secret", [SECRET, None])
@pytest.mark.parametrize("may", [frozenset[Permission](), frozenset({Permission.SEND}), ALL])
def test_what_is_written_is_read_again(secret: bytes | None, may: frozenset[Permission]) -> None:
    one = Certificate(PUBLIC, secret, may)
    assert parse(written(one, ["a remark", "curve"])) == one


def test_pyzmq_reads_what_is_written_and_what_pyzmq_writes_is_read(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.write_text(written(Certificate(PUBLIC, SECRET), []))
    assert zmq.auth.load_certificate(ours) == (PUBLIC, SECRET)
    public, secret = zmq.auth.create_certificates(tmp_path, "theirs", {"may": "read,operate"})
    found = parse(Path(secret).read_text())
    assert (found.public_key, found.secret_key) == zmq.auth.load_certificate(secret)
    assert found.may == {Permission.READ, Permission.OPERATE}
    assert parse(Path(public).read_text()).may == {Permission.READ}, "nothing is said of it there"


def test_quotes_are_of_no_matter_and_keys_may_have_signs() -> None:
    text = f"metadata\n may = 'send , read'\n# may = operate\ncurve\n public-key={PUBLIC.decode()}\n"
    assert parse(text) == Certificate(PUBLIC, None, frozenset({Permission.READ, Permission.SEND}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no public-key in it; make certificates with gwcluster keygen"),
        ("# public-key = x", "there is no public-key in it"),
        ('public-key = "short"', "its public-key is no key: that has 40 characters of Z85"),
        (f'public-key = "{"#" * 40}"', "its public-key is no key"),
        (f"public-key = {PUBLIC.decode()}\nsecret-key = no", "its secret-key is no key"),
        (
            f"public-key = {PUBLIC.decode()}\nmay = write",
            "may names 'write'; it should be some of read,send,",
        ),
    ],
)
def test_what_is_no_certificate_is_told_apart(text: str, said: str) -> None:
    with pytest.raises(CertificateError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_no_error_and_no_repr_has_anything_of_a_secret_key() -> None:
    spoilt = SECRET.decode()[:-1]
    with pytest.raises(CertificateError) as caught:
        parse(f"public-key = {PUBLIC.decode()}\nsecret-key = {spoilt}")
    assert spoilt[:8] not in str(caught.value)
    assert SECRET.decode() not in repr(Certificate(PUBLIC, SECRET))


@given(st.text())
def test_any_text_is_a_certificate_or_an_error_in_words(text: str) -> None:
    with contextlib.suppress(CertificateError):
        parse(text)


@given(st.binary(min_size=32, max_size=32))
def test_every_32_bytes_are_a_key(raw: bytes) -> None:
    assert is_key(zmq.utils.z85.encode(raw).decode())


@pytest.mark.parametrize(
    ("may", "words"),
    [
        (set(), "nothing"),
        ({Permission.SEND}, "send"),
        (ALL, "read, send and operate"),
        ({Permission.OPERATE, Permission.READ}, "read and operate"),
    ],
)
def test_permissions_have_words(may: set[Permission], words: str) -> None:
    assert in_words(may) == words
