"""What a process that vendortap starts is given of the environment: what it needs, and what the operator names.

An environment holds the secrets of many programs: passwords of proxies, keys of clouds, settings of other taps. So each
kind of process has a list of names here, and gets nothing else. A name that ends with ``*`` stands for all that begin
like it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ANY = _names("""
    PATH HOME USER LOGNAME SHELL PWD LANG LANGUAGE LC_* TZ TZDIR TMPDIR TEMP TMP
    TERM COLORTERM COLUMNS LINES NO_COLOR FORCE_COLOR
    XDG_CACHE_HOME XDG_CONFIG_DIRS XDG_CONFIG_HOME XDG_DATA_DIRS XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME
    LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH
    VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONNOUSERSITE PYTHONSAFEPATH PYTHONPLATLIBDIR
    PYTHONUTF8 PYTHONIOENCODING PYTHONCOERCECLOCALE PYTHONUNBUFFERED PYTHONHASHSEED PYTHONOPTIMIZE PYTHONWARNINGS
    PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX PYTHONDEVMODE PYTHONFAULTHANDLER PYTHONMALLOC PYTHONTRACEMALLOC
""")
"""What tells a program where it is, and how to write; no secrets."""
_SINGER = _names("""
    LOGLEVEL SINGER_SDK_LOG_CONFIG VENDORTAP_LOG_FORMAT
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NO_PROXY no_proxy
""")
"""What a tap and any target go by beside that."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_TAP = _names("VENDORTAP_* OTEL_* TRACEPARENT TRACESTATE AWS_* AZURE_* GOOGLE_* GCSFS_* FSSPEC_*")
"""What a tap needs for its telemetry, and for the storages of ``documents_dir`` and ``batch_config``."""
_POSTGRES = _names("""
    PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGREQUIREAUTH PGCHANNELBINDING PGSERVICE
    PGSERVICEFILE PGOPTIONS PGAPPNAME PGSSLMODE PGREQUIRESSL PGSSLNEGOTIATION PGSSLCOMPRESSION PGSSLCERT PGSSLKEY
    PGSSLCERTMODE PGSSLROOTCERT PGSSLCRL PGSSLCRLDIR PGSSLSNI PGREQUIREPEER PGSSLMINPROTOCOLVERSION
    PGSSLMAXPROTOCOLVERSION PGGSSENCMODE PGKRBSRVNAME PGGSSLIB PGGSSDELEGATION PGCONNECT_TIMEOUT PGCLIENTENCODING
    PGTARGETSESSIONATTRS PGLOADBALANCEHOSTS PGDATESTYLE PGTZ PGGEQO PGSYSCONFDIR PGLOCALEDIR
""")
"""https://www.postgresql.org/docs/current/libpq-envars.html"""
_EMBEDDED = "vendortap.duckdb"
_TARGET = re.compile(r"\btarget[-_][a-z0-9_-]+", re.IGNORECASE)


def for_tool(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a program without any settings or network is given."""
    return _chosen(environment, _ANY)


def for_tap(
    environment: Mapping[str, str], connector: str, connectors: Iterable[str], more: Iterable[str] = ()
) -> dict[str, str]:
    """Return what the tap of one of the connectors is given: its own settings, proxies with passwords, and ``more``."""
    own = _settings_of(f"tap-{connector}")
    others = tuple(
        begin[:-1]
        for name in connectors
        if (begin := _settings_of(f"tap-{name}")) != own and begin.startswith(own[:-1])
    )
    foreign = {name for name in environment if name.startswith(others)}  # TAP_ACME_EU_* begins like TAP_ACME_* too
    proxies = (*_PROXIES, *map(str.lower, _PROXIES))
    mine = {name: value for name, value in environment.items() if name not in foreign}
    return _chosen(mine, [*_ANY, *_SINGER, *_TAP, *proxies, own]) | _chosen(environment, more)


def for_target(environment: Mapping[str, str], command: Sequence[str], more: Iterable[str] = ()) -> dict[str, str]:
    """Return what a target's command is given: its own settings, and ``more``.

    Whose settings are its own, its name says: ``target-postgres`` has those that begin with ``TARGET_POSTGRES_``, and
    those of PostgreSQL's client. A command that names no target has all that begin with ``TARGET_``.
    """
    names = _targets(command)
    own = [_settings_of(name) for name in names] if names else ["TARGET_*"]
    own += _POSTGRES if any("postgres" in name.lower() for name in names) else []
    open_proxies = [name for name in environment if name.upper() in _PROXIES and "@" not in environment[name]]
    return _chosen(environment, [*_ANY, *_SINGER, *own, *open_proxies, *more])


def withheld(environment: Mapping[str, str], given: Mapping[str, str], command: Sequence[str]) -> list[str]:
    """Return the names of what a target's command is not given; none for our own target, which needs no more."""
    if _EMBEDDED in command:
        return []
    return sorted(filter(str.isidentifier, environment.keys() - given.keys()))


def hint(names: Sequence[str]) -> str:
    """Say what a target that has failed was not given, by these names, and how it can be."""
    return (
        f"The target was not given these variables of the environment: {', '.join(names)}. If it needs one of them, "
        "name it with --target-env"
    )


def _chosen(environment: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    wanted = {*names}
    begins = tuple(name[:-1] for name in wanted if name.endswith("*"))
    return {name: value for name, value in environment.items() if name in wanted or name.startswith(begins)}


def _settings_of(program: str) -> str:
    """Return how the variables with a program's settings begin, as singer-sdk reads them."""
    return f"{program.upper().replace('-', '_')}_*"


def _targets(command: Sequence[str]) -> list[str]:
    """Return the targets that a command names: as its program, or else as in `sh -c "target-x …"`."""
    if _EMBEDDED in command:
        return ["target-vendortap-duckdb"]
    return _TARGET.findall(PurePath(command[0]).name) or _TARGET.findall(" ".join(command[1:]))
