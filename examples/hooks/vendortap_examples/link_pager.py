"""The pager ``link``: the next page is where the reply's ``Link`` header says (RFC 8288)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from urllib.parse import urljoin

from vendortap.declare import Config, Page, Pager, Request, hookimpl
from vendortap.errors import BodyError


@hookimpl
def register_pagers() -> Mapping[str, Callable[..., Pager]]:
    """Bring the pager."""
    return {"link": link}


def link(*, base_url: str = "base_url") -> Pager:
    """Follow ``rel="next"`` until there is none; relative links are joined to the setting that ``base_url`` names."""

    def pages(request: Request, config: Config) -> Generator[Request, Page, None]:
        followed: set[str] = set()
        while True:
            page = yield request
            target = following(page.headers.get("link", ""))
            if target is None:
                return
            url = urljoin(config[base_url], target)
            if url in followed:
                raise BodyError("the Link header of a page leads back to a page that came before")
            followed.add(url)
            request = replace(request, path=url, params={})  # the link has all the parameters

    return pages


def following(header: str) -> str | None:
    """Return the target of the link whose relations have ``next`` among them (RFC 8288, 3.3)."""
    from requests.utils import parse_header_links  # here, as a declaration should not wait for the HTTP client

    for found in parse_header_links(header):
        if "next" in found.get("rel", "").lower().split():
            return str(found["url"])
    return None
