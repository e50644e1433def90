"""``vendortap new``: which vendor the choices on the command line come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vendortap.errors import UsageError
from vendortap.scaffold import openapi, presets, project
from vendortap.scaffold.document import load
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
    _check_choices(spec, matches, samples, paging, form)
    title = line(title) or " ".join(map(str.capitalize, name.split("-")))
    if spec is not None:
        drafted = project.fitting(openapi.draft(load(spec), name, title, matches))
        return drafted if auth is None else replace(drafted, auth=() if auth == "none" else (SignIn(auth),))
    auth, paging = auth or "bearer", paging or "page-number"
    if samples:
        return project.fitting(presets.from_samples(name, title, [*map(read_sample, samples)], auth, paging))
    formats: dict[str | None, tuple[Format, ...]] = {"json": ("json",), "xml": ("xml",)}
    formats["both"] = formats[None] = ("json", "xml")
    return presets.plain(name, title, auth, paging, formats[form])


def _check_choices(
    spec: Path | None, matches: Sequence[str], samples: Sequence[Path], paging: Paging | None, form: str | None
) -> None:
    if spec is not None and any((samples, paging, form)):
        raise UsageError("--from-openapi tells formats and paging; leave out --from-sample, --paging and --format")
    if samples and form:
        raise UsageError("--from-sample tells the formats; leave out --format")
    if matches and spec is None:
        raise UsageError("--match chooses from an OpenAPI document; give one with --from-openapi")
