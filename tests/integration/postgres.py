"""A PostgreSQL server of the tests' own: a private port and data directory, nothing of the system's server touched."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.debian import installed

USER = "vendortap"
DATABASE = "postgres"
_FASTER = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB"


@dataclass(frozen=True)
class Server:
    """A running server on 127.0.0.1."""

    port: int
    password: str
    psql: str

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the settings of meltanolabs-target-postgres and -tap-postgres that lead to it."""
        place = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": self.password, "database": DATABASE}
        return {**place, **more}

    def query(self, sql: str) -> list[list[str]]:
        """Return the rows of a query, each value as PostgreSQL prints it; null is the empty text."""
        ask = [self.psql, "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--field-separator=\x1f"]
        ask += ["--record-separator=\x1e", "--set=ON_ERROR_STOP=1", "--command", sql]
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": USER, "PGDATABASE": DATABASE}
        secret = {"PGPASSWORD": self.password, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8"}
        done = subprocess.run(ask, capture_output=True, text=True, env={**os.environ, **place, **secret}, check=False)
        assert done.returncode == 0, done.stderr
        rows = done.stdout.removesuffix("\n").removesuffix("\x1e")
        return [row.split("\x1f") for row in rows.split("\x1e")] if rows else []


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server, and stop and remove it at the end.

    The program refuses to be root: there it is the user that Debian's package made, and its data are that user's.
    """
    pg_ctl = installed("PostgreSQL", "postgresql", ["pg_ctl"], ["/usr/lib/postgresql/*/bin"])
    psql = installed("PostgreSQL's client", "postgresql-client", ["psql"], ["/usr/lib/postgresql/*/bin"])
    folder = Path(tempfile.mkdtemp(prefix="vendortap-postgres-"))
    try:
        owner = _owner()
        secret = folder / "password"
        secret.write_text(secrets.token_urlsafe(), encoding="ascii")
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        server = Server(free_port(), secret.read_text(encoding="ascii"), psql)
        make = f"--auth=scram-sha-256 --username={USER} --pwfile={secret} --encoding=UTF8 --locale=C --no-sync"
        _run([pg_ctl, "initdb", "--silent", "--pgdata", str(folder / "data"), "--options", make], owner)
        options = f"{_FASTER} -c listen_addresses=127.0.0.1 -c port={server.port} -c unix_socket_directories=''"
        data = ["--silent", "--pgdata", str(folder / "data")]
        _run([pg_ctl, "start", "--wait", "--log", str(folder / "log"), "--options", options, *data], owner)
        try:
            yield server
        finally:
            _run([pg_ctl, "stop", "--wait", "--mode=immediate", *data], owner)
    finally:
        shutil.rmtree(folder)


def _owner() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        pytest.fail(
            "PostgreSQL does not run as root, and there is no user 'postgres': `adduser postgres`", pytrace=False
        )


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(command: list[str], owner: pwd.struct_passwd) -> None:
    """Run a command of PostgreSQL as its user. What it starts keeps standard output, so that it goes nowhere."""
    given: dict[str, Any] = {"cwd": "/", "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    if owner.pw_uid != os.geteuid():
        given |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(command, stderr=said, timeout=60, check=False, **given)
        said.seek(0)
        assert done.returncode == 0, f"{' '.join(command)}: {said.read()}"
