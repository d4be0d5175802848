"""Commands on token files: `dolma tokens inspect`, `dolma tokens reshard`, `dolma tokens convert`."""
