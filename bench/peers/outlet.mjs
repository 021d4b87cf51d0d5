// Hands events to the subscriber: frames on a Unix stream, those of one turn of the loop in one write.
// bench/subscriber.py describes the frames. This is the cheapest way that we know in Node.
import { connect } from "node:net";

const HEAD = 11;

export function outlet(path) {
  const socket = connect(path);
  let corked = false;
  const uncork = () => {
    corked = false;
    socket.uncork();
  };
  return (shard, seq, name, payload) => {
    if (!corked) {
      corked = true;
      socket.cork();
      setImmediate(uncork);
    }
    const text = Buffer.byteLength(payload);
    const frame = Buffer.allocUnsafe(HEAD + name.length + text);
    frame.writeUInt32BE(HEAD - 4 + name.length + text, 0);
    frame.writeUInt16BE(shard, 4);
    frame.writeUInt32BE(seq, 6);
    frame[10] = name.length;
    frame.latin1Write(name, HEAD);
    frame.utf8Write(payload, HEAD + name.length);
    socket.write(frame);
  };
}
