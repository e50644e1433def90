"""Tables grow with their schemas: new columns, wider types, and the changes that are refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.duckdb.kit import AMOUNT, INTEGER, STRING, WHEN, Message, arr, load, obj, record, rows, schema, types
from vendortap.errors import LoadError


@pytest.mark.parametrize("same_run", [True, False])
def test_columns_and_nested_fields_are_added(file: Path, same_run: bool) -> None:
    old = schema("s", {"id": STRING, "gone": STRING, "o": obj(a=obj(x=INTEGER)), "l": arr(obj(n=INTEGER))}, ["id"])
    new = schema(
        "s",
        {
            "id": STRING,
            "l": arr(obj(m=AMOUNT, n=AMOUNT, deep=arr(obj(k=STRING)))),
            "o": obj(a=obj(y=STRING, x=INTEGER)),
            "New": WHEN,
        },
        ["id"],
    )
    first = [old, record("s", id="1", gone="g", o={"a": {"x": 1}}, l=[{"n": 7}])]
    second = [new, record("s", id="2", l=[{"m": "1.5", "n": "2.5", "deep": [{"k": "z"}]}], o={"a": {"y": "b"}})]
    for messages in [first + second] if same_run else [first, second]:
        load(file, *messages)
    assert types(file, "s") == {
        "id": "VARCHAR",
        "gone": "VARCHAR",
        "o": "STRUCT(a STRUCT(x BIGINT, y VARCHAR))",
        "l": "STRUCT(n DECIMAL(38,9), m DECIMAL(38,9), deep STRUCT(k VARCHAR)[])[]",
        "New": "TIMESTAMP WITH TIME ZONE",
    }
    assert rows(file, "SELECT * EXCLUDE (New) FROM s ORDER BY id") == [
        ("1", "g", {"a": {"x": 1, "y": None}}, [{"n": Decimal(7), "m": None, "deep": None}]),
        ("2", None, {"a": {"x": None, "y": "b"}}, [{"n": Decimal("2.5"), "m": Decimal("1.5"), "deep": [{"k": "z"}]}]),
    ]
    load(file, old, record("s", id="1", gone="h", l=[{"n": 8}]))
    assert rows(file, "SELECT gone, l[1].n FROM s WHERE id = '1'") == [("h", Decimal(8))]


@pytest.mark.parametrize(
    ("old", "new", "value", "kind"),
    [
        (INTEGER, AMOUNT, "1.5", "DECIMAL(38,9)"),
        (AMOUNT, INTEGER, 5, "DECIMAL(38,9)"),
        (INTEGER, {"type": "integer", "maximum": 2**100}, 2**99, "HUGEINT"),
        ({"type": ["null", "integer"], "maximum": 2**100}, INTEGER, 5, "HUGEINT"),
        (STRING, WHEN, "2024-01-01T00:00:00Z", "VARCHAR"),
        ({}, AMOUNT, 5, "JSON"),
    ],
)
def test_types_widen_where_nothing_is_lost(file: Path, old: Message, new: Message, value: Any, kind: str) -> None:
    load(file, schema("s", {"v": old}), record("s", v=None))
    load(file, schema("s", {"v": new}), record("s", v=value))
    assert types(file, "s") == {"v": kind}
    assert len(rows(file, "SELECT * FROM s")) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (STRING, AMOUNT),
        (AMOUNT, STRING),
        (WHEN, STRING),
        (WHEN, {"type": "string", "format": "date"}),
        (STRING, obj(a=STRING)),
        (obj(a=STRING), arr(STRING)),
        (obj(a=STRING), {}),
        (arr(obj(a=STRING)), arr(obj(a=INTEGER))),
        (obj(a=STRING), obj(A=STRING)),
    ],
)
def test_other_changes_of_type_are_refused(file: Path, old: Message, new: Message) -> None:
    load(file, schema("s", {"v": old}), record("s", v=None))
    with pytest.raises(LoadError, match=r"line 1: stream 's'\.v"):
        load(file, schema("s", {"v": new}), record("s", v=None))
    assert len(rows(file, "SELECT * FROM s")) == 1


def test_a_column_whose_case_changed_is_refused(file: Path) -> None:
    load(file, schema("s", {"Id": STRING}))
    with pytest.raises(LoadError, match="has both 'Id' and 'id'"):
        load(file, schema("s", {"id": STRING}))


def test_a_raised_scale_widens_or_says_that_values_are_too_large(file: Path) -> None:
    head = schema("s", {"n": AMOUNT})
    load(file, head, record("s", n="1.5"))
    load(file, head, record("s", n="1.000000000001"), decimal_scale=12)
    assert rows(file, "SELECT n FROM s") == [(Decimal("1.5"),), (Decimal("1.000000000001"),)]
    load(file, head, record("s", n="99999999999999999999999999"), decimal_scale=9)
    with pytest.raises(LoadError, match=r"column 'n' of main\.s holds values that do not fit DECIMAL\(38,20\)"):
        load(file, head, decimal_scale=20)
    assert types(file, "s") == {"n": "DECIMAL(38,12)"}


def test_a_double_made_by_others_is_refused(file: Path) -> None:
    rows(file, "CREATE TABLE s (n DOUBLE, other UNION(a INTEGER))")
    with pytest.raises(LoadError, match="is DOUBLE in the database"):
        load(file, schema("s", {"n": AMOUNT}))
    load(file, schema("s", {"m": AMOUNT}), record("s", m=1))
    assert rows(file, "SELECT m FROM s") == [(Decimal(1),)]
