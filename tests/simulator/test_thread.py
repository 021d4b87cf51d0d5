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


def test_a_port_that_is_taken_is_an_os_error_here_too() -> None:
    with gwsimulator.in_thread() as sim:
        port = int(sim.gateway_url.rpartition(":")[2])
        with pytest.raises(OSError), gwsimulator.in_thread(Settings(port=port)):
            pass
