"""Looks through a whole log for what is wrong with it, also while its worker writes (does)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gwcluster.log.continuity import Continuity, Remark
from gwcluster.log.record import START
from gwcluster.log.recovery import UNRECORDED_MODE
from gwcluster.log.segments import segment_paths
from gwcluster.log.session_state import FILE_NAME, load
from gwcluster.log.state import State, decode_start
from gwcluster.log.stretches import Broken, Whole, stretches


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark, and where it was made: a file and a place in it, in bytes."""

    file: Path
    at: int
    remark: Remark


class Audit:
    """One look at the log in `folder`. Its memory doesn't grow with the log.

    Attributes:
        segments, stored_bytes: how many files, and how long they are together.
        damages: findings that no interruption explains.
        continuity: how far it has come.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segments = 0
        self.stored_bytes = 0
        self.damages = 0
        self.first: int | None = None
        self.continuity = Continuity()

    def findings(self) -> Iterator[Finding]:
        """Look through all that is there by now; iterate over what there is to say.

        Raises:
            LogError: a newer gwcluster wrote it: use that one.
            OSError: the disk can't read it.
        """
        paths = segment_paths(self.folder)
        for first, path in paths:
            try:
                for finding in self._segment(first, path, newest=path == paths[-1][1]):
                    self.damages += finding.remark.damage
                    yield finding
            except FileNotFoundError:
                continue  # it has expired
        for finding in self._session():
            self.damages += finding.remark.damage
            yield finding

    def _segment(self, first: int, path: Path, *, newest: bool) -> Iterator[Finding]:
        status = path.stat()
        self.segments += 1
        self.stored_bytes += status.st_size
        self.first = first if self.first is None else self.first
        if status.st_size == 0:
            yield Finding(
                path, 0, Remark(True, "the file is empty", "no writer leaves this; nothing is in it")
            )
        for piece in stretches(path):
            match piece:
                case Broken():
                    yield Finding(path, piece.at, _broken(piece, newest=newest))
                    if not piece.torn:
                        self.continuity.damaged()
                case Whole():
                    for remark in self._whole(first, piece):
                        yield Finding(path, piece.at, remark)
        if stat.S_IMODE(status.st_mode) == UNRECORDED_MODE:
            said = "events were published behind its end while the disk refused (its mode is 0400)"
            means = "they are lost if no worker runs any more; then the next one passes their offsets over"
            yield Finding(path, status.st_size, Remark(False, said, means))

    def _whole(self, first: int, piece: Whole) -> Iterator[Remark]:
        if piece.at > 0:
            yield from self.continuity.take(piece.entry, piece.data)
            return
        start = decode_start(piece.entry, piece.data)
        if start is None or start.next_offset != first:
            held = "no start" if start is None else f"the start of offset {start.next_offset}"
            yield Remark(True, f"it begins with {held}", "a segment under another's name; it isn't read")
            if piece.entry.kind != START:
                yield from self.continuity.take(piece.entry, piece.data)
        else:
            yield from self.continuity.begin(start)

    def _session(self) -> Iterator[Finding]:
        path = self.folder / FILE_NAME
        state = self.continuity.state
        if not path.exists():
            said, means = "there is no saved session", "the shard's next worker identifies"
            yield Finding(path, 0, Remark(False, said, means))
        elif (saved := load(self.folder)) is None:
            said = "the saved session can't be used"
            yield Finding(path, 0, Remark(True, said, "the shard's next worker identifies anew"))
        elif state is not None and not _belongs(saved.shard, saved.shards, saved.session, state):
            said = f"it is of session {saved.session} of shard {saved.shard} of {saved.shards}; the log isn't"
            yield Finding(path, 0, Remark(False, said, "the shard's next worker identifies anew"))


def _belongs(shard: int, shards: int, session: int, state: State) -> bool:
    # Until READY is in the log, the session that was just saved is one ahead.
    return (shard, shards) == (state.shard, state.shards) and session - state.session in {0, 1}


def _broken(piece: Broken, *, newest: bool) -> Remark:
    size = piece.end - piece.at
    if piece.torn and piece.at > 0:
        said = f"the last {size} bytes are the beginning of a record"
        if not newest:
            return Remark(False, said, "a write that was cut short when the machine went down")
        return Remark(False, said, "a write that was cut short or is under way; the next writer cuts it off")
    if piece.at == 0:
        means = "its events are read all the same if another segment tells the log's epoch"
        return Remark(True, f"its start is unreadable, {size} bytes", means)
    return Remark(True, f"{size} bytes are damaged", "what was in them is lost; what is whole is read")
