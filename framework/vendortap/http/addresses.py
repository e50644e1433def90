"""Addresses: which of them may be asked, and what the environment sets for each, proxies and CA bundle."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from vendortap.declare.model import Config
from vendortap.errors import ConfigError
from vendortap.support.redact import shown_name


def checked(url: str, who: str, config: Config) -> Url:
    """Parse a URL with the parser that later decides where the connection goes, and check that it may.

    Raises:
        ConfigError: it is not https (or http on this machine), or has a user name or password in it.
    """
    parts = parsed(url)
    if problem := _problem(parts):
        raise ConfigError(f"{who}: {source(url, config)}{problem}.")
    assert parts is not None  # noqa: S101 - that is a problem
    return parts


def _problem(parts: Url | None) -> str | None:
    if parts is None or not parts.host or parts.scheme not in ("https", "http"):
        return " is not an absolute https URL; check the URLs in the settings"
    if parts.auth is not None:
        return " has a user name in it; move the credentials to their settings"
    if parts.scheme == "http" and not _is_loopback(parts.host):
        return (
            f": http://{shown_name(parts.host)} would show credentials and invoices to the network; use https "
            "(http is for 127.0.0.1, ::1 and localhost only)"
        )
    return None


def source(url: str, config: Config) -> str:
    """Say which setting a URL is, or begins with, as far as that can be told."""
    texts = {name: value.rstrip("/") for name, value in config.items() if isinstance(value, str)}
    begins = [name for name, text in texts.items() if text and (url == text or url.startswith(f"{text}/"))]
    return f"the setting {max(begins, key=lambda name: len(texts[name]))!r}" if begins else "a URL of the connector's"


def parsed(url: str) -> Url | None:
    """Return the parts of a URL; ``None`` where it is none."""
    try:
        return parse_url(url)
    except LocationParseError:
        return None


@lru_cache(100)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin(url: Url) -> tuple[str | None, str | None, int]:
    """Return scheme, host and port (RFC 6454, 4)."""
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def environment(url: Url, who: str, ca_bundle: str | None) -> dict[str, Any]:
    """Return the proxies that the environment sets for this address, and the CA bundle: the operator's goes first.

    What is sent to this machine goes through no proxy: it may be plain http. Nothing leaves certificates unchecked.

    Raises:
        ConfigError: the CA bundle cannot be used.
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url.url, {}, None, ca_bundle, None)
    verify = settings["verify"]
    if url.scheme == "https" and isinstance(verify, str) and (problem := _bundle_problem(verify)):
        source = "the setting 'ca_bundle'" if ca_bundle else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        raise ConfigError(f"{who}: {source} names a file that {problem}.")
    proxies = {} if _is_loopback(url.host or "") else settings["proxies"]
    return {"verify": verify if isinstance(verify, str) else True, "proxies": proxies}


def _bundle_problem(path: str) -> str | None:
    """Say what is wrong with a CA bundle; a folder is one of OpenSSL's, and looked into when it is used."""
    if os.path.isdir(path):
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "holds no certificates in PEM"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None


def proxy_password(url: Url, proxies: Mapping[str, str], who: str) -> tuple[str, ...]:
    """Return the password in the URL of the proxy for this address: as it stands there, and as it is sent.

    Raises:
        ConfigError: the URL is none of a proxy; it is not shown.
    """
    if (proxy := requests.utils.select_proxy(url.url, proxies)) is None:
        return ()
    parts = parsed(proxy if "://" in proxy or "@" in proxy else f"http://{proxy}")
    if parts is None or not parts.host or not str(parts.scheme).startswith(("http", "socks")):
        raise ConfigError(
            f"{who}: the proxy that the environment names for {url.scheme} (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) is "
            "not a URL of a proxy; correct it."
        )
    password = (parts.auth or "").partition(":")[2]
    return password, unquote(password)
