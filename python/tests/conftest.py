"""What several files of tests share: a seed, a server and waiting for events."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shutil
import socket
import subprocess
import sys
import time

import pytest

PATIENCE = 20.0
"""Seconds after which something that was to happen will not."""


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, help="of the random tests (printed when one fails)")
    parser.addoption("--soak", action="store_true", help="the long form of tests that have one")


@pytest.fixture
def rng(request):
    """A random generator whose seed is printed, and can be set by --seed."""
    seed = request.config.getoption("--seed")
    if seed is None:
        seed = random.SystemRandom().randrange(2**32)
    print(f"--seed={seed}")
    return random.Random(seed)


@pytest.fixture
def soak(request):
    """Whether there is time for more."""
    return request.config.getoption("--soak")


@pytest.fixture
def eager_collection():
    """A garbage collection at nearly every allocation."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


@pytest.fixture
def quick_switches():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def until(condition):
    """Waits until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.001)


def server_program():
    """A server that speaks the protocol of Redis, or nothing."""
    if named := os.environ.get("GECASO_VALKEY_SERVER"):
        return named
    return shutil.which("valkey-server") or shutil.which("redis-server")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """The address of a server of this run's own."""
    pytest.importorskip("redis", reason="the client redis-py is not installed")
    program = server_program()
    if program is None:
        pytest.skip("no valkey-server on the PATH, nor GECASO_VALKEY_SERVER")
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(port) or server.poll() is not None)
        assert server.poll() is None, f"{program} has ended"
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def _answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as server:
        server.sendall(b"PING\r\n")
        return server.recv(16).startswith(b"+PONG")
    return False
