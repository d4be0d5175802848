"""Modules that Dolma 1.2.1 runs as `python -m dolma.tokenizer.…`, under the same names."""
