"""What each rank runs: `python -m dolma_pipeline.train CONFIG.json`, alone or under torchrun."""

from __future__ import annotations

import sys

from dolma_pipeline.errors import DolmaError
from dolma_pipeline.train import require_torch
from dolma_pipeline.train.config import read_config
from dolma_pipeline.train.launch import follow_parent


def main(arguments: list[str]) -> int:
    """The exit status: 0 done, 75 stopped with a checkpoint, else that of the error."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\n\nCONFIG.json: a TrainerConfig (dolma_pipeline/train/config.py)", file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        follow_parent()
        require_torch()
        from dolma_pipeline.train.trainer import STOPPED, train

        return 0 if train(read_config(arguments[0])) else STOPPED
    except DolmaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        print(f"error: {error.strerror}: {error.filename}", file=sys.stderr, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
