"""The engine: it plans, runs, accounts for and verifies tasks, and knows no stage by name."""
