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


def unpack_map(
    data: bytes, *, max_bytes: int, max_items: int | None = None, max_depth: int | None = None
) -> dict[str, Any]:
    """Return the msgpack map in `data`.

    Args:
        data: one whole msgpack value.
        max_bytes: refuse more than this before decoding anything.
        max_items: refuse a list or map that says that it is longer, before making room for it: lists in lists
            would otherwise take a hundred thousand times the room of the bytes that announce them.
        max_depth: refuse what is nested deeper; a map without lists or maps in it has the depth 1.

    Raises:
        WireError: `data` is too long or deep, broken, or not a map with string keys; drop it.
    """
    if len(data) > max_bytes:
        raise WireError(f"a msgpack map of {len(data)} bytes; at most {max_bytes} are accepted")
    most = len(data) if max_items is None else max_items
    try:
        value = msgpack.unpackb(
            data, strict_map_key=True, use_list=True, max_array_len=most, max_map_len=most
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"not msgpack: {quoted(data)} ({str(error) or type(error).__name__})") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise WireError(f"not a msgpack map with string keys: {quoted(value)}")
    if max_depth is not None and _is_deeper(value, max_depth):
        raise WireError(f"a msgpack map nested deeper than {max_depth}: {quoted(value)}")
    return value


def _is_deeper(value: object, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        within = [each.values() if isinstance(each, dict) else each for each in level if each]
        level = [inner for each in within for inner in each if isinstance(inner, dict | list)]  # type: ignore[attr-defined]
    return bool(level)
