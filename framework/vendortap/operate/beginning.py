"""Which state a run begins from: the one that its database keeps, or one in a file that the database is not behind.

A state says what is in a database. Without the database, or with an older copy of it, going on from the state would
leave out what it covers, for good and without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vendortap.errors import LoadError, StateError
from vendortap.support import lock
from vendortap.support.files import parse_json, real_path
from vendortap.sync.state import State, check_state, has_bookmark

if TYPE_CHECKING:
    from vendortap.declare.model import Config, Connector
    from vendortap.duckdb.states import Contents


@dataclass(frozen=True, slots=True)
class Database:
    """The DuckDB file of a run, and whose states it keeps: a connector's and, where there are several, an account's."""

    path: Path
    connector: str
    account: str | None = None

    @property
    def instance(self) -> str:
        """What the file calls the owner of a state."""
        return f"{self.connector}:{self.account}" if self.account else self.connector

    @property
    def schema(self) -> str:
        """The schema that the connector's streams are loaded into."""
        return schema_name(self.connector)


def schema_name(connector: str) -> str:
    """Return the database schema that a connector's streams are loaded into."""
    return connector.replace("-", "_")


def database_of(connector: Connector, config: Config, path: Path) -> Database:
    """Return the database of a run with these settings, whose defaults are filled in."""
    from vendortap.plugins.validation import settings
    from vendortap.sync.owner import owner_of

    return Database(path, connector.name, owner_of(connector, config, settings(connector)).account)


@contextmanager
def held(path: Path) -> Iterator[int]:
    """Have a database to oneself, as ``vendortap.sync.state.kept`` has a state file; yields what children inherit.

    Raises:
        InUseError: another run has it.
        LoadError: nothing can be written beside it.
    """
    with ExitStack() as stack:
        try:
            real = real_path(path)  # by whatever name it is called: the lock is one
            descriptor = stack.enter_context(lock.held(real.with_name(f"{real.name}.lock"), f"the database {path}"))
        except OSError as error:
            raise LoadError(f"cannot write beside {path}: {error.strerror}") from None
        yield descriptor


def look(database: Database) -> Contents:
    """Return what a database has of its instance.

    Raises:
        LoadError: it cannot be used now.
    """
    from vendortap.duckdb import states  # which needs an extra

    return states.look(database.path.absolute(), database.instance, database.schema)


def kept_state(database: Database) -> State | None:
    """Return the state that a database keeps, in today's version; ``None`` where it has none of this instance yet.

    Raises:
        LoadError: the database cannot be used now.
        StateError: the state cannot be used; says how to go on.
    """
    contents = look(database)
    if contents.newest is None:
        return None
    path, what = database.path, f"the state of {database.connector} that {database.path} keeps"
    try:
        state = check_state(parse_json(contents.newest.state, StateError, "it"))
    except StateError as error:
        raise StateError(
            f"{what} cannot be used: {error}. Nothing was fetched. `vendortap state list {path}` shows the states "
            "before it, and `vendortap state restore` goes back to one. To fetch everything again, use --full-refresh"
        ) from None
    if _covers(state) and not contents.has_tables:
        raise StateError(
            f"{what} is without its tables: the schema {database.schema} is empty, and what has been loaded would be "
            f"missing from now on. Nothing was fetched. Restore {path} from a backup, or fetch everything again with "
            "--full-refresh"
        )
    return state


def check_file(state: State | None, file: Path, database: Database) -> str | None:
    """Refuse a state file of which the database does not have everything; returns what to warn of.

    Raises:
        LoadError: the database cannot be used now.
        StateError: it is another one, empty or behind the file; says both remedies.
    """
    contents, path = look(database), database.path
    if state is None or not _covers(state):
        if state is None and contents.newest:
            return f"there is no state file {file}, so everything is fetched. Without --state, {path} keeps the state"
        return None
    generation = _generation_of(state, file)
    if problem := _problem(contents, generation, database):
        raise StateError(
            f"the state file {file} says what has been loaded, but {problem}. To go on from there would leave out what "
            f"is missing. Nothing was fetched. Restore the {path} that belongs to the file, or fetch everything again "
            "with --full-refresh"
        )
    if generation is None:
        return (
            f"the state file {file} does not say which database it belongs to, as an older version or another target "
            f"wrote it. It is taken for {path}, and says so from now on"
        )
    return None


class _Generation(msgspec.Struct):
    database: str
    number: int


def _generation_of(state: State, file: Path) -> _Generation | None:
    """Return what a state file says of where its state is kept as well, if it does."""
    try:
        return msgspec.convert(state.get("generation"), _Generation | None)
    except msgspec.ValidationError:
        raise StateError(
            f"the state file {file} has a 'generation' that cannot be read. Put back the file as vendortap wrote it"
        ) from None


def _problem(contents: Contents, generation: _Generation | None, database: Database) -> str | None:
    """Say why a database does not have what a state file says, if so."""
    path = database.path
    if not path.exists():
        return f"the database {path} does not exist"
    if not contents.has_tables:
        return f"the database {path} has no tables of {database.connector}"
    if generation is None:
        return None
    if generation.database != contents.id:
        return f"{path} is another database than the one that it belongs to"
    if contents.newest is None:
        return f"the database {path} keeps no state of this account of {database.connector}"
    if generation.number > contents.newest.number:
        return (
            f"the database {path} is behind: it is at generation {contents.newest.number}, and the file at "
            f"{generation.number}"
        )
    return None


def _covers(state: State) -> bool:
    """Whether a state leaves out anything of any stream."""
    return any(has_bookmark(state, stream) for stream in state.get("bookmarks", {}))
