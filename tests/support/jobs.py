"""Jobs for workers under test."""

from __future__ import annotations

from typing import Any

from gwcluster.wire.control import Job

TOKEN = "MTIz.not-a-token"


def job(**changed: Any) -> Job:
    """Return the job of shard 3 of 16, without compression, that leads nowhere."""
    fields: dict[str, Any] = {
        "shard": 3,
        "shards": 16,
        "token": TOKEN,
        "gateway_url": "ws://127.0.0.1:9/",
        "plain_ok": True,
        "intents": 513,
        "compression": "none",
        "large_threshold": 50,
        "presence": None,
        "identify": {},
        "include": None,
        "exclude": [],
        "folder": "nowhere",
        "fanin": "ipc:///nowhere/fanin",
        "retention_bytes": 64 << 20,
        "retention_age_s": 3600.0,
    }
    return Job(**(fields | changed))
