"""``vendortap new``: which vendor the choices on the command line come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vendortap.errors import UsageError
from vendortap.scaffold import openapi, presets, project
from vendortap.scaffold.document import read
from vendortap.scaffold.infer import read_sample
from vendortap.scaffold.spec import line
from vendortap.scaffold.vendor import Auth, Format, Paging, SignIn, Vendor


def vendor(
    name: str,
    *,
    title: str = "",
    auth: Auth | None = None,
    paging: Paging | None = None,
    form: str | None = None,
    spec: Path | None = None,
    matches: Sequence[str] = (),
    samples: Sequence[Path] = (),
) -> Vendor:
    """Return the vendor that was chosen.

    Raises:
        UsageError: choices that contradict each other, or files that nothing can be drafted from.
    """
    project.check_name(name)
    if spec is not None and (samples or paging or form):
        raise UsageError("--from-openapi tells formats and paging; leave out --from-sample, --paging and --format")
    if samples and form:
        raise UsageError("--from-sample tells the formats; leave out --format")
    if matches and spec is None:
        raise UsageError("--match chooses from an OpenAPI document; give one with --from-openapi")
    title = line(title) or " ".join(part.capitalize() for part in name.split("-"))
    if spec is not None:
        drafted = project.fitting(openapi.draft(read(spec), name, title, matches))
        return drafted if auth is None else replace(drafted, auth=() if auth == "none" else (SignIn(auth),))
    if samples:
        read_samples = [read_sample(path) for path in samples]
        return project.fitting(
            presets.from_samples(name, title, read_samples, auth or "bearer", paging or "page-number")
        )
    formats: dict[str, tuple[Format, ...]] = {"json": ("json",), "xml": ("xml",), "both": ("json", "xml")}
    return presets.plain(name, title, auth or "bearer", paging or "page-number", formats[form or "both"])
