"""Plans: units out of settings and bookmarks, and the keys that an operator names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.declare import plan
from vendortap.declare.model import Bookmark, Plan, Slice, Windows
from vendortap.errors import ConfigError

NOW = datetime(2025, 6, 1, tzinfo=UTC)
MARK = Bookmark(datetime(2025, 3, 1, 2, 0, tzinfo=UTC))
SINCE = plan.since_date("from", start="start_date", follows=lambda config: bool(config.get("follows")))


def test_a_plan_without_a_list_setting_is_one_unit() -> None:
    assert list(plan.slices(Plan(), {}, lambda _: MARK, NOW)) == [Slice({}, {}, MARK, MARK)]


def test_each_value_of_the_list_setting_is_a_unit_with_the_bookmark_of_its_own_partition() -> None:
    slices = plan.slices(
        Plan(each=("customers", "customer")),
        {"customers": [2, "1", 2]},
        lambda p: MARK if p["customer"] == "1" else None,
        NOW,
    )
    assert list(slices) == [
        Slice({"customer": "2"}, {"customer": "2"}, None),
        Slice({"customer": "1"}, {"customer": "1"}, MARK, MARK),
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
        ({"follows": True, "start_date": "2025-01-31"}, MARK, {"from": "2025-02-28"}),
        ({"follows": True, "start_date": "2025-03-15"}, MARK, {"from": "2025-03-15"}),
        ({"follows": True}, Bookmark(datetime(1, 1, 1, tzinfo=UTC)), {"from": "0001-01-01"}),
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
    (unit,) = plan.slices(Plan(since=SINCE), {"start_date": "2025-01-31"}, lambda _: None, NOW)
    assert (unit.params, unit.partition) == ({"from": "2025-01-31"}, {})


# --- look-back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "known"),
    [
        (0, MARK),
        (1, Bookmark(MARK.value - timedelta(days=1))),
        (60, Bookmark(datetime(2024, 12, 31, 2, tzinfo=UTC))),
        (10**6, Bookmark(datetime(1, 1, 1, tzinfo=UTC))),
    ],
)
def test_a_look_back_sets_back_what_is_known_and_not_the_bookmark(days: int, known: Bookmark) -> None:
    mark = Bookmark(MARK.value, (("1",),))
    (unit,) = plan.slices(Plan(lookback="days"), {"days": days}, lambda _: mark, NOW)
    assert unit.since == mark
    assert unit.known == (mark if days == 0 else known)


def test_without_a_bookmark_there_is_nothing_to_look_back_from() -> None:
    assert list(plan.slices(Plan(lookback="days"), {"days": 60}, lambda _: None, NOW)) == [Slice({})]


def test_a_list_begins_where_the_look_back_leads_but_not_before_the_start() -> None:
    look_back = Plan(lookback="days", since=SINCE)
    for days, first in ((10, "2025-02-18"), (60, "2025-01-31")):
        config = {"days": days, "follows": True, "start_date": "2025-01-31"}
        (unit,) = plan.slices(look_back, config, lambda _: MARK, NOW)
        assert unit.params == {"from": first}


# --- windows -----------------------------------------------------------------------------------------


def windows(overlap_seconds: int = 1, lookback: str | None = None) -> Plan:
    return Plan(windows=Windows("start", "end", "days", ("after", "before"), overlap_seconds), lookback=lookback)


def spans(slices: list[Slice]) -> list[tuple[str, str]]:
    return [(unit.params["after"], unit.params["before"]) for unit in slices]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_windows_go_from_the_start_to_now_and_overlap_by_a_second() -> None:
    config = {"start": "2025-05-20", "days": 7}
    slices = list(plan.slices(windows(), config, lambda _: None, NOW + timedelta(microseconds=999_999)))
    assert spans(slices) == [
        ("2025-05-19T23:59:59Z", "2025-05-26T23:59:59Z"),
        ("2025-05-26T23:59:58Z", "2025-06-01T00:00:00Z"),
    ]
    assert [unit.bookmark for unit in slices] == [moment("2025-05-26T23:59:59Z"), NOW]


@pytest.mark.parametrize(
    ("end", "last"),
    [("2025-05-22", "2025-05-22T00:00:00Z"), ("2030-01-01", "2025-06-01T00:00:00Z"), (None, "2025-06-01T00:00:00Z")],
)
def test_the_last_window_ends_at_the_end_and_never_in_the_future(end: str | None, last: str) -> None:
    config = {"start": "2025-05-20", "days": 7, "end": end}
    *_, unit = plan.slices(windows(), config, lambda _: None, NOW)
    assert unit.params["before"] == last
    assert unit.bookmark == moment(last)


@pytest.mark.parametrize(
    ("config", "mark"),
    [
        ({"start": "2025-06-01"}, None),
        ({"start": "2025-06-02"}, None),
        ({"start": "2030-01-01", "end": "2031-01-01"}, None),
        ({"start": "2025-05-20", "end": "2025-05-20"}, None),
        ({"start": "2025-05-20", "end": "2025-05-19"}, None),
        ({"start": "2025-05-20"}, Bookmark(NOW)),
        ({"start": "2025-05-20"}, Bookmark(NOW + timedelta(days=9))),
    ],
)
def test_where_nothing_is_left_there_are_no_windows(config: dict[str, Any], mark: Bookmark | None) -> None:
    assert list(plan.slices(windows(), {"days": 7, **config}, lambda _: mark, NOW)) == []


def test_windows_go_on_from_the_bookmark_less_the_look_back_but_not_before_the_start() -> None:
    mark = Bookmark(moment("2025-05-30T06:30:00Z"))
    for days, first in ((0, "2025-05-30T06:29:59Z"), (2, "2025-05-28T06:29:59Z"), (60, "2025-05-19T23:59:59Z")):
        config = {"start": "2025-05-20", "days": 30, "back": days}
        (unit,) = plan.slices(windows(lookback="back"), config, lambda _: mark, NOW)
        assert unit.params["after"] == first
        assert unit.since == mark


def test_each_partition_has_windows_of_its_own() -> None:
    each = Plan(each=("sites", "site"), windows=windows().windows)
    marks = {"a": Bookmark(moment("2025-05-31T00:00:00Z")), "b": None}
    config = {"sites": ["a", "b"], "start": "2025-05-30", "days": 1}
    slices = list(plan.slices(each, config, lambda p: marks[p["site"]], NOW))
    assert [(unit.partition["site"], unit.params["after"][:10]) for unit in slices] == [
        ("a", "2025-05-30"),
        ("a", "2025-05-31"),
        ("b", "2025-05-29"),
        ("b", "2025-05-30"),
        ("b", "2025-05-31"),
    ]


def test_the_beginning_of_time_is_a_start_like_any_other() -> None:
    first = next(plan.slices(windows(), {"start": "0001-01-01", "days": 7}, lambda _: None, NOW))
    assert first.params["after"] == "0001-01-01T00:00:00Z"


def test_a_start_or_an_end_that_is_no_date_is_a_sentence() -> None:
    for wrong in ({"start": "2025-02-30"}, {"end": "2025-02-30"}):
        with pytest.raises(ConfigError, match=f"'{next(iter(wrong))}' has to be a date, such as"):
            list(plan.slices(windows(), {"start": "2025-01-01", "days": 7, **wrong}, lambda _: None, NOW))


MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2025, 12, 31), timezones=st.just(UTC))


@given(
    start=st.dates(date(2024, 1, 1), date(2025, 12, 31)),
    end=st.none() | st.dates(date(2024, 1, 1), date(2026, 12, 31)),
    days=st.integers(1, 90),
    overlap=st.integers(0, 43_200),  # near a day, days of a second each would be counted by the million
    back=st.integers(0, 400),
    mark=st.none() | MOMENTS,
    now=MOMENTS,
)
def test_windows_leave_nothing_out_whatever_the_settings(
    start: date, end: date | None, days: int, overlap: int, back: int, mark: datetime | None, now: datetime
) -> None:
    config = {"start": start.isoformat(), "end": end and end.isoformat(), "days": days, "back": back}
    bookmark = Bookmark(mark) if mark else None
    slices = list(plan.slices(windows(overlap, "back"), config, lambda _: bookmark, now))

    first = datetime(start.year, start.month, start.day, tzinfo=UTC)
    if mark:
        first = max(first, mark - timedelta(days=back))
    last = now.replace(microsecond=0)
    if end:
        last = min(last, datetime(end.year, end.month, end.day, tzinfo=UTC))
    assert (slices == []) == (first >= last)
    if not slices:
        return
    second = timedelta(seconds=1)  # the vendor is told whole seconds
    overlapping = timedelta(seconds=overlap)
    edges = [(moment(after), moment(before)) for after, before in spans(slices)]
    assert first - overlapping - second < edges[0][0] <= first - overlapping
    assert edges[-1][1] == last
    assert slices[-1].bookmark == last
    for (_, before), (after, _) in pairwise(edges):
        assert before - overlapping - second <= after <= before - overlapping
    for unit, (after, before) in zip(slices, edges, strict=True):
        assert after < before
        assert before - after <= timedelta(days=days)
        assert unit.bookmark is not None
        assert before <= unit.bookmark < before + second


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
