"""A shard's log in NATS JetStream, for clusters of several hosts; it needs nats-py."""
