"""No credential and no record value gets where it does not belong, whatever happens: every connector, every fault.

Secrets are planted in all settings that are marked so, and the tokens that the sandboxes issue are secrets too. A
vendor gone bad stands before each sandbox: it echoes them in many forms, in each place of its answers. What taps then
write is searched for all of them: in full, in Base64 at each of its three alignments, and as they are in URLs.
"""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from starlette.requests import Request

from tests.conftest import Files, environment, executable
from vendortap.declare.model import Connector
from vendortap.plugins import host
from vendortap.plugins.validation import settings
from vendortap.sandbox import serve

CONNECTORS = [name for name, plugin in host.find().items() if plugin.package == "vendortap"]

PLANTED: Mapping[str, Mapping[str, str]] = {
    # setting → the sandbox's constant that it is held against; every secret setting is planted, used or not
    "amazon-vendor": {"client_secret": "CLIENT_SECRET", "refresh_token": "REFRESH_TOKEN"},
    "ingram-micro": {"client_secret": "CLIENT_SECRET"},
    "midnight": {"password": "PASSWORD", "mis_key": "MIS_KEY"},
    "scansource": {"subscription_key": "SUBSCRIPTION_KEY", "client_secret": "CLIENT_SECRET"},
    "visiblescm": {"token": "TOKEN", "header_value": "HEADER_VALUE", "password": "PASSWORD", "api_key": "API_KEY",
                   "api_secret": "API_SECRET"},
}  # fmt: skip
PERSONAL = re.compile(
    r"name|mail|street|address(line)?\d?$|phone|city|attention|contact|customer|recipient", re.IGNORECASE
)
"""Members of records that say who somebody is, or where they live."""


def planted(connector: str) -> dict[str, str]:
    """A secret for each setting that is one: with characters that URLs, JSON and Base64 treat in their own ways."""
    properties = settings(host.load(connector))["properties"]
    names = [name for name, setting in properties.items() if setting.get("secret")]
    assert set(names) == set(PLANTED[connector])
    return {name: f"Pl4nted/{name}+~<{number}>&={connector}?" for number, name in enumerate(names)}


# --- the forms of a secret ---------------------------------------------------------------------------


def written(secret: str) -> Iterator[str]:
    """Yield what a vendor may make of a secret: with something before it that moves its Base64 on."""
    yield secret
    yield quote(secret)
    yield quote(secret, "").lower()
    yield quote_plus(secret)
    for before in ("", "x", "xy"):
        yield base64.b64encode(f"{before}{secret}".encode()).decode()
        yield base64.urlsafe_b64encode(f"{before}{secret}:and more".encode()).decode()


def traces(secret: str) -> list[str]:
    """Return what no output may hold: the secret itself, and what of it stands in the other forms."""
    packed = [base64.b64encode(b"\0" * before + secret.encode()).decode() for before in range(3)]
    inner = [packed[0][:-4], packed[1][4:-4], packed[2][4:-4]]
    urls = [quote(secret), quote(secret, ""), quote_plus(secret)]
    found = [secret, json.dumps(secret)[1:-1], *urls, *map(str.lower, urls), *inner]
    return list(dict.fromkeys(found + [text.translate(str.maketrans("+/", "-_")) for text in inner]))


def test_the_search_finds_every_form_that_the_vendor_writes() -> None:
    secret = "Pl4nted/one+~<1>&=two?"
    for text in written(secret):
        assert any(trace in text for trace in traces(secret)), text


# --- a vendor gone bad -------------------------------------------------------------------------------


@dataclass
class Asked:
    """A request that the bad vendor answers itself."""

    secrets: list[str]
    number: int
    document: Any

    def echo(self) -> str:
        """One secret in one of its forms: the next one each time."""
        forms = [text for secret in self.secrets for text in written(secret)]
        return forms[self.number % len(forms)]


Answer = tuple[int, dict[str, str], bytes]
Misdeed = Callable[[Asked], Answer | None]
"""An answer; ``None`` breaks the connection off in the middle of one."""


def envelope(echo: str) -> dict[str, Any]:
    """Every vendor's way to say that something is wrong, all at once."""
    error = [{"code": echo, "message": echo, "details": echo}]
    preamble = {"responsestatus": "FAILED", "responsemessage": echo, "statuscode": "400"}
    return {
        "message": echo,
        "Message": echo,
        "error": echo,
        "error_description": echo,
        "IsSuccessful": False,
        "errors": error,
        "Errors": error,
        "faultstring": echo,
        "serviceresponse": {"responsepreamble": preamble},
    }


def says(status: int, **headers: str) -> Misdeed:
    """The vendor's error in JSON, the secrets in its headers too."""

    def answer(asked: Asked) -> Answer:
        echo = asked.echo()
        said = {
            "content-type": "application/json",
            "x-amzn-requestid": echo,
            "www-authenticate": f'Basic realm="{echo}"',
        }
        return (
            status,
            {**said, **headers, "location": f"https://elsewhere.test/{echo}"},
            json.dumps(envelope(echo)).encode(),
        )

    return answer


def in_xml(asked: Asked) -> Answer:
    echo = f"<Error><Message><![CDATA[{asked.echo()}]]></Message></Error>"
    return 400, {"content-type": "application/xml"}, echo.encode()


def a_page(status: int) -> Misdeed:
    def answer(asked: Asked) -> Answer:
        return status, {"content-type": "text/html"}, f"<html><title>{asked.echo()}</title></html>".encode()

    return answer


def no_json(asked: Asked) -> Answer:
    return 200, {"content-type": "application/json"}, f'{{"List": ["{asked.echo()}", {asked.echo()}'.encode()


def damaged(asked: Asked) -> Answer:
    body = gzip.compress(json.dumps(envelope(asked.echo())).encode())[:-9]
    return 200, {"content-type": "application/json", "content-encoding": "gzip"}, body


def other_encoding(asked: Asked) -> Answer:
    return 200, {"content-type": "application/json", "content-encoding": asked.echo()}, b"{}"


def bad_records(asked: Asked) -> Answer:
    """The right document, with a text where a number should be: a person and a secret."""
    echo = asked.echo()
    return (
        200,
        {"content-type": "application/json"},
        json.dumps(spoiled(asked.document, f"Jane Planted {echo}")).encode(),
    )


def spoiled(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {name: spoiled(member, text) for name, member in value.items()}
    if isinstance(value, list):
        return [spoiled(item, text) for item in value]
    return text if isinstance(value, int | float) and not isinstance(value, bool) else value


def no_token(asked: Asked) -> Answer:
    echo = asked.echo()
    said = {
        "access_token": {"is": echo},
        "token": [echo],
        "restrictedDataToken": 5,
        "expires_in": echo,
        "expiresIn": echo,
    }
    return 200, {"content-type": "application/json"}, json.dumps(said | envelope(echo)).encode()


def broken_off(_: Asked) -> None:
    return None


MISDEEDS: Mapping[str, Misdeed] = {
    "400": says(400),
    "400 in XML": in_xml,
    "401": says(401),
    "403": says(403),
    "404": says(404),
    "408": says(408),
    "429": says(429, **{"retry-after": "0"}),
    "429 with a wait that is none": says(429, **{"retry-after": "Pl4nted/soon"}),
    "429 with a wait without end": says(429, **{"retry-after": "999999999"}),
    "500": says(500),
    "501": says(501),
    "503": says(503),
    "302": says(302),
    "200 with the vendor's envelope": says(200),
    "200 with HTML": a_page(200),
    "502 with HTML": a_page(502),
    "200 that is no JSON": no_json,
    "200 with damaged gzip": damaged,
    "200 in another encoding": other_encoding,
    "200 with bad records": bad_records,
    "200 without a token": no_token,
    "an answer that breaks off": broken_off,
}

TO_TOKEN_CALLS = (
    "400",
    "401",
    "503",
    "302",
    "200 with the vendor's envelope",
    "200 with HTML",
    "200 that is no JSON",
    "200 without a token",
    "an answer that breaks off",
)


class BadVendor:
    """Stands before a sandbox and answers in its place, where the path begins with a misdeed's number.

    ``/~7`` does misdeed 7 to all but token calls, ``/~7t`` to these, ``/~`` none.
    """

    def __init__(self, app: Any, secrets: Iterable[str]) -> None:
        self.app = app
        self.planted = list(secrets)
        self.secrets = list(secrets)
        self.persons: set[str] = set()
        self.done = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        _, prefix, rest = scope["path"].split("/", 2)
        scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        request = Request(scope, receive)
        body = await request.body()
        signs_in = self.learn(request)

        async def given() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        kept: list[Any] = []

        async def keep(message: Any) -> None:
            kept.append(message)

        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self.app({**scope, "headers": plain}, given, keep)
        document = self.read(b"".join(message.get("body", b"") for message in kept))
        if ("oken" in rest) != prefix.endswith("t") or not prefix.strip("~t"):
            for message in kept:
                await send(message)
            return
        misdeed = list(MISDEEDS.values())[int(prefix.strip("~t"))]
        answer = misdeed(Asked([*self.planted, *signs_in], self.done, document))
        self.done += 1
        status, headers, body = answer or (200, {"content-type": "application/json", "content-length": "999"}, b'{"a"')
        head = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": answer is None})

    def learn(self, request: Request) -> list[str]:
        """Whatever signs a request in is a secret."""
        names = ("authorization", "x-amz-access-token", "x-api-key", "miskey", "ocp-apim-subscription-key")
        values = [request.headers.get(name, "") for name in names]
        found = [value.partition(" ")[2] or value for value in values if value]
        for secret in found:
            self.keep(secret)
        return found

    def keep(self, secret: str) -> None:
        if secret and secret not in self.secrets:
            self.secrets.append(secret)

    def read(self, body: bytes) -> Any:
        """Return what the sandbox answered, having noted the tokens and the persons in it."""
        try:
            document = json.loads(body)
        except ValueError:
            return {}
        for name, value in members(document):
            if name in ("access_token", "refresh_token", "token", "restrictedDataToken"):
                self.keep(value)
            elif name == "content":  # a whole document, in Base64
                self.persons.add(value[:40])
            elif PERSONAL.search(name) and len(value) > 6 and not value.isdigit():
                self.persons.add(value)
        return document


def members(value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text of a document with the name of its member."""
    if isinstance(value, list):
        for item in value:
            yield from members(item)
    if isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, str):
                yield name, member
            yield from members(member)


@dataclass
class Hostile:
    """A sandbox that knows the planted secrets, behind a bad vendor."""

    connector: Connector
    url: str
    vendor: BadVendor
    planted: dict[str, str]

    def config(self, prefix: str, **changes: Any) -> dict[str, Any]:
        """The settings that lead to it, all secrets planted."""
        quick = {"concurrency": 1, "retry_seconds": 0.1, "requests_per_second": None}
        return {**serve.settings(self.connector, f"{self.url}/{prefix}"), **quick, **self.planted, **changes}


@pytest.fixture(params=CONNECTORS)
def hostile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    """Every connector's sandbox behind a bad vendor, in turn."""
    name = request.param
    connector, secrets = host.load(name), planted(name)
    assert connector.sandbox is not None
    module = importlib.import_module(connector.sandbox.app.partition(":")[0])
    for setting, constant in PLANTED[name].items():
        monkeypatch.setattr(module, constant, secrets[setting])
    vendor = BadVendor(serve.application(connector, invoices=12, **connector.sandbox.options), secrets.values())
    with serve.serving(vendor) as served:
        yield Hostile(connector, served.url, vendor, secrets)


# --- what taps are made to do ------------------------------------------------------------------------

DRIVER = """
import json, logging, os, sys
from vendortap.decode import reader
from vendortap.http import rate_limit
from vendortap.singer import command

rate_limit.BACKOFF_SECONDS = rate_limit.BACKOFF_CAP_SECONDS = 0.001

def read(self, reply):
    raise ValueError(reply.body.decode())

for job in json.load(open(sys.argv[1])):
    sys.stderr.write(f"### {job['name']}\\n")
    if job["crash"]:
        reader.Reader.read = read
    os.environ.update(job["env"])
    code = command._run_tap(sys.argv[2], job["arguments"])
    for name in job["env"]:
        del os.environ[name]
    logging.getLogger().handlers.clear()
    sys.stderr.write(f"### exit {code}\\n")  # in one piece: threads of a run before may still have something to say
"""
"""Runs the tap again and again in one process, as its command does."""


class Jobs:
    """What the tap is to do, one after the other."""

    def __init__(self, hostile: Hostile, file: Files) -> None:
        self.hostile, self.file = hostile, file
        self.jobs: list[dict[str, Any]] = []

    def add(
        self, name: str, config: Any, *arguments: str, env: Mapping[str, str] | None = None, crash: bool = False
    ) -> None:
        """Run the tap with settings, which may be a text that is no JSON."""
        given = ["--config", self.file(config), *arguments]
        self.jobs.append({"name": name, "arguments": given, "crash": crash, "env": env or {}})

    def run(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Do it all, at DEBUG."""
        command = [sys.executable, "-c", DRIVER, self.file(self.jobs), self.hostile.connector.name]
        env = environment(LOGLEVEL="DEBUG", VENDORTAP_REPORT=str(folder / "report.json"))
        return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)


def all_jobs(hostile: Hostile, file: Files, folder: Path) -> Jobs:
    """Success in every format and with every way to sign in, every misdeed, wrong settings, crashes."""
    jobs = Jobs(hostile, file)
    known = settings(hostile.connector)["properties"]
    signs_in = {"auth": "account_token", "username": "sandbox@example.com"} if "auth" in known else {}
    for form in known.get("format", {}).get("enum", ["json"]):
        jobs.add(f"success, {form}", hostile.config("~", **({"format": form} if "format" in known else {})))
    for way in known.get("auth", {}).get("enum", ()):
        jobs.add(f"success, {way}", hostile.config("~", **signs_in | {"auth": way, "header_name": "X-Api-Key"}))
    for number, name in enumerate(MISDEEDS):
        jobs.add(name, hostile.config(f"~{number}"))
        if name in TO_TOKEN_CALLS:
            jobs.add(f"{name}, to token calls", hostile.config(f"~{number}t", **signs_in))
    if "on_bad_record" in known:
        keep = {"on_bad_record": "quarantine", "quarantine_dir": str(folder / "quarantine")}
        jobs.add("quarantine", hostile.config(f"~{list(MISDEEDS).index('200 with bad records')}", **keep))
    for setting, secret in hostile.planted.items():
        jobs.add("secret of another type", hostile.config("~", **{setting: {"is": [secret]}}))
    jobs.add("secret with a line break", hostile.config("~", **{setting: f"{secret}\r\nX-Injected: {secret}"}))
    jobs.add("secret as a name", hostile.config("~", **{secret: secret}))
    jobs.add("secret in an address", hostile.config("~", base_url=f"https://user:{quote(secret)}@vendor.test"))
    variable = f"TAP_{hostile.connector.name}_retry_seconds".upper().replace("-", "_")
    jobs.add("secret in a variable", hostile.config("~"), "--config", "ENV", env={variable: secret})
    jobs.add("no JSON", json.dumps(hostile.config("~"))[:-1] + f' "{secret}')
    jobs.add("about", hostile.config("~"), "--about", "--format", "json")
    stream = hostile.connector.streams[0].name
    for rule in ("int(str(record))", "[][str(record)]", "str(record)"):
        maps = {stream: {"added": rule, "__filter__": "str(record)"}}
        jobs.add(f"stream map {rule}", hostile.config("~", stream_maps=maps))
    jobs.add("a defect of ours", hostile.config("~"), crash=True)
    return jobs


# --- what they wrote ---------------------------------------------------------------------------------


def leaks(text: str, secrets: Iterable[str]) -> list[str]:
    """Return the lines that hold a secret in any form."""
    found = []
    for secret in secrets:
        for trace in traces(secret):
            at = text.find(trace)
            if at >= 0:
                begin = text.rfind("###", 0, at)
                found.append(f"{trace!r} in {text[begin : begin + 40]!r} … {text[max(0, at - 200) : at + 80]!r}")
    return found


def test_secrets_and_persons_stay_where_they_belong_whatever_happens(
    hostile: Hostile, file: Files, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    jobs = all_jobs(hostile, file, tmp_path)
    done = jobs.run(tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    codes = re.findall(r"^### exit (\d)$", done.stderr, re.MULTILINE)
    assert len(codes) == len(jobs.jobs), done.stderr[-2000:]
    assert {"0", "1", "2"} == set(codes)
    written = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    written |= {path.name: ours(path) for path in (tmp_path / "quarantine").rglob("*") if path.is_file()}
    for name, text in {"stderr": done.stderr, "stdout": done.stdout, **written}.items():
        assert leaks(text, hostile.vendor.secrets) == [], name
    assert all(sign in done.stderr for sign in ("| DEBUG", " -> 200 in ", "***")), "nothing to search"
    assert hostile.vendor.persons
    assert [person for person in [*hostile.vendor.persons, "Jane Planted"] if person in done.stderr] == []
    record_property("promise", "Secrets and record values stay out of logs (DEBUG too), errors, state and reports")
    record_property("figure", f"{len(jobs.jobs)} runs gone well or wrong")


def ours(quarantine: Path) -> str:
    """Return what we say of the records in a quarantine; their own bytes are what the vendor sent, its echoes too."""
    entries = [json.loads(line) for line in quarantine.read_text().splitlines()]
    return json.dumps([{name: value for name, value in entry.items() if name != "raw"} for entry in entries])


@pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="no other way to see what other processes are called"
)
@pytest.mark.parametrize("hostile", ["midnight", "scansource"], indirect=True)
def test_a_run_shows_no_secret_to_other_processes_and_leaves_none_behind(
    hostile: Hostile, file: Files, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    (tmp_path / "temporary").mkdir()
    config = file(hostile.config("~"))
    command = [executable("vendortap"), "run", hostile.connector.name, "--config", config, "--verbose"]
    command += ["--to", "out.duckdb", "--state", "out.state.json"]
    variables = environment(LOGLEVEL="DEBUG", TMPDIR=str(tmp_path / "temporary"))
    seen: set[str] = set()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=log, stderr=log)
        while process.poll() is None:
            seen |= set(shown_by_processes())
            with suppress(FileNotFoundError):  # a folder that is removed while it is listed
                seen |= {text_of(path) for path in (tmp_path / "temporary").rglob("*")}
            time.sleep(0.02)
    assert process.returncode == 0, text_of(tmp_path / "log")
    assert all(any(part in text for text in seen) for part in ("vendortap.singer", "vendortap.duckdb", '"requests"'))
    left = {path: text_of(path) for path in tmp_path.rglob("*") if path.is_file() and str(path) != config}
    assert {"out.duckdb", "out.state.json"} <= {path.name for path in left}
    assert [leak for text in seen for leak in leaks(text, hostile.vendor.secrets)] == []
    assert {path.name: found for path, text in left.items() if (found := leaks(text, hostile.vendor.secrets))} == {}
    record_property("promise", "No secret is in a command line, a temporary file, a report, a state or the database")
    record_property("figure", "1 run")


def shown_by_processes() -> Iterator[str]:
    """Yield how every process of this machine was called."""
    for process in Path("/proc").glob("[0-9]*"):
        yield text_of(process / "cmdline")
        yield text_of(process / "comm")


def text_of(path: Path) -> str:
    """Return what is in a file, if it still is there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
