"""Documents, attributes and quarantine on disk."""
