"""What both kinds of subscription are made of (does): who decides, its sockets, and the cursor that moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import zmq

from gwcluster.client.addresses import Addresses
from gwcluster.client.cursor import Cursor, finisher
from gwcluster.client.following import Following
from gwcluster.client.line import Line, Socket
from gwcluster.client.topics import Wanted


class Feed:
    """One subscription, without anybody who waits.

    Args:
        addresses: of the cluster.
        cursor: its file; None: begin at now, and note nothing.
        wall: Unix seconds.
        clock: monotonic seconds.

    Raises:
        CursorError: the cursor can't be used, or another process uses it.
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        addresses: Addresses,
        wanted: Wanted,
        cursor: Path | None,
        *,
        wall: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._cursor = None if cursor is None else Cursor(cursor)
        try:
            self.following = Following(
                wanted,
                {} if self._cursor is None else self._cursor.places,
                finished=finisher(self._cursor),
                wall=wall,
                now=clock(),
            )
            self.line = Line(context, addresses, following=self.following, clock=clock)
        except BaseException:
            self._let_go()
            raise

    def close(self) -> None:
        """Close the sockets, and let go of the cursor."""
        self.line.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
