"""The real stack under rough hands: what is killed comes back whole, what is stopped is gone."""

from __future__ import annotations

import http.client
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.stack.local_http import get
from apps.stack.locks import holder
from apps.stack.paths import VarDir
from apps.stack.processes import marked_pids, started_at
from tests.stack.service import Stack, outer_environment, wait_until

pytestmark = pytest.mark.stack

OURS = ("web", "worker", "io", "sweeper")
SERVERS = ("valkey", "s3", "postgres")


def is_ready(stack: Stack) -> bool:
    return get(f"{stack.url}/readyz")[0] == 200


def group_of(pgid: int) -> set[int]:
    """The living members of a process group."""
    members = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                same_group = os.getpgid(int(entry.name)) == pgid
            except ProcessLookupError:
                continue
            if same_group and started_at(int(entry.name)) is not None:
                members.add(int(entry.name))
    return members


def test_every_pid_file_names_the_head_of_a_group(stack: Stack) -> None:
    for name in (*OURS, *SERVERS):
        pid = stack.pid(name)

        assert os.getpgid(pid) == pid, name


@pytest.mark.parametrize("name", ["web", "worker"])
def test_what_handles_pictures_gives_their_memory_back(stack: Stack, name: str) -> None:
    told = Path(f"/proc/{stack.pid(name)}/environ").read_text().split("\0")

    assert {entry.split("=")[0] for entry in told} >= {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}


def test_the_settings_are_readable_by_their_owner_only(stack: Stack) -> None:
    assert stack.var.env_file.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a stack that is not its own")
def test_nothing_that_root_started_runs_as_root(stack: Stack) -> None:
    users = {Path(f"/proc/{pid}").owner() for pid in marked_pids(stack.var)}
    of = {name: Path(f"/proc/{stack.pid(name)}").owner() for name in (*OURS, *SERVERS)}

    assert "root" not in users
    assert len({of[name] for name in (*OURS, "valkey", "s3")}) == 1
    assert of["postgres"] != of["web"]
    assert stack.var.env_file.owner() == "root"  # whoever sources it must not run what a stolen process wrote


def test_status_shows_every_process_and_succeeds(stack: Stack) -> None:
    shown = stack.launcher("status")

    assert shown.returncode == 0, shown.stdout
    assert all(name in shown.stdout for name in (*OURS, *SERVERS))


def test_a_second_start_says_that_the_stack_runs(stack: Stack) -> None:
    again = stack.launcher("start")

    assert again.returncode == 0
    assert stack.url in again.stdout


def test_health_answers_while_every_waiting_thread_is_taken(stack: Stack) -> None:
    idle = [http.client.HTTPConnection("127.0.0.1", int(stack.env["KEYLINE_PORT"])) for _ in range(64)]
    for connection in idle:  # 64 uploads that never end
        connection.putrequest("POST", "/v1/remove-bg/universal")
        connection.putheader("Content-Length", "1000000")
        connection.putheader("X-Api-Key", stack.api_key)
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.endheaders(b"--x\r\n")

    answer = get(f"{stack.url}/healthz", timeout_s=6)  # the uploads are given up after 10
    for connection in idle:
        connection.close()

    assert answer[0] == 200


def test_run_refuses_beside_a_running_stack(stack: Stack) -> None:
    again = stack.launcher("run")

    assert again.returncode == 1
    assert stack.url in again.stdout
    assert is_ready(stack)


def test_manage_works_without_further_setting(stack: Stack) -> None:
    made = stack.manage("create_api_key", "--account", "someone")

    assert made.returncode == 0, made.stderr
    assert len(made.stdout.split()) == 1


@pytest.mark.parametrize("name", OURS)
def test_a_killed_head_takes_its_children_along_and_comes_back(stack: Stack, name: str) -> None:
    old_pid = stack.pid(name)
    old_group = group_of(old_pid)

    os.kill(old_pid, signal.SIGKILL)

    assert wait_until(lambda: stack.pid(name) not in {0, old_pid})
    assert not [pid for pid in old_group if started_at(pid) is not None and os.getpgid(pid) == old_pid]
    assert wait_until(lambda: is_ready(stack))


@pytest.mark.parametrize("name", SERVERS)
def test_a_killed_server_comes_back_and_the_service_with_it(stack: Stack, name: str) -> None:
    old_pid = stack.pid(name)

    os.kill(old_pid, signal.SIGKILL)

    assert wait_until(lambda: stack.pid(name) not in {0, old_pid})
    assert wait_until(lambda: is_ready(stack))


def test_what_a_worker_compiles_the_next_one_finds_in_the_sessions_own_folder(stack: Stack) -> None:
    assert list(Path(stack.environ["NETWORKS_DIR"]).glob("*.network"))


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A stack for one test, which may break it for good."""
    with tempfile.TemporaryDirectory(prefix="keyline-stack-", ignore_cleanup_errors=True) as folder:
        own = Stack(var=VarDir(Path(folder)), environ=outer_environment(Path(folder)))
        try:
            own.start()
            yield own
        finally:
            own.launcher("stop")


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_keeps_the_key(own_stack: Stack) -> None:
    key, supervisor = own_stack.api_key, holder(own_stack.var.supervisor_lock)
    assert supervisor is not None

    os.kill(supervisor, signal.SIGKILL)
    all_gone = wait_until(lambda: not list(marked_pids(own_stack.var)))
    shown = own_stack.launcher("status")
    own_stack.start()
    known = get(f"{own_stack.url}/v1/jobs/00000000-0000-0000-0000-000000000000", {"X-Api-Key": key})
    own_stack.launcher("stop")

    assert all_gone
    assert shown.returncode == 3
    assert (own_stack.api_key, known[0]) == (key, 404)
    assert not list(marked_pids(own_stack.var))
