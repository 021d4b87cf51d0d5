"""Events that were encoded once mean the same on every connection, whatever lies between the chapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import encoding, traffic
from bench.sequence import sequence

ACK = b'{"t":null,"s":null,"op":11,"d":null}'


@pytest.mark.parametrize("transport", encoding.TRANSPORTS)
@pytest.mark.parametrize("mix", ["chat", "presence", "guilds"])
def test_acknowledgements_fit_between_any_two_chapters(transport: str, mix: str) -> None:
    payloads = list(traffic.numbered(traffic.bodies(mix, 24), 24))
    chapters = [payloads[start : start + 8] for start in range(0, 24, 8)]
    frames, said = [encoding.Chapter(transport, first=True).frame(b"hello")], [b"hello"]
    for number, chapter in enumerate(chapters):
        frames += encoding.chapter(transport, chapter)
        said += chapter
        for _ in range(number):
            frames += encoding.chapter(transport, [ACK])
            said.append(ACK)
    assert encoding.inflated(transport, frames) == said


def test_a_chapter_means_the_same_where_it_would_use_the_distances_that_a_stream_begins_with() -> None:
    payloads = [b"1" + b"0" * 40 + b"2345", b"bcdf" * 9]
    before = encoding.Chapter("zstd-stream", first=True)
    frames = [before.frame(b"0123456789abcdefghij" * 9), *encoding.chapter("zstd-stream", payloads)]
    assert encoding.inflated("zstd-stream", frames)[1:] == payloads


def test_a_chapter_is_compressed_as_a_stream() -> None:
    payloads = list(traffic.numbered(traffic.bodies("chat", 64), 64))
    for transport in ("zlib-stream", "zstd-stream"):
        assert sum(map(len, encoding.chapter(transport, payloads))) < 0.3 * sum(map(len, payloads))


def test_a_sequence_slices_to_the_events_from_its_file(tmp_path: Path) -> None:
    for count in (200, 256, 100):  # made, and read again: a longer one begins with the shorter one
        made = sequence("chat", "none", count, tmp_path)
        assert len(made) == 256, "whole chapters"
        distinct = traffic.bodies("chat")
        assert encoding.unframed(bytes(made.slice(130, 131))) == traffic.dispatch(distinct[130], 132)
        assert bytes(made.slice(0, 2)) == bytes(made.slice(0, 1)) + bytes(made.slice(1, 2))
    assert len(list(tmp_path.iterdir())) == 2
    assert len(sequence("chat", "none", 300, tmp_path)) == 384
    assert len(sequence("chat", "none", 200, tmp_path)) == 256


def test_events_have_the_sizes_that_the_page_says() -> None:
    chat, guilds, start = (
        [len(d) for _, d in traffic.bodies(mix, 400)] for mix in ("chat", "guilds", "start")
    )
    assert 1_000 <= sum(chat) / len(chat) <= 1_300
    presences = [len(d) for name, d in traffic.bodies("presence", 400) if name == b"PRESENCE_UPDATE"]
    assert len(presences) == 360
    assert 300 <= min(presences) <= max(presences) <= 750
    assert min(guilds) >= 15_000
    assert max(guilds) <= 210_000
    assert 12_000 <= sum(start) / len(start) <= 25_000
