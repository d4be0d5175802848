"""An argparse parser that raises ConfigError for a mistake and says what was meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from dolma_pipeline.errors import ConfigError, suggest


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, so that a new option never changes the meaning of an old command."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", Formatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (`{self.prog} --help` lists what it takes)")

    def option_strings(self) -> list[str]:
        """Every option it knows, as it is typed."""
        return list(self._option_string_actions)

    def refuse(self, extras: Sequence[str]) -> NoReturn:
        """Raises for arguments that are left over."""
        option = next((e for e in extras if e.startswith("-")), None)
        if option is None:
            self.error(f"unexpected argument `{extras[0]}`")
        name = option.partition("=")[0]
        self.error(f"unknown option `{name}`{suggest(name, self.option_strings())}")


class Formatter(argparse.HelpFormatter):
    """Help with room for dotted names."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, max_help_position=36, **settings)
