"""What both kinds of subscription are made of (does): who decides, its sockets, and the cursor that moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import zmq

from gwcluster.client.cursor import Cursor, finisher
from gwcluster.client.following import Following
from gwcluster.client.keys import Curve
from gwcluster.client.line import Line
from gwcluster.client.roster import Roster
from gwcluster.client.sockets import Socket, Watching
from gwcluster.client.topics import Wanted


class Feed:
    """One subscription, without anybody who waits.

    Args:
        curve: the keys that open the cluster's sockets.
        roster: its hosts.
        watch: told which sockets to wait for.
        cursor: its file; None: begin at now, and note nothing.
        wall: Unix seconds.
        clock: monotonic seconds.

    Raises:
        CursorError: the cursor can't be used, or another process uses it.
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        curve: Curve | None,
        wanted: Wanted,
        cursor: Path | None,
        *,
        roster: Roster,
        watch: Watching,
        wall: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._cursor = None if cursor is None else Cursor(cursor)
        try:
            self.following = Following(
                wanted,
                {} if self._cursor is None else self._cursor.places,
                roster=roster,
                finished=finisher(self._cursor),
                wall=wall,
                now=clock(),
            )
            self.line = Line(
                context, curve, roster=roster, following=self.following, watch=watch, clock=clock
            )
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
