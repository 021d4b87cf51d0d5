"""Which keys (shard % max_concurrency) this host may grant a permit of, among all hosts (pure)."""
