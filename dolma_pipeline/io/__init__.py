"""The one door to files: names (url), looking and reading (fs), writing whole or not at all (atomic), finding (files).

lease.py holds directories, cache.py and arrow.py open what libraries open by name; schemes.py says whose a name is.
"""
