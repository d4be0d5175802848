#!/usr/bin/env bash
# A virtual environment with the readers that our token files are tested against: OLMo's and OLMo-core's loaders,
# Megatron's indexed dataset, datatrove.
#
#     scripts/olmo_environment.sh DIR [PYTHON]
#     DOLMA_OLMO_VENV=DIR pytest tests/tokens/test_peers.py
#
# torch, numpy and pyarrow are those of PYTHON (default: python3), found through a .pth file, so that no second torch is
# installed. The peers come without their dependencies, which would pin other versions of those; what their data modules
# import is listed here. About 450 MB.
set -euo pipefail
directory=${1:?usage: scripts/olmo_environment.sh DIR [PYTHON]}
python=${2:-python3}

"$python" -c 'import torch' || { echo "$python: expected a Python with torch, as \`make setup\` installs it" >&2; exit 1; }
"$python" -m venv "$directory"
packages=$("$directory/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import site, sys, torch, pathlib; print(pathlib.Path(torch.__file__).parents[1])' > "$packages/host.pth"
install() { "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
install --no-deps ai2-olmo==0.6.0 ai2-olmo-core==3.0.0 megatron-core==0.16.1 datatrove==0.10.1
install omegaconf boto3 google-cloud-storage google-api-core
install --no-deps cached_path datasets dataclass-extensions bettermap loguru humanize
install importlib_resources filelock requests rich PyYAML safetensors pandas dill multiprocess xxhash httpx fsspec tqdm packaging
"$directory/bin/python" - <<'PYTHON'
import olmo.data, olmo_core.data, datatrove.utils.dataset, megatron.core.datasets.indexed_dataset
PYTHON
echo "$directory: the peers import"
