"""The images, built once for all tests here. Where no Docker engine answers, all are skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD_S = 1500


def docker(*arguments: str, limit_s: float = 120, **more: object) -> str:
    """Run a command of Docker's; return what it printed. A failure shows what it said."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=limit_s, check=False, **more
    )  # type: ignore[call-overload]
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def why_no_engine() -> str | None:
    """Return why there is no engine to try, or None."""
    if shutil.which("docker") is None:
        return "Docker is not installed"
    done = subprocess.run(["docker", "version"], capture_output=True, timeout=60, check=False)
    return None if done.returncode == 0 else "no Docker engine answers"


WHY_NOT = why_no_engine()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an engine, one line stands for all that need it."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.timeout(1800))
    needy = [item for item in ours if "needs_no_engine" not in item.keywords]
    if WHY_NOT and needy:
        reason = f"{WHY_NOT}: {len(needy)} tests of Docker are skipped"
        needy[0].add_marker(pytest.mark.skip(reason=reason))
        config.hook.pytest_deselected(items=needy[1:])
        items[:] = [item for item in items if item not in needy[1:]]


@pytest.fixture(scope="session")
def images() -> dict[str, dict[str, object]]:
    """Build `grading` and `lab` as the documented command does; return what the engine says.

    With `SHARDWORK_IMAGES=built` they are taken as they are: for whoever works on these tests.
    """
    if os.environ.get("SHARDWORK_IMAGES") == "built":
        return {}
    done = subprocess.run(
        [REPOSITORY / "scripts/images", "--offline", "grading", "lab"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=BUILD_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for name in ("grading", "lab"):
        (found[name],) = json.loads(docker("image", "inspect", f"shardwork-{name}"))
    return found


@pytest.fixture
def compose() -> Callable[..., str]:
    """Run compose.yaml as it stands, in a project of the test's own."""
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode:
        if shutil.which("docker-compose") is None:
            pytest.skip("neither `docker compose` nor docker-compose is installed")
        command = ["docker-compose"]
    else:
        command = ["docker", "compose"]

    def run(*arguments: str, limit_s: float = 300, **settings: str) -> str:
        done = subprocess.run(
            [*command, "--project-name", PROJECT, *arguments], cwd=REPOSITORY, text=True,
            capture_output=True, timeout=limit_s, check=False, env={**os.environ, **settings},
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    return run


PROJECT = "swtest"
