"""How long commands take that fetch nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.environments import OURS, Environment
from benchmarks.measure import Command, run
from benchmarks.paths import PEERS
from benchmarks.results import Part, Run
from benchmarks.session import Entry, Session, interleaved

PLUGINS = 50
TIMES = 4
"""So many times as many rounds as elsewhere: they are short, and their wall time is what counts."""

Prepare = Callable[[Environment, Path], Command]


def startup(session: Session) -> Part:
    """Measure ``vendortap list`` with and without plugins, and ``--discover`` beside that of a bare tap.

    The bare tap runs in the very environment of ours: what it imports, and finds on its path, is the same.
    """
    commands: dict[str, tuple[Prepare, str]] = {
        "list": (lambda environment, _: _list(environment), "scansource"),
        "list-plugins": (_list_with_plugins, f"bench-{PLUGINS - 1}"),
        "discover": (lambda environment, _: _discover(environment.script("tap-scansource")), '"invoices"'),
        "discover-bare": (
            lambda environment, _: _discover(environment.python, str(PEERS / "bare_tap.py")),
            '"nothing"',
        ),
    }
    entries = [
        Entry(name, (OURS,), partial(_measure, name, prepare, expected))
        for name, (prepare, expected) in commands.items()
    ]
    return session.part("startup", interleaved(session, "startup", entries, TIMES * session.sizes["runs"]), entries)


def _measure(
    name: str, prepare: Prepare, expected: str, environments: Mapping[str, Environment], path: Path, number: int
) -> Run:
    command = prepare(environments[OURS], path)
    with (path / "output").open("w+b") as output:
        usage, _ = run(command, path, output)
        output.seek(0)
        missing = expected.encode() not in output.read()
    return Run(contender=name, round=number, **asdict(usage), error=f"{expected} is not shown" if missing else "")


def _discover(*command: str) -> Command:
    return Command([*command, "--discover"], {"LOGLEVEL": "WARNING"})


def _list(environment: Environment) -> Command:
    return Command([environment.script("vendortap"), "list"])


def _list_with_plugins(environment: Environment, path: Path) -> Command:
    """Put plugins on the path, each a distribution of its own as pip would install it, and list them."""
    plugins = path / "plugins"
    for number in range(PLUGINS):
        name = f"bench-{number}"
        module = plugins / f"tap_bench_{number}"
        described = plugins / f"tap_bench_{number}-1.0.0.dist-info"
        module.mkdir(parents=True)
        described.mkdir()
        (module / "__init__.py").write_text("raise AssertionError('listing plugins imports none')\n", encoding="utf-8")
        metadata = f"Metadata-Version: 2.1\nName: tap-{name}\nVersion: 1.0.0\nSummary: A plugin.\n"
        (described / "METADATA").write_text(metadata, encoding="utf-8")
        entry_points = f"[vendortap.connectors]\n{name} = tap_bench_{number}\n"
        (described / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        (described / "RECORD").touch()
    command = _list(environment)
    return Command(command.arguments, {"PYTHONPATH": str(plugins)})
