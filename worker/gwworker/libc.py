"""The C library (does): looked up once, before the forks, since each look makes a class of its own."""

from __future__ import annotations

import ctypes
from typing import Final

LIBC: Final = ctypes.CDLL(None, use_errno=True)
"""What it doesn't have raises AttributeError: not every system has all that Linux has."""
