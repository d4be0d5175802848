"""What a run did, for people: a table for the terminal (summary.py) and a page for the browser (html.py).

Both read the manifest.json of a run directory and, where they are there, its timings.json, train/metrics.jsonl and
quarantine/.
"""
