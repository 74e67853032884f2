"""What is in the images, and what is not."""

from __future__ import annotations

import json
import re

import pytest

from tests.docker.conftest import REPOSITORY, docker

pytestmark = pytest.mark.integration

LOOK = """
import importlib, json, pathlib, sys
for name in ("pyspark", "distributed", "dask_ml", "torch.distributed", "sklearn", "shardwork.lab"):
    importlib.import_module(name)
import torch
HIDDEN = ("misconceptions.toml", "course_config.py")
names = [str(p) for top in ("/opt", "/home") for p in pathlib.Path(top).rglob("*")]
print(json.dumps({"cuda": torch.version.cuda, "nvidia": [n for n in names if "nvidia" in n],
                  "hidden": [n for n in names if "/graders" in n or n.endswith(HIDDEN)]}))
"""


@pytest.mark.parametrize("name", ["grading", "lab"])
def test_an_image_is_not_root_and_holds_no_grader_and_no_cuda(images, name: str) -> None:
    assert images[name]["Config"]["User"] == "1000:1000"
    command = ("run", "--rm", "--network", "none", "--entrypoint", "python", f"shardwork-{name}")
    seen = json.loads(docker(*command, "-c", LOOK, limit_s=300))
    assert seen == {"cuda": None, "nvidia": [], "hidden": []}


@pytest.mark.parametrize("name", ["grading", "lab"])
def test_an_image_is_as_large_as_the_dockerfile_says(images, name: str) -> None:
    """Sizes are stated in its head, in gigabytes; a tenth more is a finding."""
    text = (REPOSITORY / "Dockerfile").read_text()
    stated = re.search(rf"\b{name} (\d\.\d) GB", text)
    assert stated, f"no size of {name}"
    assert images[name]["Size"] / 1e9 < 1.1 * float(stated[1])
