"""Text that any installation of Python has, as documents, without a network.

    sources:
      stdlib: {collect: python_stdlib}

A collection finds items (installed.py), cuts each into pieces (pieces.py) and deals them to a fixed number of shards by
a hash of their name (base.py); task.py writes a shard. What it yields depends on the installation only. Licences and
vendored packages bring duplicates and near-duplicates as a crawl of the web would.
"""
