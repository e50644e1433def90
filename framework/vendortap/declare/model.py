"""The nouns, and the function types that connect them. No behaviour beyond what a noun needs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol

Config = Mapping[str, Any]
"""A connector's settings, checked against its config schema, defaults filled in."""


class Record(Protocol):
    """One typed record, or an object inside one; it is read and changed by property name.

    Values are str, bool, int, Decimal, aware datetime, date, None, lists of these, and objects like the record.
    """

    def __getitem__(self, name: str, /) -> Any: ...
    def __setitem__(self, name: str, value: Any, /) -> None: ...


UNKNOWN = "_unknown"
"""The property that, with `keep_unknown`, has what is not declared: place in the record → what stands there."""

HOOKSPEC_VERSION = 2
"""The hook specification this version of vendortap speaks."""


# --- schemas -----------------------------------------------------------------------------------------

Kind = Literal["object", "array", "string", "number", "integer", "boolean", "date-time", "date", "any", "given"]
"""What stands in a place of a record. ``any`` stands only beside records, for what a check looks at; ``given`` is
not looked for in a reply, as it comes from the request, and is null until then."""


@dataclass(frozen=True, slots=True)
class Node:
    """One place in a record, compiled from JSON Schema; what both decoders are driven by.

    ``fields`` is set for objects, ``item`` for arrays. ``xml_name`` is the element (or attribute) name; for an
    array with ``xml_wrapped`` it names the wrapper, and the items are ``item.xml_name`` inside it (any
    element, where that is not given). OpenAPI 3.1, "XML Object". ``extra`` are names that an object has beside its
    fields, known of and left out; with any other, the typed reading refuses the page, and the coerced one reports it.
    ``None`` accepts all names.
    """

    kind: Kind
    nullable: bool = True
    fields: Mapping[str, Node] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    item: Node | None = None
    xml_name: str | None = None
    xml_wrapped: bool = False
    xml_attribute: bool = False
    extra: frozenset[str] | None = None


# --- requests and replies ----------------------------------------------------------------------------


def is_xml(media_type: str) -> bool:
    """Whether a media type, with or without parameters, is XML's (RFC 7303)."""
    return media_type.partition(";")[0].rstrip().endswith("xml")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, before credentials are added. ``path`` is joined to the base URL unless absolute.

    ``document`` is a body that is still to be written, in the media type of ``Content-Type``; pagers may change
    it. ``endpoint`` names the vendor's operation, where it has a rate limit of its own. ``attempts`` is how many
    answers may be errors that usually pass, where there is another way to what it asks for (``None``: as many as the
    retry budget allows). ``empty`` tells which replies of another status than 2xx are
    answers all the same: that there are no records.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    document: Mapping[str, Any] | None = None
    endpoint: str = ""
    attempts: int | None = None
    empty: Callable[[Reply], bool] | None = None

    def with_params(self, params: Mapping[str, Any]) -> Request:
        """Return the same request with these query parameters set as well."""
        return replace(self, params={**self.params, **{k: str(v) for k, v in params.items()}})

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return the same request with these headers set as well."""
        return replace(self, headers={**self.headers, **headers})


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, read to its end. Header names are lower case; ``received`` is aware UTC."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: datetime

    @property
    def media_type(self) -> str:
        """The media type of ``Content-Type`` without parameters, lower case (RFC 9110, 8.3)."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def answered(self) -> datetime:
        """When the reply was made, aware: by the vendor's own clock where it says so (RFC 9110, 6.6.1).

        What is held against the vendor's stamps has to come from the vendor's clock: ours may be wrong, or jump.
        """
        try:
            date = parsedate_to_datetime(self.headers["date"])
        except (KeyError, ValueError, TypeError, OverflowError):
            return self.received
        return date if date.tzinfo else date.replace(tzinfo=UTC)


Empty = Callable[[Reply], bool]
"""Tells whether a reply says that there are no records (vendortap.declare.empty has the usual ones)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is about to be sent, for flows that sign it.

    ``url`` is absolute and percent-encoded, its query included; ``body`` is empty where there is none. ``headers`` are
    all that this end sets, but for those of the signatures; the connection adds ``Host`` and ``Connection``.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


Sign = Callable[[Outgoing], Mapping[str, str]]
"""Makes the headers that sign one request; called before each attempt, retries included, by any thread."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers that authenticate a request, and for how many seconds (``None``: for ever).

    ``sign`` makes further ones of each request as it is sent, for vendors that want requests signed.
    """

    headers: Mapping[str, str]
    expires_in: float | None = None
    sign: Sign | None = None


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """A record that does not fit its schema: the JSON path in the reply, and what should stand there.

    ``raw`` are its own bytes: as received in JSON, its element in XML. ``sentence`` names it, by its key if it can.
    ``is_other`` says that it is not the record that was asked for, which is still to be obtained.
    """

    path: str
    expected: str
    raw: bytes
    sentence: str
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The records of one reply, and the values beside them that the pager asked for (``RecordSelector.more``).

    ``absent`` says that the reply does not even have the place where they should be, or as the one document nothing.
    ``invalid`` are those records, by index, that do not fit their schema: what can be read of one is in ``records``
    all the same, so that pagers and checks see how many there are; the rest of it is null. The records are given away
    when the pager yields another request: what it has to know of them then, it has to keep. ``headers`` are the
    reply's, for vendors that say there where the next page is; their names are lower case. ``is_recounted`` says that
    records came twice when the list was read before, so that their number, or that of pages, does not say where it
    ends.
    """

    records: list[Record]
    more: Mapping[str, Any] = field(default_factory=dict)
    absent: bool = False
    invalid: Mapping[int, InvalidRecord] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    is_recounted: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """Asked by an auth flow: what was remembered under this name (``None``: nothing).

    Where there is nothing, what was remembered under the ``former`` name counts, which earlier versions gave it.
    """

    name: str
    former: str | None = None


@dataclass(frozen=True, slots=True)
class Remember:
    """Asked by an auth flow: keep these texts by name, in the operator's token file if there is one, before going on.

    Accounts may share the file, so names have to tell whose texts they are, without a secret in them. All of the texts
    or none: a token may be worth nothing without the one that came with it. They are held to what a token may be: at
    most 16,384 characters, all of which a header can carry.
    """

    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a reply says about the vendor's limit: how long to pause, and what rate holds from now on."""

    pause_seconds: float = 0.0
    rate: float | None = None


Send = Callable[[Request], Reply]
Authorize = Callable[[Config], Generator[Request | Recall | Remember, Any, Credentials]]
"""Drives token calls through the same sender (a refusal is raised where the call was yielded), and returns what
the following requests carry."""
Pager = Callable[[Request, Config], Generator[Request, Page, None]]
"""Yields a request, is sent the page; ends when there are no more pages. A page after which the same request is
yielded again is not handed on: the pager does not believe it."""


# --- what plugins bring through hooks ----------------------------------------------------------------

Decoder = Callable[[Reply], Any]
"""Reads a reply into a document of dicts, lists, texts, Decimals, integers, booleans and None, as JSON would have it.

The stream's schema types it from there on, repairs included: a format without types may give texts only. A
``ValueError`` says that the body is not of the format; its text goes into the error, so it must not quote the body.
"""


@dataclass(frozen=True, slots=True)
class PageAction:
    """What a plugin does with each page of a stream that is handed on: after the vendor, before the target.

    ``act`` is called with the records of a page, in the order of the run and by one thread. Only where it ``alters``
    them (in place) it may change values: within the schema, and neither the number of records nor their properties.
    Then they are dicts, all the way down. Where it does not, they are read by property name, and reading is all it may
    do. ``end`` is called once when the stream is over, however that came about.
    """

    act: Callable[[Sequence[Any]], None]
    alters: bool = True
    end: Callable[[], None] = lambda: None


# --- slices and bookmarks ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a partition of a stream has been read: everything below ``value``, and ``keys_at_bookmark`` at ``value``.

    ``value`` is an aware UTC datetime. ``keys_at_bookmark`` holds the keys already handed on whose replication key
    equals ``value``; it stays empty where the vendor's stamp is a bare date, as later changes may carry it too.
    """

    value: datetime
    keys_at_bookmark: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of a stream that can be fetched by itself.

    ``params`` fill the stream's request; ``partition`` (a part of them) says which bookmark it belongs to.
    ``since`` is the bookmark that its records are compared with; ``bookmark`` is the value to advance to when the
    slice is complete, where the slice knows it beforehand (a window's end, a parent's replication key). ``known``
    is what tells whether a record is new: ``since``, or earlier where the plan looks back. ``is_retry`` marks one
    that is fetched once more because an earlier run could not use all of it; its end moves no bookmark.
    """

    params: Mapping[str, str]
    partition: Mapping[str, str] = field(default_factory=dict)
    since: Bookmark | None = None
    known: Bookmark | None = None
    bookmark: datetime | None = None
    is_retry: bool = False


Build = Callable[[Config, Mapping[str, str]], Request]
"""Makes a stream's request from the settings and a slice's params."""
KeySource = Callable[[Config], Iterable[str] | None]
"""Keys that the operator configured, or ``None`` where this source is not configured."""
Setting = Callable[[Config], Any]
"""A value that depends on the settings."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: ``rate`` requests a second on the average, ``burst`` at once.

    With ``each_endpoint`` every endpoint has a bucket of its own. An ``adaptive`` limit follows what the vendor's
    replies say of it (``Connector.pace``); one that the operator set is only ever lowered by them.
    """

    rate: float
    burst: int = 1
    each_endpoint: bool = False
    adaptive: bool = True


# --- declarations ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a reply: the names that lead to it from the root, and its kind."""

    path: tuple[str, ...]
    kind: Kind = "string"


@dataclass(frozen=True, slots=True)
class RecordSelector:
    """Where the records are inside a reply.

    ``path`` leads from the root to them (empty: the root itself), ``many`` says whether there is a list of
    them. ``more`` names values beside them that the pager or a check needs: name → where, and of what kind.
    ``any_case`` reads JSON names whatever their case, for vendors that change it; ``any_type`` says that a vendor is
    known to write a number as a string now and then, which is repaired in any case, and no drift. ``empty`` are the
    replies without that place, or of another status than 2xx, by which the vendor says that there is nothing: a list
    without rows, or a document that it does not have. All others are errors.
    """

    path: tuple[str, ...] = ()
    many: bool = True
    more: Mapping[str, Value] = field(default_factory=dict)
    any_case: bool = False
    any_type: bool = False
    empty: tuple[Empty, ...] = ()


@dataclass(frozen=True, slots=True)
class Windows:
    """Date windows, for vendors that hand out so many days at a time.

    ``start`` and ``end`` name date settings (no end: now), ``days`` the setting with the days of a window.
    ``params`` are the slice params that take its two ends. Each window begins ``overlap_seconds`` before the end of
    the one before: whether a vendor counts the ends in is rarely documented, and twice is better than never.
    """

    start: str
    end: str
    days: str
    params: tuple[str, str]
    overlap_seconds: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stream is cut into slices: one for each value of a list setting, or one for all.

    ``each`` is ``(setting, param)``: a slice for each value of the list in ``setting``, which becomes its
    param (and its partition) ``param``. ``since`` computes further params from the settings and the
    partition's bookmark, for vendors that can list what changed since a date. ``lookback`` names the setting with
    the days by which the bookmark is set back in each run, for vendors that do not say what changed.
    ``windows`` cuts further; the replication key of a record is then the end of its window.
    """

    each: tuple[str, str] | None = None
    since: Callable[[Config, Bookmark | None], Mapping[str, str]] | None = None
    lookback: str | None = None
    windows: Windows | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """Where the keys of a stream of single documents come from; each document is one request.

    They come from the first of ``sources`` that is configured, or else from those records of the parent, the list
    ``stream``, that are new since this stream's own bookmark: each gives the value of its ``field``, and the date
    in its ``changed`` (default: its replication key) becomes the document's replication key. Without a list stream
    there are no keys but the configured ones. ``param`` is the slice's param that takes the key.

    ``echo`` are the properties in which a document says its own number: the first that is not null has to be the key.
    ``same`` tells that of a key and a number, for vendors that write it in several forms.
    """

    param: str
    sources: tuple[KeySource, ...] = ()
    stream: str | None = None
    field: str = ""
    changed: str | None = None
    echo: tuple[str, ...] = ()
    same: Callable[[str, str], bool] = str.__eq__


@dataclass(frozen=True, slots=True)
class Amount:
    """What a record comes to: where the amount is, and its currency, if the vendor states one.

    Both are names joined by dots, from the record down; of a list on the way its first item is meant.
    """

    path: str
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One kind of record of a vendor.

    ``schema`` is the name of its JSON schema in the connector's schema package (default: ``name``). ``add``
    puts slice params into each record: property → param. ``check`` raises what a reply says of itself under
    HTTP 200, and returns what the operator should be told; ``finish`` completes a record in place. ``distinct`` hands
    on the first of several records with one key. ``document`` names a Base64 property that ``documents_dir`` puts into
    files. A stream that is not ``selected_by_default`` is read only where the setting ``extra_streams`` names it; no
    wildcard in a selection is enough. ``amount`` is what a run's report adds up.
    """

    name: str
    title: str
    request: Build
    keys: tuple[str, ...]
    schema: str | None = None
    record_selector: RecordSelector | Setting = field(default_factory=RecordSelector)
    pages: Pager | None = None
    plan: Plan = field(default_factory=Plan)
    parent: Parent | None = None
    replication_key: str | None = None
    add: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Page], str | None] | None = None
    finish: Callable[[Record], None] | None = None
    distinct: bool = False
    document: str | None = None
    selected_by_default: bool = True
    amount: Amount | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A local server that speaks the vendor's protocol, and the settings that lead a tap to it.

    ``app`` is ``module:function``; the function takes ``invoices``, ``seed``, ``latency_ms`` and ``rate`` and
    returns an ASGI application whose ``state.totals()`` gives ``{currency: (invoices, exact sum)}``; ``options``
    are given to it as well where all of its invoices are to be read quickly. In the string values of ``config``,
    ``{url}`` stands for the server's address. ``totals`` is the query that gives the same from the loaded tables:
    rows of currency, invoices and sum; ``{schema}`` stands for their schema.
    """

    app: str
    config: Mapping[str, Any]
    totals: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """A vendor: data, and functions from the framework's boxes; nothing of it runs before a sync does.

    ``schemas`` is the package that holds ``config.json`` and one JSON schema a stream. ``accept`` gives the
    media type to ask for. ``zone`` gives the IANA name of the zone of date-times that come without an offset,
    ``date_format`` a strptime pattern for date-times in a format of the vendor's own; where these are settings,
    they are called ``timezone`` and ``date_format``. ``expired`` tells
    whether a reply means that the credentials have to be renewed, ``missing`` whether it means that the vendor does
    not have what was asked for; of a 5xx that is believed when it stays. ``headers`` makes what every request carries
    anew, ``rate_limit`` reads the vendor's limit from a reply, ``trace`` names the header by which the vendor
    identifies a reply.
    """

    name: str
    title: str
    docs: str
    schemas: str
    base_url: Setting
    streams: tuple[Stream, ...]
    auth: tuple[Authorize, ...] = ()
    accept: Setting = lambda _: "application/json"
    zone: Setting = lambda _: "UTC"
    date_format: Setting = lambda _: None
    limit: Limit | None = None
    expired: Callable[[Reply], bool] = lambda reply: reply.status == 401
    missing: Callable[[Reply], bool] = lambda reply: reply.status == 404
    headers: Callable[[Config], Mapping[str, str]] = lambda _: {}
    rate_limit: Callable[[Reply], RateLimit | None] = lambda _: None
    trace: str | None = None
    sandbox: Sandbox | None = None

    def stream(self, name: str) -> Stream:
        """Return the stream of this name (KeyError where there is none)."""
        return {stream.name: stream for stream in self.streams}[name]
