"""`python -m dolma_pipeline` is the `dolma` command."""

import sys

from dolma_pipeline.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
