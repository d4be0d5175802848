"""Dolma's `reshard` by our command."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from dolma.cli.__main__ import main


class ReshardingConfig:
    """The keys of a configuration file of Dolma's `reshard`."""

    def __init__(self, keys: dict[str, Any]) -> None:
        self.keys = keys

    @classmethod
    def from_dict(cls, keys: dict[str, Any]) -> ReshardingConfig:
        return cls(keys)


def reshard(config: ReshardingConfig) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "reshard.json"
        file.write_text(json.dumps(config.keys))
        main(["-c", str(file), "tokens", "reshard"])
