"""What a host tells of itself."""

from __future__ import annotations

import pytest

from gwcluster.client.host import Host, Told, hosts_in, told_by
from gwcluster.errors import WireError

ENTRY = {
    "name": "a",
    "events": ["ipc:///run/events", "tcp://10.0.0.1:5570"],
    "requests": ["tcp://10.0.0.1:5571"],
    "shards": [0, 2],
    "draining": False,
    "some": "more",
}
TOLD = Told(Host("tcp://10.0.0.1:5570", "tcp://10.0.0.1:5571"), frozenset({0, 2}))


def test_an_entry_says_where_the_host_is_for_others_and_what_it_runs() -> None:
    assert told_by(ENTRY) == TOLD
    addresses = {key: ENTRY[key] for key in ("events", "requests")}
    assert told_by({"addresses": addresses, "shards": [0, 2]}) == TOLD
    assert told_by({**ENTRY, "events": ["ipc:///run/events"]}).host.events == "ipc:///run/events"


@pytest.mark.parametrize(
    "entry",
    [
        *(None, [], "a", {}),
        *({**ENTRY, "events": given} for given in ([], ["tcp://:1"], "tcp://10.0.0.1:1", [None], None)),
        *({**ENTRY, "requests": given} for given in ([], ["http://x:1"])),
        *({**ENTRY, "shards": given} for given in (None, "0", [-1], [True], ["0"], [0] * 65_537)),
        {**ENTRY, "addresses": ["tcp://10.0.0.1:5570"]},
    ],
)
def test_what_is_no_entry_is_refused(entry: object) -> None:
    with pytest.raises(WireError, match="the entry of a host"):
        told_by(entry)


def test_a_status_of_one_host_tells_of_none_and_a_broken_entry_spoils_no_other() -> None:
    assert hosts_in({"ids": [0]}) == ([], [])
    assert hosts_in({"hosts": None}) == ([], [])
    assert hosts_in({"hosts": {"hosts": "all"}}) == ([], [])
    told, errors = hosts_in({"hosts": {"hosts": [{}, ENTRY, 7]}})
    assert (told, len(errors)) == ([TOLD], 2)
    assert len(hosts_in({"hosts": {"hosts": [ENTRY] * 300}})[0]) == 256
