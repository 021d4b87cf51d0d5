"""What can be fuzzed (pure): one row for each module of this folder that has a target."""

from __future__ import annotations

from typing import Final

from fuzz import commands, gateway_link, inflate, log, requests, rest, scan, session, wire
from fuzz.cases import Target

TARGETS: Final[dict[str, Target]] = {
    module.TARGET.name: module.TARGET
    for module in (inflate, scan, session, wire, log, gateway_link, rest, commands, requests)
}
