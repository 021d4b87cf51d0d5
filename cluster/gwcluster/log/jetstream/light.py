"""nats-py without what we don't need of it (does): it imports aiohttp, if that is there, for WebSockets.

That would cost each worker 10 MB. A process that has it anyway, as the coordinator, shares it with nats-py.
"""

from __future__ import annotations

import sys
from typing import Final

_HAD: Final = "aiohttp" in sys.modules
if not _HAD:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]  # an import of it fails
try:
    import nats.errors as errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
finally:
    if not _HAD:
        del sys.modules["aiohttp"]

__all__ = ["Client", "Msg", "errors"]
