"""Lets the tests of this directory import their toys, which no other directory needs."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
