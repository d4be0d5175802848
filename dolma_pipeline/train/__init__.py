"""Training an OLMo on token files: one code path from one CPU process to many nodes of GPUs.

    stage.py    the pipeline's door: a TrainTask in, a Report out
    launch.py   starts the ranks of this machine     __main__.py  what each rank runs
    trainer.py  the loop, over one noun per file: model, presets, config, data, documents, parallel, optimizer,
                schedule, checkpoint, evaluate, metrics, hf, safetensors

Only what a rank runs imports PyTorch; recipes are planned and checked without it.
"""

from __future__ import annotations

import importlib.util

from dolma_pipeline.errors import ConfigError


def require_torch() -> None:
    """Raises ConfigError, which says how to get it, without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        raise ConfigError("training needs PyTorch, found none; `pip install torch` brings it")
