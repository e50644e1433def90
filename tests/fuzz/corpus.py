"""Documents to begin with, and what is made of them: a place or two of each is replaced by something odd."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache

from hypothesis import strategies as st

from tests.fuzz.targets import FIXTURES, connector
from vendortap.sandbox import serve
from vendortap.singer import discovery

ODD = (
    *(b'""', b"null", b"[]", b"{}", b"[[]]", b"true", b"0", b"-1", b'" "', b'"x"', b'"\\u0000"', b'"\\ud800"'),
    *(b"1e999", b"1e-999999999999999999999", b"-0.0", b'"NaN"', b"NaN", b'"Infinity"', b'"1_0"', b"1" * 5000, b"1.0"),
    *(b"1e1000000000000000000", b'"1e999999999"', '"٣"'.encode(), b'"0x10"', b"123456789012345678901234567890"),
    *(b'"9999-12-31T23:59:59.9999999"', b'"9999-12-31T23:59:59.9999999-14:00"', b'"0001-01-01T00:00:00+14:00"'),
    *(b'"9999-12-31"', b'"0001-01-01"', b'"2026-02-30"', b'"2026-05-06T24:00:00Z"', b'"12/31/9999 23:59"', b'"T"'),
    *(b"9999-12-31T23:59:59.9999999", b"0001-01-01T00:00:00+14:00", b"NaN", b"1_0", b"1e999999999", b" ", b"x"),
    *(b"<a/>", b"</a>", b"<!DOCTYPE a>", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"&b;", b"&#0;"),
    *(b"&#x110000;", b"<![CDATA[", b"<?xml version='1.0' encoding='utf-7'?>", b" xsi:nil='true'", b" xmlns:a='b'"),
    *(b"\xff", b"\xef\xbb\xbf", b"\x00", b"\n", b"[" * 2000, b'{"a":' * 2000, b"<a>" * 2000, b"../", b"\r\n"),
)
_PLACES = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?|[a-z]+|>[^<]+<|<[^>]+>')


@cache
def seeds() -> Mapping[str, tuple[bytes, ...]]:
    """Return documents by kind."""
    fixtures = [path for path in FIXTURES.rglob("*") if path.is_file()]
    configs = [serve.settings(connector(name), "https://vendor.test") for name in ("scansource", "amazon-vendor")]
    partition = {"replication_key": "At", "replication_key_value": "2026-05-06T07:08:09Z", "seen": [["1", "2"]]}
    bookmarks = {
        "invoices": {"partitions": [{"context": {"customer_number": "1"}, **partition}]},
        "customer_invoices": partition,
        "invoice_details": partition,
    }
    token = {"access_token": "abcdefgh", "token_type": "bearer", "expires_in": 3600, "refresh_token": "ijkl"}
    error = {"errors": [{"code": "E1", "message": "No such invoice"}], "fault": {"faultstring": "down"}}
    record = {"type": "RECORD", "stream": "a", "record": {"n": 1.5}}
    return {
        "json": tuple(path.read_bytes() for path in fixtures if path.suffix == ".json"),
        "xml": tuple(path.read_bytes() for path in fixtures if path.suffix == ".xml"),
        "config": tuple(json.dumps(config).encode() for config in configs),
        "catalog": (json.dumps(discovery.catalog(connector("visiblescm"))).encode(),),
        "state": (json.dumps({"version": 1, "bookmarks": bookmarks}).encode(),),
        "tokens": (json.dumps(token).encode(),),
        "errors": (
            json.dumps(error).encode(),
            b"<e><Message>No such invoice</Message></e>",
            b"Wed, 21 Oct 2015 07:28:00 GMT",
        ),
        "messages": (json.dumps(record).encode() + b"\n" + b'{"type": "STATE", "value": {}}\n',),
        "documents": (b"%PDF-1.7\n", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"<html>", b"II*\0", b"text"),
    }


KINDS: Mapping[str, str] = {
    "json pages": "json",
    "json pages coerced": "json",
    "json pages watched": "json",
    "json typed": "json",
    "json untyped": "json",
    "xml pages": "xml",
    "xml pages watched": "xml",
    "xml typed": "xml",
    "xml in pieces": "xml",
    "xml untyped": "xml",
    "vendor messages": "errors",
    "tokens": "tokens",
    "config": "config",
    "catalog": "catalog",
    "state": "state",
    "messages": "messages",
    "documents": "documents",
}
"""Target → the kind of documents that it reads."""


@st.composite
def spoiled(draw: st.DrawFn, kind: str) -> bytes:
    """Return a document with some of its values, names or tags replaced, doubled or cut away; or any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=64))
    body = draw(st.sampled_from(seeds()[kind]))
    for _ in range(draw(st.integers(1, 3))):
        places = [found.span() for found in _PLACES.finditer(body)] or [(0, len(body))]
        begin, end = places[draw(st.integers(0, len(places) - 1))]
        odd = draw(st.sampled_from(ODD) | st.just(body[begin:end] * 2) | st.binary(max_size=8))
        body = draw(st.sampled_from((body[:begin] + odd + body[end:], body[:end] + odd + body[end:], body[:end])))
    return body
