"""The stages: what each does to a shard, and how it is planned. Executors know none of them."""
