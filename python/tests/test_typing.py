"""Type checkers see a decorated function's own signature, and what it can do."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import gecaso

HERE = pathlib.Path(__file__).parent / "typing"
PACKAGE = pathlib.Path(gecaso.__file__).parent
QUIET = "[mypy-gecaso.*]\nignore_errors = True\n"


@pytest.fixture
def folder(tmp_path):
    """The types by themselves, so that checkers tell of mistakes in them, too."""
    (tmp_path / "gecaso").mkdir()
    for name in ("__init__.pyi", "py.typed"):
        shutil.copy(PACKAGE / name, tmp_path / "gecaso")
    for name in ("right.py", "wrong.py"):
        shutil.copy(HERE / name, tmp_path)
    return tmp_path


def run(*command, folder, **env):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True,
        text=True,
        timeout=110,
    )


def wrong_lines():
    lines = (HERE / "wrong.py").read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# WRONG")}


def check(found, said):
    """Each line with a mistake is found, and nothing else; `found` has names of files and lines."""
    assert len(wrong_lines()) > 20
    assert {line for name, line in found if name == "wrong.py"} == wrong_lines(), said
    assert {name for name, _ in found} == {"wrong.py"}, said


def test_mypy(folder):
    pytest.importorskip("mypy")
    files = ("right.py", "wrong.py", "gecaso/__init__.pyi")
    done = run("mypy", "--strict", "--cache-dir", str(folder / "cache"), *files, folder=folder)
    assert not done.stderr, done.stderr
    found = re.findall(r"^(\S+?):(\d+): error:", done.stdout, re.MULTILINE)
    check({(name, int(line)) for name, line in found}, done.stdout)


def test_pyright(folder):
    pytest.importorskip("pyright")
    config = {"strict": ["right.py", "wrong.py", "gecaso"], "extraPaths": [str(folder)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    done = run("pyright", "-p", ".", "--outputjson", folder=folder)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright could not be had: {done.stderr[-200:]}")
    errors = [
        one for one in json.loads(done.stdout)["generalDiagnostics"] if one["severity"] == "error"
    ]
    found = {(pathlib.Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in errors}
    check(found, done.stdout)


def test_the_types_are_those_of_the_package(tmp_path):
    """mypy's own comparison of a stub with what is there."""
    pytest.importorskip("mypy")
    (tmp_path / "mypy.ini").write_text(f"[mypy]\ncache_dir = {tmp_path / 'cache'}\n{QUIET}")
    done = run(
        *("mypy.stubtest", "gecaso", "--allowlist", str(HERE / "stubtest.txt")),
        *("--mypy-config-file", "mypy.ini"),
        folder=tmp_path,
        PYTHONPATH=str(PACKAGE.parent),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_annotations_can_name_a_decorated_function():
    assert gecaso.Cached[[int], str].__origin__ is gecaso.Cached
    assert (PACKAGE / "py.typed").exists()
