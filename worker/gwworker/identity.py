"""IDENTIFY, RESUME and the saved session (pure): what a shard says of itself.

Sources:
    https://docs.discord.com/developers/events/gateway-events#identify
    https://docs.discord.com/developers/events/gateway-events#resume
"""

from __future__ import annotations

import json

from gwcluster.discord import API_VERSION, Op
from gwcluster.log.session_state import SavedSession, token_digest
from gwcluster.wire.control import Job
from gwworker.effects import Remember
from gwworker.redial import Known


def identify_payload(job: Job) -> bytes:
    """Return the IDENTIFY payload of this shard; `shard` is always there, for shard 0 too."""
    data = {
        **job.identify,
        "token": job.token,
        "intents": job.intents,
        "properties": {"os": "linux", "browser": "gwcluster", "device": "gwcluster"},
        "compress": False,
        "large_threshold": job.large_threshold,
        "shard": [job.shard, job.shards],
    }
    if job.presence is not None:
        data["presence"] = job.presence
    return _payload(Op.IDENTIFY, data)


def resume_payload(job: Job, session_id: str, seq: int | None) -> bytes:
    """Return the RESUME payload."""
    return _payload(Op.RESUME, {"token": job.token, "session_id": session_id, "seq": seq})


def beat_payload(seq: int | None) -> bytes:
    """Return a heartbeat; `seq` is the last in the log, None before the first."""
    return _payload(Op.HEARTBEAT, seq)


def saved_session(job: Job, remember: Remember) -> SavedSession:
    """Return what is kept of a session, with all that has to match before it may be resumed."""
    return SavedSession(
        session=remember.session,
        session_id=remember.session_id,
        resume_url=remember.resume_url or job.gateway_url,
        shard=job.shard,
        shards=job.shards,
        intents=job.intents,
        token_digest=token_digest(job.token),
        api_version=API_VERSION,
    )


def resumable(saved: SavedSession, job: Job, logged_session: int) -> Known | None:
    """Return the saved session if this job may resume it: same bot, shard, intents, and in the log."""
    fits = saved.fits(shard=job.shard, shards=job.shards, intents=job.intents, token=job.token)
    return Known(saved.session_id, saved.resume_url) if fits and saved.session == logged_session else None


def _payload(op: Op, data: object) -> bytes:
    return json.dumps({"op": int(op), "d": data}, separators=(",", ":"), ensure_ascii=False).encode()
