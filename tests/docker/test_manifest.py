"""The Kubernetes manifest keeps to the published schemas. It is not run."""

from __future__ import annotations

import kubernetes_validate
import pytest
import yaml

from tests.docker.conftest import REPOSITORY

pytestmark = [pytest.mark.integration, pytest.mark.needs_no_engine]

OBJECTS = list(yaml.safe_load_all((REPOSITORY / "deploy/kubernetes.yaml").read_text()))
VERSION = "1.31"


def test_the_manifest_has_what_a_batch_needs() -> None:
    assert [found["kind"] for found in OBJECTS] == [
        "Namespace", "NetworkPolicy", "Service", "Deployment", "DaemonSet"
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(OBJECTS)))
def test_every_object_keeps_to_its_schema(number: int) -> None:
    kubernetes_validate.validate(OBJECTS[number], VERSION, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    broken = {**OBJECTS[2], "spec": {**OBJECTS[2]["spec"], "selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.parametrize("number", [3, 4])
def test_no_pod_is_root_or_may_become_it(number: int) -> None:
    pod = OBJECTS[number]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
