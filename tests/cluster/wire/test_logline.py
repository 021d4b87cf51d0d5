from __future__ import annotations

import json
import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gwcluster.wire.logline import LogLine, decode, encode


def test_a_line_is_one_json_object_and_its_newline() -> None:
    line = encode(LogLine(logging.WARNING, 3, "no “network”\nagain"))
    assert line == b'{"level": 30, "shard": 3, "text": "no \\u201cnetwork\\u201d\\nagain"}\n'


@pytest.mark.parametrize("shard", [None, 0, 3])
def test_a_line_is_read_as_it_was_written(shard: int | None) -> None:
    line = LogLine(logging.INFO, shard, "…\n\x00 \U0001f600")
    assert decode(encode(line)) == line


@given(st.text())
@example("\ud800")
def test_any_text_comes_through_on_one_line(text: str) -> None:
    encoded = encode(LogLine(logging.INFO, 3, text))
    assert encoded.count(b"\n") == 1
    assert decode(encoded) == LogLine(logging.INFO, 3, text)


@given(st.text(min_size=1), st.integers(1, 20_000))
@example("\U0001f600", 20_000)
@example("\x00", 684)
def test_a_line_fits_into_a_pipe_buffer_whatever_the_text(piece: str, times: int) -> None:
    text = (piece * times)[:20_000]
    encoded = encode(LogLine(logging.CRITICAL, 2**31, text))
    assert len(encoded) <= 4096
    said = decode(encoded).text
    assert said == text or (said.endswith(" …") and text.startswith(said[:-2]) and len(said) > 150)


def test_4096_bytes_fit_and_one_more_is_cut() -> None:
    room = 4096 - len(encode(LogLine(20, 3, "")))
    assert decode(encode(LogLine(20, 3, "x" * room))).text == "x" * room
    assert len(encode(LogLine(20, 3, "x" * room))) == 4096
    assert decode(encode(LogLine(20, 3, "x" * (room + 1)))).text.endswith("x …")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", ""),
        (b"Fatal Python error: Aborted\n", "Fatal Python error: Aborted"),
        (b"\xff\n", "\ufffd"),
        (b"null\n", "null"),
        (b"7", "7"),
        (b'"level"', '"level"'),
        (b"[]", "[]"),
        (b"{}", "{}"),
        (b'{"level": 20, "shard": 3}', '{"level": 20, "shard": 3}'),
        (b"[" * 4000, "[" * 4000),
    ],
)
def test_what_else_a_process_writes_is_an_error_as_it_stands(line: bytes, text: str) -> None:
    assert decode(line) == LogLine(logging.ERROR, None, text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("level", True),
        ("level", -20),
        ("level", "20"),
        ("level", 20.0),
        ("level", None),
        ("shard", True),
        ("shard", -1),
        ("shard", "3"),
        ("shard", 3.0),
        ("text", None),
        ("text", ["x"]),
    ],
)
def test_a_line_with_a_wrong_value_is_never_dropped_for_its_level(key: str, value: object) -> None:
    line = json.dumps({"level": 20, "shard": 3, "text": "x"} | {key: value})
    assert decode(line.encode()) == LogLine(logging.ERROR, None, line)


@given(st.binary())
@example(b"\xef\xbb\xbf{}")
@example(b"1" * 5000)
@example(b"NaN")
def test_anything_is_decoded(line: bytes) -> None:
    assert decode(line).level == logging.ERROR
