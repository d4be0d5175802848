"""The details of the reports of many tasks in one."""

from __future__ import annotations

from typing import Any


def combine(details: list[dict[str, Any]]) -> dict[str, Any]:
    """One task's details as they are; of many, whole numbers added up, other numbers at their largest, and text
    where all say the same."""
    if len(details) <= 1:
        return dict(details[0]) if details else {}
    total: dict[str, Any] = {}
    for each in details:
        for key, value in each.items():
            old = total.get(key)
            if isinstance(value, dict):
                total[key] = combine([old or {}, value])
            elif isinstance(value, str):
                total[key] = value if old in (None, value) else "mixed"
            elif isinstance(value, int) and not isinstance(value, bool):
                total[key] = (old or 0) + value
            elif isinstance(value, float):
                total[key] = max(old or 0.0, value)
    return total
