"""Plans: units out of settings and bookmarks, and the keys that an operator names."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from vendortap import plan
from vendortap.errors import ConfigError
from vendortap.model import Bookmark, Plan, Unit

NOW = datetime(2025, 6, 1, tzinfo=timezone.utc)
MARK = Bookmark(datetime(2025, 3, 1, 2, 0, tzinfo=timezone.utc))
SINCE = plan.since_date("from", start="start_date", follows=lambda config: bool(config.get("follows")))


def test_a_plan_without_a_list_setting_is_one_unit() -> None:
    assert list(plan.units(Plan(), {}, lambda _: MARK, NOW)) == [Unit({}, {}, MARK, MARK)]


def test_each_value_of_the_list_setting_is_a_unit_with_the_bookmark_of_its_own_partition() -> None:
    units = plan.units(
        Plan(each=("customers", "customer")),
        {"customers": [2, "1", 2]},
        lambda p: MARK if p["customer"] == "1" else None,
        NOW,
    )
    assert list(units) == [
        Unit({"customer": "2"}, {"customer": "2"}, None),
        Unit({"customer": "1"}, {"customer": "1"}, MARK, MARK),
    ]


@pytest.mark.parametrize(
    ("config", "bookmark", "params"),
    [
        ({}, None, {}),
        ({"start_date": "2025-01-31"}, None, {"from": "2025-01-31"}),
        ({"start_date": "2025-01-31T23:00:00Z"}, None, {"from": "2025-01-31"}),
        ({"start_date": "2025-01-31"}, MARK, {"from": "2025-01-31"}),
        ({}, MARK, {}),
        ({"follows": True}, MARK, {"from": "2025-02-28"}),
        ({"follows": True, "start_date": "2025-01-31"}, None, {"from": "2025-01-31"}),
    ],
)
def test_the_list_begins_at_the_start_or_a_day_before_the_bookmark_if_that_may_be_relied_on(
    config: dict[str, Any], bookmark: Bookmark | None, params: dict[str, str]
) -> None:
    assert SINCE(config, bookmark) == params


def test_a_start_that_is_no_date_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="'start_date' has to be a date"):
        SINCE({"start_date": "2025-02-30"}, None)


def test_what_a_plan_computes_goes_into_the_params_but_not_into_the_partition() -> None:
    (unit,) = plan.units(Plan(since=SINCE), {"start_date": "2025-01-31"}, lambda _: None, NOW)
    assert (unit.params, unit.partition) == ({"from": "2025-01-31"}, {})


# --- keys --------------------------------------------------------------------------------------------

LISTED = plan.listed("numbers")
IN_FILE = plan.in_file("file", column="column")


def write(tmp_path: Path, data: str | bytes) -> dict[str, Any]:
    path = tmp_path / "numbers"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return {"file": str(path)}


def test_listed_keys_come_once_each_in_their_order_without_blanks_around_them() -> None:
    assert LISTED({"numbers": ["2", " 1 ", "2", "1"]}) == ["2", "1"]


def test_a_blank_key_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="'numbers' has a blank value"):
        LISTED({"numbers": ["1", " "]})


def test_the_first_configured_source_counts(tmp_path: Path) -> None:
    config = write(tmp_path, "9")
    assert plan.configured((LISTED, IN_FILE), {}) is None
    assert plan.configured((LISTED, IN_FILE), config) == ["9"]
    assert plan.configured((LISTED, IN_FILE), {**config, "numbers": ["1"]}) == ["1"]


@pytest.mark.parametrize("text", ["1\n2\n3\n", "\ufeff1\r\n\r\n 2\t\r\n3", "1\n\n\n2\n3"])
def test_a_text_file_has_a_key_a_line(tmp_path: Path, text: str) -> None:
    assert IN_FILE(write(tmp_path, text)) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "text",
    ["who,no\na,1\nb,2\n", '\ufeffno,who\r\n1,"x, y"\r\n2,\r\n', 'who,no\n"two\nlines",1\n"",2\nshort\n'],
)
def test_a_csv_file_has_a_key_a_row_in_the_column_named(tmp_path: Path, text: str) -> None:
    assert IN_FILE({**write(tmp_path, text), "column": "no"}) == ["1", "2"]


@pytest.mark.parametrize(
    ("data", "column", "message"),
    [
        ("", None, "holds no keys"),
        (" \n\n", None, "holds no keys"),
        ("1\n2\n\n1\n", None, "line 4 repeats line 1"),
        ("no\n1\n1\n", "no", "line 3 repeats line 2"),
        ("who\n1\n", "no", "has no column 'no', which 'column' names"),
        ("", "no", "has no column 'no'"),
        (b"\xff\xfe1\x00", None, "cannot be read: not UTF-8 text"),
        ("no\n" + "x" * 200_000, "no", "is not CSV"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence_with_its_name(
    tmp_path: Path, data: str | bytes, column: str | None, message: str
) -> None:
    config = write(tmp_path, data)
    with pytest.raises(ConfigError, match=message) as caught:
        IN_FILE({**config, "column": column})
    assert config["file"] in str(caught.value)


@pytest.mark.parametrize("name", ["missing.txt", ".", "nul\0byte"])
def test_a_file_that_cannot_be_opened_is_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="named by 'file' cannot be read"):
        IN_FILE({"file": f"{tmp_path}/{name}"})
