"""Starting a Ray, or finding the one at an address. What goes wrong is one line, and nothing waits without end."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ray

from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.executors.ray_worker import make_probe

ANSWER = 10.0
"""Seconds that whatever is at an address has to answer."""
STARTS = 3
"""Tries to start a Ray of our own."""
START_ONE = "start one with `ray start --head`, or leave out --address to run on this machine alone"
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
"""The driver reports progress itself."""


class Session(NamedTuple):
    """The Ray that this process uses."""

    started: bool
    """Whether it was connected to here, and not by the program that calls us."""
    own: bool
    """Whether it is a local Ray that was started here."""


def connect(processes: int, address: str | None) -> Session:
    """Starts a local Ray for `processes` workers, or connects to the one at `address`.

    Raises ConfigError or StageError if that does not work, within about ten seconds.
    """
    if ray.is_initialized():
        return Session(started=False, own=False)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address is None:
        _start(processes)
    else:
        _attach(address)
    _no_lines_on_stdout()
    return Session(started=True, own=address is None)


def _no_lines_on_stdout() -> None:
    """Ray prints on stdout that a worker has died, whatever it is told about logs; the executor says it itself."""
    import ray._private.worker as module

    if hasattr(module, "print_to_stdstream"):
        module.print_to_stdstream = lambda *data, **more: None


def own_ray_lives() -> bool:
    """Whether all processes of the Ray that was started here run. Without them Ray's core soon ends this process."""
    import ray._private.worker as module

    node: Any = getattr(module, "_global_node", None)
    check = getattr(node, "remaining_processes_alive", None)
    return check is None or bool(check())


def _start(processes: int) -> None:
    """Starts a Ray of our own, whatever other Ray is on this machine or was."""
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if not mode or (mode == "token" and _token() is None):
        # A token of this run alone: otherwise Ray would make ~/.ray/auth_token, or fail where it may not.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    for attempt in range(STARTS):
        try:
            with _sigterm_as_it_was():
                # A dashboard would only cost memory.
                ray.init(address="local", num_cpus=processes, include_dashboard=False, **QUIET)
            return
        except Exception as error:
            ray.shutdown()
            # A busy machine may take longer than Ray waits for its own processes.
            if attempt + 1 == STARTS or "timed out" not in str(error):
                raise StageError(
                    f"could not start Ray on this machine for {processes} processes: {_one_line(error)}; "
                    "`--processes 1` needs no Ray"
                ) from error


def _attach(address: str) -> None:
    where = f"--address {address}"
    if "://" in address:
        _check_client(address, where)
    else:
        _check_head(_head(address, where), where)
    try:
        with _sigterm_as_it_was():
            ray.init(address=address, **QUIET)
    except Exception as error:
        raise StageError(f"{where}: could not connect to the Ray there: {_one_line(error)}") from error


def _head(address: str, where: str) -> tuple[str, int]:
    """The host and port of the cluster's head."""
    from ray._private.services import canonicalize_bootstrap_address

    if address == "auto":
        _use_token_that_is_there()
    try:
        found = canonicalize_bootstrap_address(address)
    except ConnectionError:
        found = None
    except Exception as error:
        raise ConfigError(f"{where}: expected `auto`, HOST:PORT or ray://HOST:PORT ({_one_line(error)})") from None
    if found is None:
        raise StageError(f"{where}: expected a running Ray on this machine or in RAY_ADDRESS, found none; {START_ONE}")
    return _host_and_port(found, where)


def _host_and_port(text: str, where: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"{where}: expected `auto`, HOST:PORT or ray://HOST:PORT, found `{text}`")
    return host.strip("[]"), int(port)


def _check_client(address: str, where: str) -> None:
    """Checks what `ray://` needs: a library that few have, and a server."""
    if importlib.util.find_spec("grpc") is None:
        raise ConfigError(
            f"{where}: expected the package `grpcio`, which Ray needs for `ray://`, found none; "
            f"`pip install 'ray[client]=={ray.__version__}'` installs it, or give the HOST:PORT of the head node"
        )
    _check_open(_host_and_port(address.partition("://")[2].rstrip("/"), where), where)


def _check_open(place: tuple[str, int], where: str) -> None:
    try:
        socket.create_connection(place, timeout=ANSWER).close()
    except OSError as error:
        reason = f"no answer in {ANSWER:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise StageError(
            f"{where}: expected a Ray cluster at {place[0]}:{place[1]}, found none ({reason}); {START_ONE}"
        ) from None


def _check_head(place: tuple[str, int], where: str) -> None:
    """Asks the head node for its session, which `ray.init` would do for 20 to 40 s before it fails."""
    _check_open(place, where)
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "token" and _token() is None:
        raise StageError(
            f"{where}: expected a token, as RAY_AUTH_MODE is `token`, found none; {_token_places()}"
        )  # without one Ray's core would end this process
    client: Any = getattr(importlib.import_module("ray._raylet"), "GcsClient", None)
    if client is None:  # another version of Ray: `ray.init` will say what is wrong
        return
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    failed: list[Exception] = []

    def ask() -> None:
        try:
            client(address=f"{host}:{place[1]}")
        except Exception as error:
            failed.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    with _no_stderr():
        asking.start()
        asking.join(ANSWER)
    if asking.is_alive():
        raise StageError(f"{where}: expected a Ray cluster, found something that is none: no answer in {ANSWER:g} s")
    if not failed:
        return
    if type(failed[0]).__name__ == "AuthenticationError":
        raise StageError(f"{where}: the cluster wants a token, and {_sent()}; {_token_places()}") from None
    raise StageError(f"{where}: expected a Ray cluster, found none: {_one_line(failed[0])}") from None


def _use_token_that_is_there() -> None:
    """For a Ray of this machine, `ray.init` sends the token of the user unless told otherwise."""
    with contextlib.suppress(ImportError):
        from ray._private.authentication import authentication_token_setup

        authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _token() -> str | None:
    """Where Ray would find its token."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(given) if given else Path("~/.ray/auth_token").expanduser()
    return str(path) if path.is_file() and path.stat().st_size else None


def _sent() -> str:
    token = _token()
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
        return f"that of {token} is not the right one"
    return "none was sent" + ("" if token is None else f": RAY_AUTH_MODE=token makes Ray send that of {token}")


def _token_places() -> str:
    return "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the token of the cluster"


def check_shared(directory: Path, say: Callable[[str], None]) -> None:
    """Raises StageError, naming the nodes, if a node of the cluster does not see `directory` as this process does."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    text = secrets.token_hex(16)
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f".shared-{text[:8]}.tmp-{os.getpid()}"  # a later run removes it if this one is killed
    path.write_text(text)
    try:
        probe: Any = ray.remote(num_cpus=0, max_retries=0)(make_probe())
        asked = {
            probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(n["NodeID"], soft=False)).remote(
                str(path), text
            ): n
            for n in nodes
        }
        names = {reference: f"{n['NodeManagerHostname']} ({n['NodeManagerAddress']})" for reference, n in asked.items()}
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=3 * ANSWER) if asked else ([], [])
        blind = []
        for reference in answered:
            try:
                if not ray.get(reference):
                    blind.append(names[reference])
            except ray.exceptions.RayError:
                silent.append(reference)  # the node is gone, or going
        for reference in silent:
            say(f"node {names[reference]} did not say in {3 * ANSWER:g} s whether it sees {directory}")
    finally:
        path.unlink(missing_ok=True)
    if blind:
        raise StageError(
            f"{directory}: expected a directory that all nodes of the cluster share, but a file written there by the "
            f"driver is not seen on node {', '.join(sorted(blind))}; give one on storage that is mounted on "
            "every node at the same path"
        )


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Ray's core writes to the file descriptor what comes as an exception too."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def _sigterm_as_it_was() -> Iterator[None]:
    """Ray ends the process by its own rules, and with a report of a crash; the command has a better end for it."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        # What Ray raises while it starts.
        if callable(handler):
            handler(signal.SIGTERM, None)
        raise
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
