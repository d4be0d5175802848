"""The `dolma` command. Each module is one command and imports what it needs when it runs: `--help` stays quick."""
