"""What is measured is what a process takes; what is reported is what was measured."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import environments, goals, plots, report
from benchmarks.figures import measured, rate
from benchmarks.measure import Command, Failed, pipe, run
from benchmarks.parts import PARTS, SIZES, profile
from benchmarks.paths import DOCUMENT, PLOTS, RESULTS
from benchmarks.results import Part, Run, load, save
from benchmarks.session import Entry, Session, interleaved

RECORDS = "import sys\nfor n in range(1000): print('{\"type\": \"RECORD\"}' * (n % 2 + 1) + 'x' * 99)\nprint('last')"
WORK = "import time; kept = bytearray(50 << 20)\nwhile time.process_time() < 0.3: pass"


def python(code: str) -> Command:
    return Command([sys.executable, "-c", code])


# --- one run -----------------------------------------------------------------------------------------


def test_records_are_counted_wherever_the_pipe_cuts_them(tmp_path: Path) -> None:
    copy = io.BytesIO()
    _, output = run(python(RECORDS), tmp_path, copy)
    assert output.records == 1500
    assert output.last_line == b"last"
    assert copy.getvalue().count(b'"RECORD"') == 1500


def test_usage_is_that_of_the_command_and_not_of_who_measures(tmp_path: Path) -> None:
    idle, _ = run(python("pass"), tmp_path)
    busy, _ = run(python(WORK), tmp_path)
    assert busy.user + busy.system >= 0.2 > idle.user + idle.system
    assert busy.wall >= 0.2
    assert idle.peak_mib < 50 < busy.peak_mib


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"exit code 3; the log is command\.log"):
        run(python("import sys; print('why', file=sys.stderr); sys.exit(3)"), tmp_path)
    assert (tmp_path / "command.log").read_text(encoding="utf-8") == "why\n"


def test_a_pipe_is_measured_on_both_sides(tmp_path: Path) -> None:
    reading = "import sys, pathlib; pathlib.Path('read').write_text(str(len(sys.stdin.buffer.read().splitlines())))"
    wall, first, second = pipe(python(RECORDS), python(reading), tmp_path)
    assert (tmp_path / "read").read_text(encoding="utf-8") == "1001"
    assert 0 < max(first.wall, second.wall) <= wall
    with pytest.raises(Failed):
        pipe(python(RECORDS), python("raise SystemExit(1)"), tmp_path)


# --- results and figures -----------------------------------------------------------------------------


def part(**medians: float) -> Part:
    """A part of the JSON list, with these CPU seconds by contender."""
    sizes = {**SIZES, "runs": 3}
    runs = [
        Run(contender=name.replace("_", "-"), round=number, user=cpu + number - 2, records=sizes["json"], wall=cpu)
        for name, cpu in medians.items()
        for number in (1, 2, 3)
    ]
    return Part(part="json", revision="abc", machine={}, versions={}, sizes=sizes, runs=runs)


def test_results_survive_being_written(tmp_path: Path) -> None:
    written = part(vendortap=5, singer_sdk=50)
    save(tmp_path, written)
    assert load(tmp_path, "json") == written
    assert load(tmp_path, "xml") is None


def test_a_figure_is_the_median_of_the_runs_that_went_well() -> None:
    found = measured(part(vendortap=5), "vendortap", rate)
    assert found is not None
    assert (found.median, found.least, found.greatest) == (20_000, 100_000 / 6, 25_000)
    failed = [Run(contender="vendortap", round=1, error="exit code 1")]
    assert measured(msgspec.structs.replace(part(), runs=failed), "vendortap", rate) is None


@pytest.mark.parametrize(("ours", "missed"), [(5.0, ()), (6.25, ()), (10.0, ("times 5.00 instead of 8.00, 38% off",))])
def test_a_goal_says_by_how_much_it_is_missed(ours: float, missed: tuple[str, ...]) -> None:
    (goal,) = goals.goals({"json": part(vendortap=ours, singer_sdk=50, singer_sdk_tuned=20, limit_typed=4)})
    assert goal.missed == missed
    assert goal.peers == "2.50 × (singer-sdk, its fastest official settings)"


def test_every_goal_may_have_a_note() -> None:
    assert set(goals.TRIED) == {"json", "xml", "details", "limit", "memory", "list", "discover", "load"}


# --- the profile -------------------------------------------------------------------------------------


def test_samples_are_put_down_to_the_innermost_function_that_is_known() -> None:
    tap = "_read (vendortap/singer/stream.py:9)"
    read = f"{tap};_do (vendortap/sync/ordering.py:5);decode (vendortap/decode/json.py:3)"
    wait = f"{tap};send (vendortap/http/client.py:1);readinto (socket.py:700);unknown (elsewhere.py:1)"
    begun = "invoke (vendortap/singer/tap.py:9);parse (elsewhere.py:1)"
    samples = [f"{read} 6", f"{wait} 1", f"{tap};sorted (elsewhere.py:1) 2", f"{begun} 3", "nobody (nowhere.py:1) 8"]
    assert profile.attribute(samples) == {
        profile.REST: 0.4,
        "JSON decoded into types (msgspec), decoders compiled": 0.3,
        "start-up: singer-sdk, settings, catalog": 0.15,
        "selection, messages": 0.1,
        "HTTP": 0.05,
    }


# --- environments ------------------------------------------------------------------------------------


def test_what_cannot_be_installed_says_why() -> None:
    with pytest.raises(environments.NotInstalled, match="there-is-no-such-folder"):
        environments._pip(sys.executable, ["install", "--no-index", "./there-is-no-such-folder"], "broken")


def test_who_cannot_be_installed_is_reported_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> environments.Environment:
        raise environments.NotInstalled(f"no {name}")

    monkeypatch.setattr(environments, "peer", refuse)
    measured: list[Run] = []
    entry = Entry("dlt", ("dlt",), lambda *_: measured[0])
    session = Session({"runs": 1})
    assert interleaved(session, "json", [entry], 1) == []
    assert session.part("json", [], [entry]).missing == {"dlt": "no dlt"}


# --- the document ------------------------------------------------------------------------------------


def test_the_document_is_what_the_results_give() -> None:
    results = report.read()
    assert set(results) == set(PARTS), "run: make bench"
    assert DOCUMENT.read_text(encoding="utf-8") == report.document(results), "run: python -m benchmarks.report"


def test_the_plots_are_drawn_from_the_results() -> None:
    wanted = plots.series(report.read())
    assert {path.stem for path in PLOTS.glob("*.svg")} == set(wanted)
    for name, panels in wanted.items():
        drawn = (PLOTS / f"{name}.svg").read_text(encoding="utf-8")
        assert f"drawn from {plots.digest(panels)}" in drawn, "run: python -m benchmarks.report"


def test_results_name_neither_paths_nor_hosts() -> None:
    home = str(Path.home())
    for path in RESULTS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not [word for word in (home, "/tmp", "127.0.0.1", "://") if word in text]  # noqa: S108 - looked for
