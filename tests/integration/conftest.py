"""What integration tests share: foreign programs in environments of their own, a PostgreSQL server, Chromium.

Every test of this folder has the marker `integration`, which `make test` leaves out and `make test-integration` runs.
What is missing is installed, or fails the tests that need it: none is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.integration import debian, environments, postgres
from tests.integration.environments import Environment

FOLDER = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.integration)


GetEnvironment = Callable[[str], Environment]


@pytest.fixture(scope="session")
def environment() -> GetEnvironment:
    """Gives environments by name: ``environment("target-postgres").command("target-postgres")``."""
    return cache(environments.environment)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server of this session's own, on a private port."""
    with postgres.serving() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium. As root it needs ``--no-sandbox``, in any case ``--headless`` and a ``--user-data-dir``."""
    return debian.installed("Chromium", "chromium", ["chromium", "chromium-browser", "google-chrome"])


@pytest.fixture(scope="session")
def meltano(environment: GetEnvironment) -> str:
    """The path of the command `meltano`."""
    return environment("meltano").command("meltano")
