"""Dolma's errors, as far as user code raises or catches them."""

from dolma_pipeline.errors import ConfigError as DolmaConfigError
from dolma_pipeline.errors import DolmaError


class DolmaFatalError(DolmaError):
    """Ends the whole run."""


class DolmaShardError(DolmaError):
    """A file could not be processed."""


class DolmaRetryableFailure(DolmaError):
    """A file is tried again, up to `retries_on_error` times."""


__all__ = ["DolmaConfigError", "DolmaError", "DolmaFatalError", "DolmaRetryableFailure", "DolmaShardError"]
