"""What attributes say of a corpus: histograms, and what rules would remove of it at which threshold.

Each shard is measured on its own (summaries.py, whatif.py); merge.py adds the measures up in canonical order, so that
the result does not depend on workers; table.py and page.py show it.
"""
