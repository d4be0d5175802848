"""What goes wrong with Ray is one line, soon."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.executors import ray as executor
from dolma_pipeline.executors.base import measure
from dolma_pipeline.executors.ray_cluster import connect
from tests.executors.test_executors import fused

ROOT = Path(__file__).resolve().parents[2]
ALONE = "start one with `ray start --head`, or leave out --address to run on this machine alone"


@pytest.fixture(autouse=True)
def no_ray_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_nobody_at_the_address() -> None:
    with pytest.raises(StageError) as caught:
        connect(1, "127.0.0.1:1")
    assert re.fullmatch(
        r"--address 127\.0\.0\.1:1: expected a Ray cluster at [\d.]+:1, found none \(Connection refused\); "
        + re.escape(ALONE),
        str(caught.value),
    )


def test_nobody_at_the_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(StageError, match=r"^--address auto: expected a Ray cluster at [\d.]+:1, found none"):
        connect(1, "auto")


@pytest.mark.parametrize("address", ["nonsense", "ray://nonsense"])
def test_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(ConfigError, match=rf"^--address {address}: expected `auto`, HOST:PORT or ray://HOST:PORT"):
        connect(1, address)


def test_the_client_needs_a_package_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"found none; `pip install 'ray\[client\]==[\d.]+'` installs it"):
        connect(1, "ray://127.0.0.1:1")


def test_a_token_that_is_asked_for_but_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StageError) as caught:
            connect(1, f"127.0.0.1:{port}")
    assert str(caught.value) == (
        f"--address 127.0.0.1:{port}: expected a token, as RAY_AUTH_MODE is `token`, found none; set "
        "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the token of the cluster"
    )


def test_an_output_that_does_not_arrive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "ARRIVAL", 0.0)
    done = measure(fused(tmp_path, "x", "fine"), Context())
    executor._check_arrived(done, "n1")
    (tmp_path / "x").unlink()
    with pytest.raises(StageError) as caught:
        executor._check_arrived(done, "n1")
    assert str(caught.value) == (
        f"{tmp_path}/x: expected 4 bytes that a worker on node n1 has written, found no such file here; outputs "
        "must be on storage that every node of the cluster sees at the same path"
    )


CLUSTER = """
import json, os, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster
from dolma_pipeline.errors import DolmaError
from dolma_pipeline.executors import make_executor
from tests.executors.test_executors import fused
here = Path(sys.argv[1])
one = {"num_cpus": 1, "object_store_memory": 80 << 20}
for _ in range(4):
    # A busy machine may take longer than Ray waits.
    try:
        cluster = Cluster(initialize_head=True, head_node_args=one | {"include_dashboard": False})
        other = cluster.add_node(**one)
        break
    except Exception as error:
        print(error, file=sys.stderr)
said, names = [], []
workers = make_executor(2, cluster.address, said.append, [here])
for done in workers.run([fused(here, f"t{i}", "slow") for i in range(12)]):
    names.append(done.fused.name)
    if len(names) == 2:
        cluster.remove_node(other, allow_graceful=False)
workers.close()
# A directory that has another meaning in every process, as one that is not shared has on every node.
there = Path("/proc/self/fd", str(os.open(here, os.O_RDONLY | os.O_DIRECTORY)))
try:
    make_executor(1, cluster.address, said.append, [there])
except DolmaError as error:
    refused = str(error)
print(json.dumps({"names": sorted(names), "said": said, "refused": refused, "address": cluster.address}), flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # two nodes on a busy machine
def test_a_lost_node_and_a_wrong_token(tmp_path: Path) -> None:
    """One cluster for both, as it takes long to start."""
    token = tmp_path / "token"
    token.write_text("a" * 64)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [sys.executable, "-c", CLUSTER, str(tmp_path / "w")]
    (tmp_path / "w").mkdir()
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        found = next(json.loads(line) for line in process.stdout if line.startswith('{"names"'))
        assert found["names"] == sorted(f"t{i}" for i in range(12))
        lost = re.compile(r"01 of \w+: its worker on node \S+ was lost \(.*\); it is tried again on another")
        slow = re.compile(r"node \S+ \([\d.]+\) did not say in 30 s whether it sees .*")
        assert [s for s in found["said"] if not lost.fullmatch(s) and not slow.fullmatch(s)] == []
        assert list((tmp_path / "w").glob(".shared-*")) == []
        assert re.fullmatch(
            r"/proc/self/fd/\d+: expected a directory that all nodes of the cluster share, but a file written there by "
            r"the driver is not seen on node \S+ \([\d.]+\); give one on storage that is mounted on every node at "
            r"the same path",
            found["refused"],
        )
        token.write_text("b" * 64)
        connecting = (
            f"from dolma_pipeline.executors.ray_cluster import connect\ntry: connect(1, {found['address']!r})\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", connecting], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.read()
    assert done.stdout == (
        f"StageError --address {found['address']}: the cluster wants a token, and that of {token} is not the right "
        "one; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the token of the cluster\n"
    )
    assert done.stderr == ""
