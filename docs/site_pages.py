"""Makes what lies outside docs/ part of the site, where a page links to it, and keeps the site readable offline.

MkDocs runs these hooks (``mkdocs.yml``): https://www.mkdocs.org/dev-guide/plugins/#events
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = "repository/"
"""Where in the site the pages are whose files are not in docs/."""

LANGUAGES = {
    ".json": "json",
    ".md": "markdown",
    ".py": "python",
    ".sh": "sh",
    ".toml": "toml",
    ".txt": "text",
    ".yml": "yaml",
}
"""What is shown of a folder, and how a file is highlighted."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
_FETCHED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")


def on_config(config: MkDocsConfig) -> None:
    """Give headings the names that they have in plain files, on which links rest."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a page for every file and folder of the repository that a page links to, directly or through others."""
    known = {file.src_uri for file in files}
    left = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    while left:
        for path in _linked(left.pop()):
            if place(path) not in known:
                files.append(File.generated(config, place(path), content=_content(path)))
                known.add(place(path))
                left.append(path)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead the links of a page to where in the site their files are."""
    own = page.file.src_uri
    path = own.removeprefix(OUTSIDE) if own.startswith(OUTSIDE) else f"docs/{own}"
    if not (ROOT / path).is_file():
        return markdown  # a listing, whose links are made for the site

    def lead(link: re.Match[str]) -> str:
        target = _target(path, link[1])
        return (_way(own, place(target)) if (ROOT / target).exists() else link[1]) + (link[2] or "")

    return _LINK.sub(lead, markdown)


def on_post_page(output: str, page: Page, **_: object) -> None:
    """Refuse a page that fetches something from elsewhere.

    Raises:
        PluginError: which names the page and the address.
    """
    if found := _FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} would fetch {found[1]}; the site has to be readable offline")


def place(path: str) -> str:
    """Return where in the site a file or folder of the repository is; a folder with a README is its README."""
    if (ROOT / path).is_dir():
        return f"{OUTSIDE}{path}/{'README' if (ROOT / path / 'README.md').exists() else 'index'}.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    visible = path.replace("/.", "/dot.")  # MkDocs leaves out what begins with a dot
    return f"{OUTSIDE}{visible}" if path.endswith(".md") else f"{OUTSIDE}{visible}.md"


def _way(page: str, other: str) -> str:
    return posixpath.relpath(other, posixpath.dirname(page) or ".")


def _target(path: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _linked(path: str) -> Iterator[str]:
    """Yield what a page links to; of a folder without a README, what is in it."""
    document = _document(path)
    if document is not None:
        links = (link for link, _ in _LINK.findall(document.read_text("utf-8")))
        targets = (_target(document.relative_to(ROOT).as_posix(), link) for link in links)
        yield from (target for target in targets if (ROOT / target).exists())
    elif (ROOT / path).is_dir():
        yield from _children(path)


def _document(path: str) -> Path | None:
    """Return the file of Markdown that is shown for a file or folder, if one is."""
    shown = ROOT / path / "README.md" if (ROOT / path).is_dir() else ROOT / path
    return shown if shown.suffix == ".md" and shown.is_file() else None


def _children(folder: str) -> list[str]:
    files = sorted(child for child in (ROOT / folder).iterdir() if child.is_file() and child.suffix in LANGUAGES)
    return [child.relative_to(ROOT).as_posix() for child in files]


def _content(path: str) -> str:
    """Return a page: a document as it is, anything else as a listing, which the search leaves out."""
    if document := _document(path):
        return document.read_text("utf-8")
    start = f"---\nsearch: {{exclude: true}}\n---\n\n# {posixpath.basename(path)}\n\n`{path}`\n\n"
    if (ROOT / path).is_dir():
        ways = {child: _way(place(path), place(child)) for child in _children(path)}
        return start + "".join(f"- [{posixpath.basename(child)}]({way})\n" for child, way in ways.items())
    language = LANGUAGES.get(posixpath.splitext(path)[1], "text")
    return f"{start}~~~~~~{language}\n{(ROOT / path).read_text('utf-8')}~~~~~~\n"
