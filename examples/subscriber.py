"""Print new messages, and say so where any may be missing. Needs pyzmq and msgpack, nothing of gwcluster."""

import json
import signal
import sys

import msgpack
import zmq

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it
socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5570")
socket.subscribe("MESSAGE_CREATE.")  # the dot ends the name
socket.subscribe("GWCLUSTER_BEACON.")  # tells each shard's last offset of each name
known = {}  # shard: epoch of its log, offset of its last message
while True:
    topic, header, payload = socket.recv_multipart()
    name, shard, _ = topic.decode().split(".")
    head, data = msgpack.unpackb(header), json.loads(payload)["d"]
    if head["v"] != 1:
        sys.exit(f"wire version {head['v']}; this program reads version 1")
    prev, last = head["prev"], head["offset"]
    if name == "GWCLUSTER_BEACON":
        prev = last = data["names"].get("MESSAGE_CREATE")
    before = known.get(shard, (head["epoch"], prev))
    if before != (head["epoch"], prev):
        print(f"shard {shard}: messages may be missing after offset {before[1]}", flush=True)
    known[shard] = head["epoch"], last
    if name == "MESSAGE_CREATE":
        print(f"shard {shard} offset {last}: {data['author']['username']}", flush=True)
