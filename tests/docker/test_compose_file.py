"""`compose.yaml` says what it should. These need no engine."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.docker.conftest import REPOSITORY

pytestmark = [pytest.mark.integration, pytest.mark.needs_no_engine]

FILE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
SERVICES = FILE["services"]


def test_it_keeps_to_the_compose_specification() -> None:
    """The schema is the specification's own; docker-compose 1.29.2 has it (Apache License 2.0)."""
    schema = json.loads((Path(__file__).parent / "schemas/compose_spec.json").read_text())
    jsonschema.Draft201909Validator(schema).validate(FILE)


def test_it_has_the_whole_cluster() -> None:
    assert set(SERVICES) == {
        "lab", "spark-master", "spark-worker-1", "spark-worker-2", "dask-scheduler",
        "dask-worker-1", "dask-worker-2", "ranks-1", "ranks-2",
    }  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["user"] == "1000:1000"
    assert service["mem_limit"] == service["memswap_limit"]
    assert 0 < service["pids_limit"] <= 1000
    assert service["healthcheck"]["test"][0] == "CMD"
    assert "privileged" not in service
    assert all(not str(volume).startswith(("/", ".")) for volume in service["volumes"])


def test_ports_are_open_to_this_machine_only_and_workers_have_none() -> None:
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert all(port.startswith("127.0.0.1:") for found in ports.values() for port in found)
    assert {name for name, found in ports.items() if found} == {
        "lab", "spark-master", "dask-scheduler"
    }  # fmt: skip
    inside = [name for name, service in SERVICES.items() if service["networks"] == ["cluster"]]
    assert len(inside) == 6
    assert FILE["networks"]["cluster"]["internal"] is True
