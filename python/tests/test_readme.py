"""Every block of Python in the READMEs runs as it stands there."""

import pathlib
import re

import pytest

PYTHON = pathlib.Path(__file__).resolve().parent.parent
READMES = [PYTHON / "README.md", PYTHON.parent / "README.md"]


def blocks():
    for file in READMES:
        text = file.read_text(encoding="utf-8")
        for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, found.start()) + 1
            name = file.relative_to(PYTHON.parent)
            yield pytest.param(file, line, found[1], id=f"{name}:{line}")


@pytest.mark.parametrize(("file", "line", "code"), list(blocks()))
def test_block(file, line, code):
    # Lines of a traceback are those of the file.
    exec(compile("\n" * line + code, str(file), "exec"), {"__name__": "__main__"})


def test_there_are_blocks():
    assert len(list(blocks())) >= 8
