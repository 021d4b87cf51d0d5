import socket
import threading

import pytest

import gwsimulator
from gwsimulator import Settings
from support.sim_client import get


def test_a_simulator_in_a_thread_is_there_within_the_block_and_gone_after_it() -> None:
    with gwsimulator.in_thread(Settings(shards=3)) as sim:
        assert get(f"{sim.api}/gateway/bot")[1]["shards"] == 3
        sim.rest_fault(status=502)
        assert get(f"{sim.api}/gateway/bot")[0] == 502
        assert [call.status for call in sim.ledger.rest_calls] == [200, 502]
    assert not [thread for thread in threading.enumerate() if thread.name == "gwsimulator"]
    with pytest.raises(OSError):
        get(f"{sim.api}/gateway/bot")


def test_hosts_can_be_taken_down_and_swapped_from_another_thread() -> None:
    with gwsimulator.in_thread() as sim:
        first = sim.resume_url
        sim.swap_resume_host()
        assert sim.resume_url not in (first, "")
        sim.host_down("gateway")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(sim.gateway_url)), timeout=5)
        sim.host_down("gateway", False)
        assert get(f"{sim.api}/gateway/bot")[0] == 200
        with pytest.raises(ValueError, match="no host is named 'other'"):
            sim.host_down("other")


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_port_that_is_taken_is_an_os_error_here_too() -> None:
    with gwsimulator.in_thread() as sim:
        port = int(sim.gateway_url.rpartition(":")[2])
        with pytest.raises(OSError), gwsimulator.in_thread(Settings(port=port)):
            pass
