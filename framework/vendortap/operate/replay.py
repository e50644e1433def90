"""Records in quarantine, decoded again with today's connector: into messages, or through a target into its database.

An entry is done with when a target has taken its record and ended well; until then it stays, so that whatever breaks
on the way, the record is in the one place or in the other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import Any

from vendortap.declare.model import Connector
from vendortap.errors import ConfigError, VendortapError
from vendortap.singer.tap import tap_class
from vendortap.sync import quarantine
from vendortap.sync.quarantine import Kept


@dataclass(slots=True)
class Replayed:
    """What was written, what was not and why, and how many entries belong to another account."""

    written: list[Kept] = field(default_factory=list)
    left: list[tuple[Kept, str]] = field(default_factory=list)
    others: int = 0


def replay(
    connector: Connector,
    config: Mapping[str, Any],
    catalog: Mapping[str, Any] | None = None,
    target: Sequence[str] | None = None,
    *,
    mark: bool = False,
) -> Replayed:
    """Write SCHEMA and RECORD messages of what is good now, as the tap would, to ``target`` or standard output.

    Entries whose records a target has taken are closed. Whether whoever reads standard output has taken them cannot
    be known here; with ``mark`` they are closed all the same.

    Raises:
        ConfigError: there is no quarantine.
        VendortapError: the target failed; all entries stay.
    """
    kept = quarantine.of(connector, config)
    if kept is None:
        raise ConfigError("the setting 'quarantine_dir' is missing; it names the quarantine that is to be replayed")
    tap = tap_class(connector)(config=dict(config), catalog=catalog)
    entries, others = kept.entries()
    done = Replayed(others=others)
    with _into(target):
        for entry, problem in tap.replay(entries):
            if problem is None:
                done.written.append(entry)
            else:
                done.left.append((entry, problem))
        sys.stdout.flush()
    if target or mark:
        kept.close([entry.id for entry in done.written], "replayed")
    return done


@contextmanager
def _into(command: Sequence[str] | None) -> Iterator[None]:
    """Have standard output go into a target, and wait until that has ended well."""
    if command is None:
        yield
        return
    quiet = {"LOGLEVEL": "WARNING", **os.environ}
    try:
        target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=quiet)  # noqa: S603 - the operator's own command
    except OSError as error:
        raise ConfigError(f"{command[0]!r} cannot be started: {error.strerror}") from None
    assert target.stdin is not None  # noqa: S101 - a pipe was asked for
    try:
        with TextIOWrapper(target.stdin, encoding="utf-8") as pipe, redirect_stdout(pipe):
            yield
    except BrokenPipeError:
        pass  # its exit code, and its own message, say more
    finally:
        code = target.wait()
    if code:
        raise VendortapError(f"the target failed with exit code {code}; its message is above, and all entries stay")
