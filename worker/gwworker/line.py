"""A shard's line to the gateway (does): one connection at a time, and what inflates its messages."""

from __future__ import annotations

import logging
import ssl

from gwcluster.discord import GatewayUrlError, gateway_url
from gwcluster.wire.control import Job
from gwworker.gateway_link import GatewayLink, Listener
from gwworker.inflate import Inflater, Plain, inflater

log = logging.getLogger(__name__)


class Line:
    """The newest connection; without one, nothing is sent and hanging up does nothing.

    Args:
        tls: context for `wss` addresses.
        user_agent: sent in the handshake.
        listener: told what happens on each connection, also on one that is not the newest any more.

    Attributes:
        link: the connection, or the one that ended last; None before the first and after `abort`.
        inflater: of its messages.
    """

    def __init__(self, *, tls: ssl.SSLContext, user_agent: str, listener: Listener) -> None:
        self.link: GatewayLink | None = None
        self.inflater: Inflater = Plain()
        self._tls = tls
        self._user_agent = user_agent
        self._listener = listener

    def dial(self, job: Job, resume_url: str | None) -> None:
        """Connect to `resume_url`, or where the job says if there is none or it may not be dialed."""
        try:
            url = gateway_url(resume_url or job.gateway_url, job.compression, plain_ok=job.plain_ok)
        except GatewayUrlError as error:
            log.warning("resume address refused: %s", error)
            url = gateway_url(job.gateway_url, job.compression, plain_ok=job.plain_ok)
        self.link = GatewayLink(url, tls=self._tls, listener=self._listener, user_agent=self._user_agent)

    def opened(self, compression: str) -> None:
        """The connection is there: its stream begins."""
        self.inflater = inflater(compression)

    def send(self, payload: bytes) -> bool:
        """Send one payload; say whether it was."""
        return self.link is not None and self.link.send(payload)

    def unsent(self) -> int:
        """Return how many bytes were written and not taken by the socket yet."""
        return 0 if self.link is None else self.link.unsent

    def hang_up(self, code: int) -> None:
        """Send a close frame; the listener hears when the peer has closed."""
        if self.link is not None:
            self.link.hang_up(code)

    def abort(self) -> None:
        """Drop the connection; the listener hears no more of it."""
        if self.link is not None:
            self.link.abort()
            self.link = None
