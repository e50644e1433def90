"""Runs a document as its reader would: its blocks in their order, in one shell, in an empty folder.

| block | what becomes of it |
|---|---|
| ``sh`` | run by bash; what fails ends the document. After ``… > FILE &`` there is a wait until FILE is written |
| ``text`` behind it | what the commands have to print; ``…`` stands for the rest of a line, alone in a line for lines |
| any behind a line that has only a file's name in backticks | the file's content |
| ``diff`` | applied by ``git apply`` |
| ``sh`` behind the comment ``<!-- not run: why -->`` | for readers alone |
| ``sh`` behind the comment ``<!-- long -->`` | run where that is asked for |
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`\n\n|^<!-- (?P<comment>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_STARTS = re.compile(r" > (\S+) &$", re.MULTILINE)
_COMMANDS = {"vendortap": "vendortap.cli", "pip": "pip", "pytest": "pytest"}
_END = "DOCUMENT"


class Block(NamedTuple):
    """A block of a document: the line that it begins in, and what it is."""

    line: int
    language: str
    text: str
    file: str | None
    comment: str | None


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    found = _BLOCK.finditer(document)
    return [
        Block(
            document.count("\n", 0, one.start("language")) + 1,
            one["language"],
            one["text"],
            one["file"],
            one["comment"],
        )
        for one in found
    ]


def environment(folder: Path) -> dict[str, str]:
    """Make an environment that has all that this one has, into which pip installs from this machine alone."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "beneath.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for command, module in _COMMANDS.items():
        script = folder / "bin" / command
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m {module} "$@"\n')
        script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PIP_"))}
    return {
        **kept,
        "PATH": f"{folder / 'bin'}{os.pathsep}{kept['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the option's value, which is negative by itself
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def runs(block: Block, *, long: bool) -> bool:
    """Whether a block is run by the shell."""
    return block.language == "sh" and (not block.comment or (long and block.comment == "long"))


def script(found: list[Block], *, long: bool) -> Iterator[str]:
    """Yield the shell's lines: what a block prints comes behind a line with the block's own."""
    yield "set -e; trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"
    for block in found:
        yield f"printf '\\n@@ {block.line}\\n'"
        if block.file:
            yield f"cat > {block.file} << '{_END}'\n{block.text}{_END}"
        elif block.language == "diff":
            yield f"git apply << '{_END}'\n{block.text}{_END}"
        elif runs(block, long=long):
            yield _STARTS.sub(r" > \1 2> \1.log &\nuntil [ -s \1 ]; do kill -0 $!; sleep 0.1; done", block.text)


def run(document: str, folder: Path, *, long: bool = False) -> None:
    """Run a document in a folder, and hold what it prints against what it shows.

    Raises:
        AssertionError: a command failed, or printed something else; names the block's line.
    """
    found = blocks(document)
    variables = environment(folder / ".venv")
    lines = "\n".join(script(found, long=long))
    command = ["bash", "-c", lines]
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    printed = dict(zip(*[iter(re.split(r"^@@ (\d+)\n", done.stdout, flags=re.MULTILINE)[1:])] * 2, strict=True))
    last = max(map(int, printed))
    assert done.returncode == 0, f"line {last} ended with {done.returncode}:\n{printed[str(last)]}"
    for block, shown in pairwise(found):
        if block.language == "sh" and runs(block, long=long) and shown.language == "text" and not shown.file:
            output = printed[str(block.line)]
            assert re.fullmatch(pattern(shown.text), steady(output)), f"line {block.line} printed\n{output}"


def steady(text: str) -> str:
    """Return a text without what nobody reads: blank lines, and how many spaces there are."""
    return "".join(f"{' '.join(line.split())}\n" for line in text.splitlines() if line.strip())


def pattern(shown: str) -> str:
    """Return the expression of what a document shows."""
    lines = steady(shown).splitlines()
    return "".join("(?:.*\n)*" if line == "…" else f"{'.*'.join(map(re.escape, line.split('…')))}\n" for line in lines)
