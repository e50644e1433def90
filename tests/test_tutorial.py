"""The tutorial and the quick start are run as they stand: tests/walkthrough.py says how."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import walkthrough

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.parametrize("name", ["index", "tutorial"])
def test_a_reader_gets_what_the_document_shows(name: str, tmp_path: Path) -> None:
    walkthrough.run((DOCS / f"{name}.md").read_text(encoding="utf-8"), tmp_path)


DOCUMENT = """
`greeting.txt`

```text
hello
```

<!-- not run: it would fail -->
```sh
exit 9
```

```sh
sed -n 1p greeting.txt
sed -n 1p beside.txt; echo one; echo two; echo three
```

```text
hello
…
thr…
```
"""


def test_what_a_document_shows_is_compared_but_for_what_it_leaves_open(tmp_path: Path) -> None:
    (tmp_path / "beside.txt").write_text("zero\n", encoding="utf-8")
    walkthrough.run(DOCUMENT, tmp_path)
    with pytest.raises(AssertionError, match=r"line 13 printed\nhello"):
        walkthrough.run(DOCUMENT.replace("thr…", "four"), tmp_path)


def test_a_command_that_fails_ends_the_document_and_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"line 13 ended with 2"):
        walkthrough.run(DOCUMENT.replace("sed -n 1p greeting.txt", "sed -n 1p nowhere.txt"), tmp_path)


def test_what_is_installed_on_the_way_is_installed_for_the_document_alone(tmp_path: Path) -> None:
    walkthrough.run("```sh\npython3 -c 'import sys; print(sys.prefix)'\n```\n\n```text\n…/.venv\n```\n", tmp_path)
