"""msgpack within bounds (pure): the one module that knows the library."""

from __future__ import annotations

from typing import Any

import msgpack

from gwcluster.errors import WireError, quoted

_packer = msgpack.Packer(autoreset=True)


def pack(value: object) -> bytes:
    """Return `value` (maps, lists, strings, bytes, numbers, booleans, None) as msgpack."""
    packed: bytes = _packer.pack(value)
    return packed


def unpack_map(data: bytes, *, max_bytes: int) -> dict[str, Any]:
    """Return the msgpack map in `data`.

    Args:
        data: one whole msgpack value.
        max_bytes: refuse more than this before decoding anything.

    Raises:
        WireError: `data` is too long, broken, or not a map with string keys; drop it.
    """
    if len(data) > max_bytes:
        raise WireError(f"a msgpack map of {len(data)} bytes; at most {max_bytes} are accepted")
    try:
        value = msgpack.unpackb(data, strict_map_key=True, use_list=True)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"not msgpack: {quoted(data)} ({str(error) or type(error).__name__})") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise WireError(f"not a msgpack map with string keys: {quoted(value)}")
    return value
