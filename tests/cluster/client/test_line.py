"""The sockets of a subscription."""

from __future__ import annotations

import zmq
from zmq.utils.monitor import parse_monitor_message

from gwcluster.client.line import Socket, monitored


def test_a_monitor_is_there_before_anything_can_happen_to_its_socket() -> None:
    # What a cluster refuses for good is told once, and may be within a millisecond.
    context: zmq.Context[Socket] = zmq.Context(1)
    try:
        for _ in range(50):
            socket, monitor = monitored(context, zmq.DEALER, "tcp://127.0.0.1:1", None, zmq.EVENT_ALL)
            assert monitor.poll(10_000)
            event = parse_monitor_message(monitor.recv_multipart())["event"]
            assert event == zmq.Event.CONNECT_DELAYED, "the first thing that happens"
            socket.disable_monitor()
            monitor.close()
            socket.close()
    finally:
        context.destroy(linger=0)
