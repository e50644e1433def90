"""The `vendortap` command, as its users run it: real processes against a real server."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
from click.testing import CliRunner

from tap_scansource import SCANSOURCE
from tests.cli.conftest import INVOICES, written
from vendortap.cli import commands
from vendortap.errors import VendortapError
from vendortap.sandbox import faults, serve
from vendortap.support.extras import require

BIN = Path(sysconfig.get_path("scripts"))
PLANTED = "planted-secret"


def start(*command: str | Path, **options: Any) -> subprocess.Popen[str]:
    words = [str(BIN / command[0]), *map(str, command[1:])]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for the end; whatever the command, it never shows a traceback or a planted secret."""
    stdout, stderr = process.communicate()
    assert "Traceback" not in stderr
    assert PLANTED not in stdout + stderr
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def vendortap(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return ended(start("vendortap", *arguments, **options))


def totals(database: Path) -> dict[str, tuple[int, Decimal]]:
    query = "SELECT Currency, count(*), sum(Total) FROM scansource.invoice_details GROUP BY ALL"
    with duckdb.connect(str(database), read_only=True) as connection:
        return {row[0]: (row[1], row[2]) for row in connection.execute(query).fetchall()}


# --- help, list, describe, catalog -------------------------------------------------------------------


def named(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command with the words that lead to it, groups and their commands alike."""
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from named(command, *path, name)


@pytest.mark.parametrize("command", sorted(named(commands)), ids=" ".join)
def test_every_command_has_help_with_examples_that_name_it_and_are_right(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(commands, [*command, "--help"], prog_name="vendortap")
    assert result.exit_code == 0
    _, _, text = result.output.partition("Examples:\n")
    examples = [line.strip() for line in text.splitlines()]
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" > ")[0].partition(" >> ")[0])
        given = words[words.index("vendortap") + 1 :]
        assert tuple(given[: len(command)]) == command
        found: click.Command = commands
        while isinstance(found, click.Group) and given:
            found, given = found.commands[given[0]], given[1:]
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in given if word.startswith("--")} <= known


def test_help_and_version() -> None:
    assert "vendortap demo" in vendortap("--help").stdout
    version = vendortap("--version")
    assert (version.returncode, version.stdout.split()[:2]) == (0, ["vendortap,", "version"])


@pytest.mark.parametrize("arguments", [(), ("nosuch",), ("describe",), ("list", "--nosuch"), ("run", "scansource")])
def test_bad_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    done = vendortap(*arguments)
    assert done.returncode == 2
    assert "Usage: vendortap" in done.stderr


def test_list_check_of_sound_plugins_ends_with_0() -> None:
    done = vendortap("list", "--check")
    assert done.returncode == 0
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["connector", "from", "state"]
    assert ("scansource", "ok") in [(row[0], row[-1]) for row in rows]


def test_describe_shows_streams_keys_and_settings() -> None:
    shown = vendortap("describe", "scansource").stdout
    assert "invoice_details" in shown
    assert "CustomerNumber, InvoiceNumber" in shown
    assert "* subscription_key (string, secret)" in shown
    assert '  on_missing (skip or fail, default "skip")' in shown
    assert shown.index("* customer_numbers") < shown.index("  concurrency")


def test_describe_as_json_is_for_programs() -> None:
    described = json.loads(vendortap("describe", "scansource", "--json").stdout)
    assert described["executable"] == "tap-scansource"
    streams = {stream["name"]: stream for stream in described["streams"]}
    assert streams["invoices"]["keys"] == ["CustomerNumber", "InvoiceNumber"]
    assert streams["invoices"]["replication_key"] == "LastChanged"
    settings = {setting["name"]: setting for setting in described["settings"]}
    assert settings["subscription_key"]["required"]
    assert settings["subscription_key"]["secret"]
    assert settings["format"]["options"] == ["json", "xml"]
    assert settings["page_size"]["default"] == 100


def test_a_catalog_is_ready_for_the_tap(config: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.json"
    catalog.write_text(vendortap("catalog", "scansource").stdout)
    done = ended(start("tap-scansource", "--config", config, "--catalog", catalog))
    assert done.returncode == 0
    assert done.stdout.count('"type":"RECORD"') == 2 * INVOICES


def test_output_that_nobody_reads_to_its_end_is_no_error_shown() -> None:
    process = start("vendortap", "catalog", "scansource")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == ""
    process.wait()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_an_error_in_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        command = [str(BIN / "vendortap"), "catalog", "scansource"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "vendortap: error: [Errno 28] No space left on device\n"


# --- check -------------------------------------------------------------------------------------------


def test_check_says_that_all_is_well(config: Path) -> None:
    done = vendortap("check", "scansource", "--config", config)
    assert done.returncode == 0
    assert done.stdout.startswith("scansource: ok. The credentials are accepted; invoices answered with ")
    assert done.stderr == ""


def test_check_takes_settings_of_the_environment_and_of_the_sdk(sandbox: serve.Served, tmp_path: Path) -> None:
    settings = serve.settings(SCANSOURCE, sandbox.url)
    environment = {**os.environ, "TAP_SCANSOURCE_SUBSCRIPTION_KEY": settings.pop("subscription_key")}
    config = written(tmp_path, settings, stream_maps={}, flattening_enabled=False)
    assert vendortap("check", "scansource", "--config", config).returncode == 2
    assert vendortap("check", "scansource", "--config", config, "--config", "ENV", env=environment).returncode == 0


def test_check_of_a_wrong_key_says_so(sandbox: serve.Served, tmp_path: Path) -> None:
    config = written(tmp_path, serve.settings(SCANSOURCE, sandbox.url), subscription_key=PLANTED)
    done = vendortap("check", "scansource", "--config", config)
    assert done.returncode == 1
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("vendortap: error: scansource, invoices (customer number 1000012345): ")
    assert "The vendor refuses the credentials" in sentence


def test_check_does_not_wait_long_where_nothing_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = written(tmp_path, serve.settings(SCANSOURCE, f"http://127.0.0.1:{port}"), retry_seconds=600)
    done = vendortap("check", "scansource", "--config", config)
    assert done.returncode == 1
    assert "Gave up after" in done.stderr.splitlines()[-1]
    assert "within 5 s" in done.stderr.splitlines()[-1]


# --- run ---------------------------------------------------------------------------------------------


def test_run_loads_everything_then_nothing_twice(sandbox: serve.Served, config: Path, tmp_path: Path) -> None:
    database = tmp_path / "invoices.duckdb"
    command = ("run", "scansource", "--config", config, "--to", database)
    first = vendortap(*command)
    assert first.returncode == 0
    assert first.stderr == f"\nLoaded into {database}: scansource.invoice_details, scansource.invoices\n"
    head, *rows = [line.split() for line in first.stdout.splitlines()]
    accounts = ["fetched", "emitted", "filtered", "quarantined", "skipped"]
    assert head == ["stream", *accounts, "requests", "retries", "seconds"]
    assert {row[0]: int(row[2]) for row in rows} == {"invoices": INVOICES, "invoice_details": INVOICES}
    assert totals(database) == sandbox.app.state.totals()

    again = vendortap(*command)
    assert again.returncode == 0
    assert {line.split()[0]: line.split()[1:6] for line in again.stdout.splitlines()[1:]} == {
        "invoices": [str(INVOICES), "0", "0", "0", str(INVOICES)],
        "invoice_details": [str(INVOICES), "0", "0", "0", str(INVOICES)],
    }
    assert totals(database) == sandbox.app.state.totals()


def test_run_loads_into_any_target(config: Path, tmp_path: Path) -> None:
    copy = tmp_path / "messages.jsonl"
    done = vendortap("run", "scansource", "--config", config, "--target", f"sh -c 'cat > \"{copy}\"'")
    assert done.returncode == 0
    types = [json.loads(line)["type"] for line in copy.read_text().splitlines()]
    assert types.count("RECORD") == 2 * INVOICES
    assert types[-1] == "STATE"


def test_run_takes_a_catalog(config: Path, tmp_path: Path) -> None:
    catalog = json.loads(vendortap("catalog", "scansource").stdout)
    for stream in catalog["streams"]:
        [root] = [entry for entry in stream["metadata"] if not entry["breadcrumb"]]
        root["metadata"]["selected"] = stream["tap_stream_id"] == "invoices"
    file, database = tmp_path / "catalog.json", tmp_path / "invoices.duckdb"
    file.write_text(json.dumps(catalog))
    done = vendortap("run", "scansource", "--config", config, "--to", database, "--catalog", file)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["stream", "invoices"]


@pytest.mark.parametrize(
    "where",
    [(), ("--to", "x.duckdb", "--target", "cat"), ("--target", ""), ("--to", "none/x.duckdb"), ("--to", ".")],
)
def test_run_needs_one_place_to_load_into(where: tuple[str, ...], config: Path, tmp_path: Path) -> None:
    done = vendortap("run", "scansource", "--config", config, *where, cwd=tmp_path)
    assert done.returncode == 2
    assert "rror: " in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_run_of_an_unknown_connector_is_bad_usage(config: Path, tmp_path: Path) -> None:
    done = vendortap("run", "nosuch", "--config", config, "--to", tmp_path / "x.duckdb")
    assert done.returncode == 2
    assert done.stderr.startswith("vendortap: error: there is no connector 'nosuch'; installed: ")


def test_run_into_a_target_that_does_not_exist_is_bad_usage(config: Path) -> None:
    done = vendortap("run", "scansource", "--config", config, "--target", "target-nosuch --config x")
    assert done.returncode == 2
    assert done.stderr == "vendortap: error: 'target-nosuch' cannot be started: No such file or directory\n"


def test_run_into_a_target_that_fails_ends_with_1(config: Path) -> None:
    done = vendortap("run", "scansource", "--config", config, "--target", "sh -c 'echo no room >&2; exit 7'")
    assert done.returncode == 1
    assert done.stderr.startswith("no room\n")
    assert "vendortap: error: the target failed with exit code 7; its message is above\n" in done.stderr


def test_run_into_something_that_is_no_database_leaves_it_alone(config: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    done = vendortap("run", "scansource", "--config", config, "--to", notes)
    assert done.returncode == 1
    assert "is not a DuckDB database" in done.stderr
    assert notes.read_text() == "my notes"


def test_an_invoice_that_is_not_there_is_skipped_and_the_run_ends_with_3(sandbox: serve.Served, tmp_path: Path) -> None:
    known = next(iter(sandbox.app.state.invoices()))["InvoiceNumber"]
    config = written(tmp_path, serve.settings(SCANSOURCE, sandbox.url), invoice_numbers=[known, "999999"])
    database = tmp_path / "invoices.duckdb"
    done = vendortap("run", "scansource", "--config", config, "--to", database)
    assert done.returncode == 3
    assert "invoice number 999999" in done.stderr
    assert "vendortap: not obtained of what the vendor lists: 1, in this run or before" in done.stderr
    [details] = [line.split() for line in done.stdout.splitlines() if line.startswith("invoice_details")]
    assert details[1:6] == ["2", "1", "0", "0", "1"]
    assert sum(count for count, _ in totals(database).values()) == 1


def test_an_invoice_that_is_not_there_fails_the_run_if_that_is_asked_for(sandbox: serve.Served, tmp_path: Path) -> None:
    settings = serve.settings(SCANSOURCE, sandbox.url)
    config = written(tmp_path, settings, invoice_numbers=["999999"], on_missing="fail")
    done = vendortap("run", "scansource", "--config", config, "--to", tmp_path / "invoices.duckdb")
    assert done.returncode == 1
    assert "tap-scansource: error: scansource, invoice_details (" in done.stderr
    assert "invoice number 999999" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the children in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_and_its_children_soon_and_keeps_the_state(number: signal.Signals, tmp_path: Path) -> None:
    database, state = tmp_path / "invoices.duckdb", tmp_path / "state.json"
    app = serve.application(SCANSOURCE, invoices=2000, seed=1, latency_ms=40, rate=0)
    with serve.serving(app) as served:
        config = written(tmp_path, serve.settings(SCANSOURCE, served.url))
        process = start("vendortap", "run", "scansource", "--config", config, "--to", database, "--state", state)
        while app.state.requests["detail"] < 120:  # more than are asked for while the list is read
            assert process.poll() is None
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        started = time.monotonic()
        process.send_signal(number)
        done = ended(process)
        took = time.monotonic() - started
    assert done.returncode == 128 + number
    assert took < 5  # a second on an idle machine
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert json.loads(state.read_text())["bookmarks"]["invoice_details"]["partitions"]
    assert 0 < sum(count for count, _ in totals(database).values()) < 2000
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "invoices.duckdb", "state.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_on_a_terminal_messages_stand_above_the_progress(sandbox: serve.Served, tmp_path: Path) -> None:
    missing = [str(999_990 + number) for number in range(5)]
    config = written(tmp_path, serve.settings(SCANSOURCE, sandbox.url), invoice_numbers=missing)
    ours, theirs = os.openpty()
    command = ["run", "scansource", "--config", str(config), "--to", str(tmp_path / "invoices.duckdb")]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "400"}
    with subprocess.Popen(
        [str(BIN / "vendortap"), *command], stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = _read_all(ours)
    assert process.returncode == 3
    assert "requests, 0 retries" in shown
    assert "invoice_details" in shown
    warnings = [line for line in shown.splitlines() if "Skipped." in line]
    assert len(warnings) == len(missing)
    for line in warnings:
        message = line.rpartition("\x1b[2K")[2]  # the progress is wiped first, then the message has the line
        assert message.startswith("20")
        assert message.endswith("Skipped.")


def _read_all(terminal: int) -> str:
    pieces = []
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that nobody has it open any more
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(terminal)
    return b"".join(pieces).decode()


# --- bad input ---------------------------------------------------------------------------------------

SECRETS = {"subscription_key": f"{PLANTED}-1", "client_secret": f"{PLANTED}-2", "client_id": "me"}
GIVEN = {**SECRETS, "customer_numbers": ["1"], "base_url": "http://127.0.0.1:9", "token_url": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {**SECRETS, "concurrency": 0, "page_size": PLANTED, "format": PLANTED, "subscripton_key": PLANTED},
            "the setting 'concurrency' does not fit (minimum: 1); the setting 'format' has to be one of 'json', 'xml'; "
            "the setting 'page_size' has to be integer; the setting 'customer_numbers' is missing; "
            "there is no setting 'subscripton_key'",
        ),
        ({**GIVEN, "base_url": "http://api.example.com"}, "use https (http is for 127.0.0.1, ::1 and localhost only)"),
        ({**GIVEN, "token_url": "http://api.example.com"}, "use https (http is for 127.0.0.1, ::1 and localhost only)"),
        ({**GIVEN, "base_url": "api.example.com"}, "the setting 'base_url' is not an absolute https URL"),
        ({**GIVEN, "timezone": "Mars/Olympus"}, "such as 'America/New_York'; check the setting 'timezone'"),
        ({**GIVEN, "start_date": "yesterday"}, "the setting 'start_date' has to look like 2025-01-31"),
        ({**GIVEN, "start_date": "2025-13-01"}, "the setting 'start_date' has to be a date, such as 2025-01-31"),
        ({**GIVEN, "invoice_numbers_file": "none.txt"}, "the file none.txt named by 'invoice_numbers_file' cannot be"),
        ({**GIVEN, "invoice_numbers_file": "empty.txt"}, "'invoice_numbers_file' holds no keys"),
        ({**GIVEN, "invoice_numbers_file": "twice.txt"}, "'invoice_numbers_file': line 3 repeats line 1"),
        (
            {**GIVEN, "invoice_numbers_file": "table.csv", "invoice_numbers_column": "no"},
            "the file table.csv has no column 'no', which 'invoice_numbers_column' names",
        ),
        (f'{{"subscription_key": "{PLANTED}', "the config file config.json is not JSON (line 1, column "),
        (f'["{PLANTED}"]', "the config file config.json is not a JSON object"),
        (None, "the config file config.json cannot be read: No such file or directory"),
    ],
)
def test_bad_settings_are_named_in_one_sentence(
    settings: Mapping[str, Any] | str | None, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "twice.txt").write_text("100\n200\n100\n")
    (tmp_path / "table.csv").write_text("number,date\n100,2025-01-31\n")
    if settings is not None:
        (tmp_path / "config.json").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    quiet = {"cwd": tmp_path, "env": {**os.environ, "LOGLEVEL": "WARNING"}}
    both = (
        start("tap-scansource", "--config", "config.json", **quiet),
        start("vendortap", "run", "scansource", "--config", "config.json", "--to", "x.duckdb", **quiet),
    )
    for done in [ended(process) for process in both]:
        assert done.returncode == 2
        assert done.stdout.count('"RECORD"') == 0
        errors = [line for line in done.stderr.splitlines() if "error: " in line]
        assert len(errors) == 1
        assert sentence in errors[0]


# --- sandbox, extras ---------------------------------------------------------------------------------


def test_sandbox_prints_its_address_and_settings_that_lead_to_it(tmp_path: Path) -> None:
    process = start("vendortap", "sandbox", "scansource", "--port", "0", "--invoices", "7")
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        text += process.stdout.readline()
    settings = json.loads(text)
    config = written(tmp_path, settings)
    checked = vendortap("check", "scansource", "--config", config)
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert checked.returncode == 0, checked.stderr
    assert done.returncode == 0
    address = settings["base_url"].removesuffix("/scsc/invoice/v1")
    assert f"listens on {address}." in done.stderr


def test_sandbox_misbehaves_when_it_is_told_to(tmp_path: Path) -> None:
    wrong = ("--fault", "reset@1-2/summary", "--fault", "403:1/detail", "--fault-seed", "7")
    process = start("vendortap", "sandbox", "scansource", "--port", "0", "--invoices", "7", *wrong)
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        text += process.stdout.readline()
    config = written(tmp_path, json.loads(text))
    checked = vendortap("check", "scansource", "--config", config)
    run = vendortap("run", "scansource", "--config", config, "--to", str(tmp_path / "x.duckdb"))
    process.send_signal(signal.SIGINT)
    ended(process)
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr.count("Trying again") == 2
    assert run.returncode == 1
    assert "answered 403 Forbidden" in run.stderr


def test_sandbox_says_which_faults_there_are() -> None:
    done = vendortap("sandbox", "scansource", "--fault", "help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["kind", *faults.KINDS]
    done = vendortap("sandbox", "scansource", "--fault", "explode@2")
    assert done.returncode == 2
    assert "Invalid value for --fault: 'explode' is no kind of fault; there are reset, " in done.stderr


def test_sandbox_with_a_taken_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = vendortap("sandbox", "scansource", "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"vendortap: error: the sandbox cannot listen on port {port}: Address already in use; "
        "choose another with --port, 0 takes a free one\n"
    )


@pytest.mark.parametrize(
    "option", [("--port", "70000"), ("--invoices", "0"), ("--latency-ms", "-1"), ("--rate", "-1"), ("--seed", "x")]
)
def test_sandbox_options_are_checked(option: tuple[str, str]) -> None:
    done = vendortap("sandbox", "scansource", *option)
    assert done.returncode == 2
    assert f"Invalid value for '{option[0]}'" in done.stderr


def test_an_extra_that_is_not_installed_is_named() -> None:
    require("duckdb", "--to", "duckdb")
    with pytest.raises(VendortapError, match=r"--to needs no_such_module: pip install 'path/to/vendortap\[duckdb\]'"):
        require("duckdb", "--to", "duckdb", "no_such_module")
