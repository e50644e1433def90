"""The states that the target keeps with its rows, where `vendortap run` asks it to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.duckdb.kit import STRING, load, record, rows, schema
from vendortap.duckdb import database, states
from vendortap.errors import ConfigError, LoadError, UsageError

ACME = {"state_of": "acme"}
BILLS = schema("bills", {"id": STRING}, ["id"])


def state(number: int, **more: Any) -> dict[str, Any]:
    """A STATE message."""
    return {"type": "STATE", "value": {"bookmarks": {"bills": {"at": number}}, **more}}


def numbers(file: Path, instance: str = "acme") -> list[tuple[int, int]]:
    """Generation and bookmark of each state that a file keeps of an instance, the newest first."""
    kept = [kept for kept in states.history(file) if kept.instance == instance]
    return [(one.number, json.loads(one.state)["bookmarks"]["bills"]["at"]) for one in kept]


def printed(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.promise("The DuckDB target by itself keeps no state: only `vendortap run` has it do that")
def test_the_target_by_itself_keeps_no_state(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(file, BILLS, record("bills", id="a"), state(1))
    assert rows(file, "SELECT schema_name, table_name FROM duckdb_tables()") == [("main", "bills")]
    assert printed(capsys) == [{"bookmarks": {"bills": {"at": 1}}}]
    assert states.look(file, "acme", "main") == (None, None, True)


def test_the_state_printed_says_which_generation_of_which_database_it_is(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the tap hands back of an older one; the one that is kept does not say so."""
    old = {"database": "another", "number": 7}
    load(file, BILLS, record("bills", id="a"), state(1, generation=old), batch_size_rows=1, **ACME)
    load(file, BILLS, state(2, generation=old), **ACME)
    (first, second) = printed(capsys)
    assert first == {
        "bookmarks": {"bills": {"at": 1}},
        "generation": {"database": first["generation"]["database"], "number": 1},
    }
    assert second["generation"] == {**first["generation"], "number": 2}
    contents = states.look(file, "acme", "main")
    assert (contents.id, contents.has_tables) == (first["generation"]["database"], True)
    assert contents.newest
    assert json.loads(contents.newest.state) == {"bookmarks": {"bills": {"at": 2}}}


@pytest.mark.promise("A database keeps the newest state of each connector and account, and ten before it")
def test_ten_predecessors_are_kept_and_an_unchanged_state_is_kept_once(file: Path) -> None:
    for number in range(1, 16):  # a run each; what it commits on the way is no generation of its own
        row, on_the_way = record("bills", id=str(number)), state(-number)
        load(file, BILLS, row, on_the_way, row, state(number), state(number), max_batch_age_seconds=0, **ACME)
    assert numbers(file) == [(number, number) for number in range(15, 4, -1)]
    load(file, BILLS, record("bills", id="again"), state(15), **ACME)
    assert numbers(file)[0] == (15, 15)
    assert rows(file, "SELECT count(*) FROM bills") == [(16,)]


def test_a_state_without_rows_is_kept_too(file: Path) -> None:
    """As where a run only learns that nothing has changed, or begins anew."""
    load(file, BILLS, record("bills", id="a"), state(1), **ACME)
    load(file, BILLS, state(2), **ACME)
    assert numbers(file) == [(2, 2), (1, 1)]


def test_instances_are_kept_apart_and_generations_are_numbered_through_all_of_them(file: Path) -> None:
    for number, instance in enumerate(["acme", "other:1", "acme", "other:2"], start=1):
        load(file, BILLS, state(number), state_of=instance)
    assert numbers(file) == [(3, 3), (1, 1)]
    assert [kept.number for kept in states.history(file)] == [3, 1, 2, 4]


class Full(Exception):
    """What stands for a target that dies at this place."""


@pytest.mark.promise("Rows and the state that covers them are committed in one transaction")
@pytest.mark.parametrize("place", ["load", "_insert", "COMMIT"])
def test_rows_and_their_state_are_committed_together_or_not_at_all(
    place: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails: the rows, the state, or the commit of both."""
    load(file, BILLS, record("bills", id="a"), state(1), **ACME)

    def fail(*_: Any) -> Any:
        raise Full

    with monkeypatch.context() as patched:
        if place == "load":
            patched.setattr(database, "load", fail)
        elif place == "_insert":
            patched.setattr(states, "_insert", fail)
        else:
            written = states.Writer.write

            def write_and_fail(writer: states.Writer, state: Any) -> None:
                written(writer, state)
                raise Full

            patched.setattr(states.Writer, "write", write_and_fail)
        with pytest.raises(Full):
            load(file, BILLS, record("bills", id="b"), state(2), **ACME)
    assert (rows(file, "SELECT * FROM bills"), numbers(file)) == ([("a",)], [(1, 1)])
    load(file, BILLS, record("bills", id="b"), state(2), **ACME)
    assert (rows(file, "SELECT count(*) FROM bills"), numbers(file)) == ([(2,)], [(2, 2), (1, 1)])


def test_a_state_is_not_committed_before_rows_of_another_stream_that_it_covers(file: Path) -> None:
    """The SDK drains sinks of an old schema first: no state may go with these alone."""
    other = schema("other", {"id": STRING}, ["id"])
    wider = schema("bills", {"id": STRING, "more": STRING}, ["id"])
    bad = '{"type": "RECORD", "stream": "other", "record": {"id": 1}}'
    with pytest.raises(LoadError):
        load(file, BILLS, other, record("bills", id="a"), record("other", id="x"), state(1), wider, bad, **ACME)
    assert numbers(file) == [(1, 1)]
    assert rows(file, "SELECT (SELECT count(*) FROM bills), (SELECT count(*) FROM other)") == [(1, 1)]


def test_a_state_that_somebody_has_spoiled_is_replaced(file: Path) -> None:
    load(file, BILLS, state(1), **ACME)
    rows(file, "UPDATE _vendortap.states SET state = '[]'")
    load(file, BILLS, state(1), **ACME)
    assert [kept.number for kept in states.history(file)] == [2, 1]


def test_an_earlier_state_can_be_made_the_newest(file: Path) -> None:
    for number in (1, 2, 3):
        load(file, BILLS, state(number), **ACME)
    assert states.restore(file, 2).number == 4
    assert numbers(file) == [(4, 2), (3, 3), (2, 2), (1, 1)]
    with pytest.raises(UsageError, match="keeps no state of generation 9; `vendortap state list"):
        states.restore(file, 9)


def test_a_table_of_another_shape_is_a_sentence(file: Path) -> None:
    rows(file, "CREATE SCHEMA _vendortap")
    rows(file, "CREATE TABLE _vendortap.states (a INT)")
    with pytest.raises(LoadError, match="the schema _vendortap of the database is not as vendortap makes it"):
        states.look(file, "acme", "main")
    with pytest.raises(LoadError, match="the schema _vendortap of the database is not as vendortap makes it"):
        load(file, BILLS, state(1), **ACME)


def test_a_setting_of_that_name_which_is_no_name_is_unknown(file: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'state_of'"):
        load(file, BILLS, state_of=7)
