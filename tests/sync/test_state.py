"""The state: its versions, and the file that a run keeps it in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.helpers._state import increment_state

from tests.strategies import spoil
from tests.sync.kit import LIST
from vendortap.cli.open_items import _row
from vendortap.cli.tables import table
from vendortap.errors import InUseError, StateError
from vendortap.support import files
from vendortap.sync import open_items, state
from vendortap.sync.open_items import OpenItems
from vendortap.sync.owner import Owner, adopt
from vendortap.sync.state import MIGRATIONS, STATE_VERSION, State, check_state, kept, previous, read_state, way_back

BOOKMARK = {"replication_key": "At", "replication_key_value": "2025-01-31T12:00:00+00:00", "seen": [["1"]]}
PART: State = {"context": {"customer": "1"}, **BOOKMARK}
ONE: State = {"version": 1, "bookmarks": {"invoices": {"partitions": [PART]}}}
TWO: State = {"version": 2, "bookmarks": {"invoices": {"partitions": {"customer=1": PART}}}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["bookmarks", "version", "partitions", "seen"]), inner)
    ),
)


# --- versions ----------------------------------------------------------------------------------------


def test_todays_state_is_taken_as_it_is() -> None:
    assert check_state(TWO) == TWO
    assert check_state(ONE) == TWO
    assert check_state({}) == {"version": STATE_VERSION}


@pytest.mark.promise("A state of an older version is migrated, one of a newer version refused")
def test_a_state_without_a_version_as_taps_on_singer_sdk_write_it_is_migrated() -> None:
    """Version 0 is made here by singer-sdk's own code: of a sorted stream, and of one that was interrupted."""
    done: State = {}
    increment_state(
        done,
        replication_key="At",
        latest_record={"At": "2025-01-31T12:00:00+00:00"},
        is_sorted=True,
        check_sorted=True,
    )
    interrupted: State = {"replication_key_signpost": "2025-02-01T00:00:00+00:00"}
    increment_state(
        interrupted,
        replication_key="At",
        latest_record={"At": "2025-01-31T12:00:00+00:00"},
        is_sorted=False,
        check_sorted=True,
    )
    old = {"bookmarks": {"invoices": {"partitions": [{"context": {"customer": "1"}, **done}]}, "details": interrupted}}
    new = check_state(json.loads(json.dumps(old)))
    assert new["version"] == STATE_VERSION
    found = state.read_bookmark("invoices", state.find_entry(new, "invoices", {"customer": "1"}))
    assert found is not None
    assert (found.value.isoformat(), found.keys_at_bookmark) == ("2025-01-31T12:00:00+00:00", ())
    assert state.read_bookmark("details", state.find_entry(new, "details", {})) is None, "it is read anew"


@pytest.mark.promise("A state of an older version is migrated, one of a newer version refused")
def test_each_version_is_migrated_by_its_own_step_once_and_in_order() -> None:
    """The next version is one more function in the table: tried with three of them."""
    steps: list[str] = []

    def step(name: str, change: Callable[[State], State]) -> Callable[[State], State]:
        def migrate(old: State) -> State:
            steps.append(name)
            return change(old)

        return migrate

    def renamed(old: State) -> State:
        return {"bookmarks": {name.replace("bills", "invoices"): entry for name, entry in old["marks"].items()}}

    def moved(old: State) -> State:
        return {**old, "marks": old["bookmarks"]}

    table = (step("0 to 1", lambda old: old), step("1 to 2", moved), step("2 to 3", renamed))
    for version in (None, 0, 1):
        old = {"bookmarks": {"bills": dict(BOOKMARK)}} | ({} if version is None else {"version": version})
        assert check_state(old, table) == {"version": 3, "bookmarks": {"invoices": BOOKMARK}}
    assert steps == ["0 to 1", "1 to 2", "2 to 3"] * 2 + ["1 to 2", "2 to 3"]
    with pytest.raises(StateError, match="says that it is of version 2, but has not its shape"):
        check_state({"version": 2, "bookmarks": {}}, table)
    with pytest.raises(StateError, match="of version 4, this vendortap reads up to version 3"):
        check_state({"version": 4, "bookmarks": {}}, table)


def test_the_table_of_migrations_leads_to_todays_version() -> None:
    assert len(MIGRATIONS) == STATE_VERSION


@pytest.mark.parametrize("version", [-1, True, 1.0, "1", None, [1]])
def test_what_is_no_version_is_refused(version: Any) -> None:
    with pytest.raises(StateError, match="which there never was"):
        check_state({"version": version, "bookmarks": {}})


@pytest.mark.promise("A state of an older version is migrated, one of a newer version refused")
def test_a_newer_state_is_refused_with_what_to_do() -> None:
    with pytest.raises(StateError) as caught:
        check_state({**ONE, "version": STATE_VERSION + 1})
    assert str(caught.value) == (
        f"the state is of version {STATE_VERSION + 1}, this vendortap reads up to version {STATE_VERSION}: a newer one "
        "wrote it. Update vendortap to go on from it"
    )


@pytest.mark.parametrize(
    "document",
    [
        {"bookmarks": {"invoices": {**BOOKMARK, "replication_key_value": "\ud800"}}},
        {"bookmarks": {"invoices": {"partitions": [{"context": {"customer": "\ud800"}}]}}},
        {"version": 2, "bookmarks": {"invoices": {"partitions": {"a=": {"context": {"\ud800": ""}}}}}},
        {"bookmarks": {}, "version": "\ud800"},
    ],
)
def test_half_of_a_surrogate_pair_is_refused_wherever_it_is(document: Any) -> None:
    with pytest.raises(StateError, match="half of a surrogate pair"):
        check_state(document)


@pytest.mark.parametrize("document", [{"type": "STATE", "value": ONE}, {"singer_state": ONE}, {"a": 1}])
def test_an_object_that_is_no_state_is_not_taken_for_an_empty_one(document: Any) -> None:
    """Starting over is never what a wrong file leads to."""
    with pytest.raises(StateError, match="has no 'bookmarks', so it is something else"):
        check_state(document)


@given(JSON)
def test_whatever_a_state_is_only_a_state_error_comes_out(document: Any) -> None:
    with suppress(StateError):
        assert check_state(document)["version"] == STATE_VERSION


ITEMS: Any = [
    {"key": ["1"], "partition": {"customer": "1"}, "why": "missing", "changed": "2025-01-30T00:00:00+00:00"},
    {"key": None, "partition": {}, "why": "refused", "begin": None, "acknowledged": "2025-03-01"},
    {"key": ["a", "2"], "partition": {}, "why": "does not fit", "begin": "2025-01-01T00:00:00+00:00",
     "changed": "2025-01-30T00:00:00+00:00", "slice": {"from": "2025-01-01"}},
    {"key": ["3"], "partition": {}, "why": "missing", "closed": "2025-02-02T00:00:00+00:00", "note": "gone",
     "hashed": True},
]  # fmt: skip
for item in ITEMS:
    item |= {"since": "2025-01-31T00:00:00+00:00", "tried": "2025-02-01T00:00:00+00:00", "tries": 2}
WHOLE: State = {
    "version": 2,
    "owner": {"connector": "acme", "account": "5d41402abc4b2a76", "origin": "https://api.test"},
    "bookmarks": {
        "rows": {
            "keys": ["Part", "Id"], "read_with": {"start": "2025-01-31"}, "open": ITEMS,
            "partitions": {"customer=1": PART, "customer=2": {**PART, "context": {"customer": "2"}}},
        },
        "others": BOOKMARK,
    },
    "fields": {"rows": {"a": [1, 2]}},
}  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_what_is_taken_for_a_state_can_be_gone_on_from(data: st.DataObject) -> None:
    """Whatever else parts of one have become, half of a surrogate pair included: it is refused, or all can read it."""
    document = deepcopy(WHOLE)
    spoil(document, data.draw)
    with suppress(StateError):
        go_on(check_state(document))


def go_on(taken: State) -> None:
    """Do with a state what a run and the commands do with it."""
    now = datetime(2025, 6, 1, tzinfo=UTC)
    owner = Owner("acme", "5d41402abc4b2a76", "https://api.test", ("number",), ("rows", "others"))
    schema = {"properties": {"start": {"range": True}}}
    assert list(adopt(taken, owner, [LIST], {"start": "2025-01-31"}, schema)) is not None
    open_items.summary(taken, now.date())
    for name, entry in taken["bookmarks"].items():
        for part in [entry, *entry.get("partitions", {}).values()]:
            state.read_bookmark(name, part)
        items = OpenItems(deepcopy(entry), closed=["1"], now=now)
        for item in items.documents([{"customer": "1"}]):
            assert item["key"][0].encode() is not None
        for item in [*items.slices({"customer": "1"}), *items.slices({})]:
            begin = item.get("begin", item.get("changed"))
            assert begin is None or datetime.fromisoformat(begin).astimezone(UTC) is not None
            if "slice" in item:
                assert {tuple(item["slice"].items()): datetime.fromisoformat(item["changed"])}
        items.is_closed(("3",), {}, now)
        rows = [_row({"connector": "-", "stream": name, **item}) for item in entry.get("open", ())]
        assert table(["key"] * 9, rows).encode()
    assert json.loads(msgspec.json.encode(taken))


# --- file --------------------------------------------------------------------------------------------


def line(value: str, **more: Any) -> bytes:
    mark = {**BOOKMARK, "replication_key_value": value}
    return json.dumps({"bookmarks": {"invoices": mark}, "version": STATE_VERSION, **more}).encode() + b"\n"


JANUARY, FEBRUARY, MARCH = (line(f"2025-0{month}-01T00:00:00+00:00") for month in (1, 2, 3))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.promise("The state that a run began from is kept beside the new one")
def test_the_state_that_a_run_began_from_is_kept_until_the_next_run_has_one(tmp_path: Path) -> None:
    """STATE.previous is what the last run began from, however often that run wrote a state."""
    path = tmp_path / "state.json"
    with kept(path) as file:
        file.keep(JANUARY)
        file.keep(FEBRUARY)
    assert names(tmp_path) == ["state.json"]
    with kept(path) as file:
        assert path.read_bytes() == FEBRUARY
        file.keep(MARCH)
        file.keep(JANUARY)
    assert (path.read_bytes(), previous(path).read_bytes()) == (JANUARY, FEBRUARY)
    assert names(tmp_path) == ["state.json", "state.json.previous"]
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in names(tmp_path)] == [0o600, 0o600]


def test_a_run_that_comes_to_nothing_new_leaves_both_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(FEBRUARY)
    previous(path).write_bytes(JANUARY)
    document = json.loads(FEBRUARY)
    with kept(path) as file:
        file.keep(json.dumps(dict(reversed(document.items()))).encode())
    assert (path.read_bytes(), previous(path).read_bytes()) == (FEBRUARY, JANUARY)


def test_a_run_has_the_file_to_itself_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "state.json")
    with kept(link) as file:
        for name in (link, tmp_path / "real" / "state.json", tmp_path / "real" / ".." / "real" / "state.json"):
            with pytest.raises(InUseError, match=rf"in use by another run \(process {os.getpid()}\)"), kept(name):
                pass
        file.keep(JANUARY)
    with kept(tmp_path / "real" / "state.json") as file:
        file.keep(FEBRUARY)
    assert link.is_symlink()
    assert (names(tmp_path), names(tmp_path / "real")) == (
        ["link.json", "real"],
        ["state.json", "state.json.previous"],
    )


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state[1].json"
    path.write_bytes(JANUARY)
    left = [".state[1].json.abcd_123.new", ".state[1].json.previous.abcd1234.new", "state[1].json.lock"]
    others = [".state1.json.abcd1234.new", ".state[1].json.backup.new", "abcd1234.new", ".state[1].json.abcd1234"]
    for name in left + others:
        (tmp_path / name).write_bytes(b"12345")
    with kept(path):
        pass
    assert names(tmp_path) == sorted([*others, path.name])


BROKEN = {
    "empty": b"",
    "cut in half": JANUARY[: len(JANUARY) // 2],
    "zeros, as after a power failure": b"\0" * len(JANUARY),
    "not UTF-8": b'{"bookmarks": {"\xff": {}}}',
    "a list": b"[]",
    "of a newer version": line("2025-01-01T00:00:00+00:00", version=STATE_VERSION + 1),
    "not a state": b'{"type": "STATE", "value": {}}',
}


@pytest.mark.promise(
    "A broken state file is refused, with the way back to the state before", figure="1 kinds of damage"
)
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_left_alone_and_the_way_back_is_named(content: bytes, tmp_path: Path) -> None:
    """A run never starts over by itself; with the previous state the sentence says how to go on from that."""
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(StateError) as caught, kept(path):
        pass
    assert str(caught.value).endswith(f". Nothing was fetched. To fetch everything again, remove {path}")

    previous(path).write_bytes(content)
    with pytest.raises(StateError) as caught, kept(path):
        pass
    assert "began from" not in str(caught.value), "what is broken as well is no way back"

    previous(path).write_bytes(JANUARY)
    with pytest.raises(StateError) as caught, kept(path):
        pass
    assert f"The last run began from {previous(path)}: copy that to {path} to go on from there" in str(caught.value)
    assert path.read_bytes() == content
    path.write_bytes(previous(path).read_bytes())
    with kept(path):
        assert read_state(path) == json.loads(JANUARY)


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.json") is None


@pytest.mark.promise("A state file that cannot be written is refused before anything is fetched")
def test_where_there_can_be_no_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, why in ((tmp_path / "none" / "s", "No such file"), (tmp_path / "file" / "s", "Not a directory")):
        with pytest.raises(StateError, match=f"cannot be written: {why}"), kept(path):
            pass


def test_a_state_that_cannot_be_written_leaves_the_old_one_and_the_next_may_be(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(JANUARY)
    with kept(path) as file:
        previous(path).mkdir()  # cannot be replaced by a file
        with pytest.raises(OSError, match="directory"):
            file.keep(FEBRUARY)
        assert path.read_bytes() == JANUARY
        previous(path).rmdir()
        file.keep(MARCH)
    assert (path.read_bytes(), previous(path).read_bytes()) == (MARCH, JANUARY)
    assert names(tmp_path) == ["state.json", "state.json.previous"]


# --- what somebody else has put there ----------------------------------------------------------------

PLANTED = "What another user plants in a shared folder is neither followed, truncated nor believed"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.mark.promise(PLANTED)
@pytest.mark.parametrize("name", ["state.json.lock", "state.json"])
@pytest.mark.parametrize("plant", ["symlink_to", "hardlink_to"])
def test_a_link_that_another_user_has_planted_is_refused_in_a_sentence(
    name: str, plant: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text(json.dumps(TWO))
    getattr(shared / name, plant)(victim)
    if (name, plant) == ("state.json", "symlink_to"):
        monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
    with pytest.raises(StateError, match=r"the state file .* (symbolic|hard) link"), kept(shared / "state.json"):
        pass
    assert json.loads(victim.read_text()) == TWO


@pytest.mark.promise(PLANTED)
@pytest.mark.parametrize("planted", ["state.json", "state.json.previous"])
def test_another_users_state_is_not_believed(planted: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shared / planted).write_text(json.dumps(TWO))
    if planted == "state.json":
        monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
        with pytest.raises(StateError, match=r"is another user's \(uid \d+\), and so may be its content; remove it"):
            read_state(shared / planted)
    else:
        assert way_back(shared / "state.json")
        monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
        assert not way_back(shared / "state.json")


def test_an_operators_own_link_leads_to_the_state(tmp_path: Path) -> None:
    """The link stays, and the lock and the previous state are beside the file that it leads to."""
    (tmp_path / "mnt").mkdir()
    (tmp_path / "mnt" / "state.json").write_text(json.dumps(TWO))
    (tmp_path / "state.json").symlink_to("mnt/state.json")
    with kept(tmp_path / "state.json") as file:
        file.keep(json.dumps({"bookmarks": {}}).encode())
        assert sorted(path.name for path in (tmp_path / "mnt").iterdir()) == [
            "state.json",
            "state.json.lock",
            "state.json.previous",
        ]
    assert (tmp_path / "state.json").is_symlink()
    assert json.loads((tmp_path / "mnt" / "state.json").read_text()) == {"bookmarks": {}}
