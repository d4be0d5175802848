"""Deduplication: documents, paragraphs or n-grams that were seen before, in input order.

    keys.KeyOp              per shard: the keys of its items, by partition of the key space     -> SHARD.keys
    reduce.reduce_partition per partition: every shard's keys, in order, against what was seen  -> PARTITION.verdicts
    filter_keys             what the keys of a saved filter are, compared with those of the stage that loads it
    filters.merge_filters   once, where a filter is kept: its partitions into one file          -> `bloom.file`
    verdicts.VerdictColumns per shard: from the verdicts back to documents                      -> attribute columns

A key is the xxh3_128 of an item's UTF-8 bytes. Partitions are ranges of the key space, so equal keys meet in one of
them, in the order of shards, rows and spans: no verdict depends on who reduces what, or when.
"""
