"""Tokens: documents become flat token files with an index and a manifest, in an order that is a keyed shuffle."""
