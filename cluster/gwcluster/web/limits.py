"""What HTTP clients may take (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server; tests have smaller ones.

    Attributes:
        connections: at once, without streams; one more, and the oldest has to go.
        streams: readers of `/api/stream` at once; one more is refused.
        whole_s: what a client has for sending its request and reading the answer, from connecting on.
        write_s: a reader of the stream that takes nothing for so long is dropped.
        received_bytes: line, headers and body; the largest good request has not a tenth of it.
        write_buffer_bytes: of an answer, what waits in the kernel for its reader.
    """

    connections: int = 64
    streams: int = 16
    whole_s: float = 20.0
    write_s: float = 10.0
    received_bytes: int = 64 << 10
    write_buffer_bytes: int = 256 << 10
