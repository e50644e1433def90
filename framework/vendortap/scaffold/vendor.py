"""A vendor as far as it is known before anybody has written its connector: what a template makes a project of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

LIMIT_ASSUMED = "Assumed: five requests a second. Say what the vendor documents."

Paging = Literal["none", "page-number", "offset", "row-offset", "token"]
Auth = Literal["none", "bearer", "api-key", "basic", "oauth2-client"]
Format = Literal["json", "xml"]
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pages:
    """How a list is asked for page by page; by ``row-offset`` with POST, in a document.

    ``param`` is the query parameter of the page, offset or token, ``size_param`` that of the size (empty where there
    is none, for tokens only). ``found`` leads to the next token in a reply, ``total`` to the number of all rows: in the
    reply, but in each row by ``row-offset``.
    ``first`` is the number of the first page, ``size`` the rows to ask for; ``assumed`` says that it is not documented.
    """

    kind: Paging = "none"
    param: str = ""
    size_param: str = ""
    found: tuple[str, ...] = ()
    total: tuple[str, ...] = ()
    first: int = 1
    size: int = 100
    greatest: int | None = None
    assumed: bool = True

    @property
    def total_beside(self) -> tuple[str, ...]:
        """Where the number of all rows is, if it stands beside them."""
        return () if self.kind == "row-offset" else self.total


@dataclass(frozen=True, slots=True)
class SignIn:
    """One way to authenticate. ``header`` is that of an API key, ``token_url`` where tokens come from."""

    kind: Auth
    header: str = "X-Api-Key"
    token_url: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """Where a document's keys come from: the rows of the stream ``parent`` (its property ``field``), or a setting."""

    param: str
    setting: str
    parent: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftStream:
    """One kind of record. ``path`` has ``{name}`` for what a setting or the slice fills in; so have ``params``.

    ``item`` is what a record is called in XML, ``root`` the whole reply. ``add`` is the property that takes the key of
    the request, where the document does not hold it. ``amount`` is the property of what a record comes to, if one is
    known. ``comments`` stand above it in the declaration.
    """

    name: str
    title: str
    path: str
    rows: tuple[str, ...]
    many: bool
    keys: tuple[str, ...]
    schema: Schema
    params: Mapping[str, str] = field(default_factory=dict)
    replication_key: str | None = None
    pages: Pages = field(default_factory=Pages)
    keyed: Listed | None = None
    add: str = ""
    amount: str = ""
    any_case: bool = False
    any_type: bool = False
    item: str = ""
    root: str = ""
    comments: tuple[str, ...] = ()

    @property
    def is_listed(self) -> bool:
        """Whether it can be read without being told keys: it is a list, or a list has its keys."""
        return self.keyed is None or self.keyed.parent != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A vendor: its streams, lists before their documents, how to sign in, and the settings that all of that needs.

    ``headers`` are request headers with the setting that each takes its value from; ``unique_headers`` take a new
    random id with each request. ``settings`` are those beside the usual ones, in the form of config.json.
    """

    name: str
    title: str
    docs: str
    base_url: str | None
    streams: tuple[DraftStream, ...]
    auth: tuple[SignIn, ...] = ()
    formats: tuple[Format, ...] = ("json",)
    headers: Mapping[str, str] = field(default_factory=dict)
    unique_headers: tuple[str, ...] = ()
    settings: Mapping[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()

    @property
    def has_xml(self) -> bool:
        """Whether it can answer in XML."""
        return "xml" in self.formats
