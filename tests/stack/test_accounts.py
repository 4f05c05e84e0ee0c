"""Root starts the stack, and the stack is not root: who runs it, what that user can reach, and what it cannot."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from apps.stack import opening
from apps.stack.accounts import let_pass, own, own_account, packages_to_open, postgres_account, write_for
from apps.stack.commands import app_programs
from apps.stack.errors import StackError
from apps.stack.opening import living_as, may_listen, open_the_house, see_that_it_reads
from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import plan
from apps.stack.processes import Account, Process, Program, marked_pids
from apps.stack.servers import embedded_servers
from tests.stack.stranger import as_nobody, that_are_read

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
SERVERS = ("valkey", "s3", "postgres")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that only its owner enters, beside pytest's own, which every session of pytest closes to others again."""
    with tempfile.TemporaryDirectory(prefix="keyline-accounts-") as name:
        yield Path(name)


@pytest.fixture
def account() -> Account:
    found = own_account()
    assert found is not None
    return found


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def reads(account: Account, path: Path) -> bool:
    """Whether the user can read a file, or enter and list a folder."""
    test = "test -r {0} && { ! test -d {0} || test -x {0}; }".replace("{0}", f"'{path}'")
    command = ["sh", "-c", test]
    done = subprocess.run(command, check=False, user=account.uid, group=account.gid, extra_groups=[], cwd="/")
    return done.returncode == 0


# --- who ----------------------------------------------------------------------------------------------------


@as_root
def test_the_sessions_own_servers_are_not_roots() -> None:
    var = VarDir.from_environment()
    if not var.pid_file("s3").exists():
        pytest.skip("these servers were given from outside")
    users = {name: uid_of(int(var.pid_file(name).read_text())) for name in SERVERS}

    assert 0 not in users.values()
    assert users["s3"] == users["valkey"] != users["postgres"]  # the application cannot read the database's files


@as_root
def test_an_ordinary_user_starts_them_as_itself(folder: Path) -> None:
    env = plan({}, {}).env | {"KEYLINE_THROWAWAY": "1"}
    var = VarDir(folder / "var")
    shutil.chown(folder, "nobody")

    def start() -> list[list[int]]:
        os.environ.pop("KEYLINE_STACK", None)
        with embedded_servers(env, var):
            return [[uid_of(int(var.pid_file(name).read_text())) for name in SERVERS] + [os.geteuid()]]

    ((*servers, ours),) = as_nobody(start)

    assert ours != 0
    assert servers == [ours] * 3


@as_root
@pytest.mark.parametrize("chosen", ["root", "nobody"])
def test_an_operator_chooses_the_account(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYLINE_ACCOUNT", chosen)
    found = own_account()

    assert (found.name if found else "root") == chosen
    assert postgres_account() is not None  # PostgreSQL refuses root whatever is chosen


@as_root
def test_an_account_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYLINE_ACCOUNT", "no-such-user")

    with pytest.raises(StackError, match="useradd --system no-such-user"):
        own_account()


# --- what it reaches ------------------------------------------------------------------------------------------


@as_root
def test_a_checkout_that_only_root_reads_is_opened_but_for_its_secrets(
    folder: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, weights = folder / "checkout", folder / "checkout" / "var" / "weights"
    for name in ("apps", "config", "ml"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    shutil.copytree(ROOT / "ml", checkout / "ml", dirs_exist_ok=True, ignore=shutil.ignore_patterns("fetched"))
    shutil.copy(ROOT / "manage.py", checkout)
    weights.mkdir(parents=True)
    for name in ("weights/some.onnx", "stack.env", "log/web.log"):
        (checkout / "var" / name).parent.mkdir(exist_ok=True)
        (checkout / "var" / name).write_text("x")
    for path in (checkout, *checkout.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.setattr(opening, "ROOT", checkout)

    open_the_house(account, weights=weights)

    assert reads(account, checkout / "manage.py")
    assert reads(account, weights / "some.onnx")
    assert not reads(account, checkout / "var" / "stack.env")
    assert not reads(account, checkout / "var" / "log" / "web.log")
    assert as_nobody(lambda: that_are_read([folder, checkout / "manage.py"])) == []  # nobody else came in with it


@as_root
def test_a_python_that_cannot_be_run_is_told_with_the_ways_out(
    folder: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = folder / "python"
    python.write_text("#!/bin/sh\nexec /nowhere\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))

    with pytest.raises(StackError, match="KEYLINE_ACCOUNT=root"):
        open_the_house(account, weights=folder)


@as_root
def test_a_package_that_pip_left_closed_is_found(folder: Path) -> None:
    for name, mode in (("open", 0o755), ("closed", 0o700)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    (folder / "closed.py").touch()
    (folder / "closed.py").chmod(0o600)

    assert {path.name for path in packages_to_open(folder)} >= {"closed", "closed.py"}
    assert "open" not in {path.name for path in packages_to_open(folder)}


@as_root
def test_what_root_left_in_a_servers_folder_becomes_its_accounts_and_no_more(folder: Path, account: Account) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.write_text("root's")
    data = folder / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "file").touch()
    (data / "link").symlink_to(elsewhere)

    own(data, account)

    assert {path.lstat().st_uid for path in (data, *data.rglob("*"))} == {account.uid}
    assert elsewhere.stat().st_uid == 0


@as_root
def test_a_link_where_a_secret_is_written_is_not_followed(folder: Path, account: Account) -> None:
    victim, secret = folder / "victim", folder / "secret"
    victim.write_text("root's")
    secret.symlink_to(victim)

    write_for(account, secret, b"new")

    assert (victim.read_text(), victim.stat().st_uid) == ("root's", 0)
    assert (secret.read_text(), secret.lstat().st_uid) == ("new", account.uid)
    assert stat.S_IMODE(secret.lstat().st_mode) == 0o600


@as_root
def test_a_secret_whose_file_root_alone_reads_is_handed_over(folder: Path, account: Account) -> None:
    secret, shared = folder / "secret", Path("/etc/hostname")
    secret.write_text("s3cret")
    secret.chmod(0o600)

    lived = living_as(account, folder, {"MPP_SECRET_FILE": str(secret), "OTHER_FILE": str(shared)})

    assert (lived["MPP_SECRET"], lived["MPP_SECRET_FILE"]) == ("s3cret", "")
    assert lived["OTHER_FILE"] == str(shared)
    assert lived["HOME"] == str(folder)


@as_root
def test_starts_at_once_let_all_their_users_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = [Account(name="nobody", uid=60_000 + number, gid=65534) for number in range(8)]
    write = os.setxattr

    def write_later(*arguments: Any) -> None:
        time.sleep(0.01)  # all who may have read by now
        write(*arguments)

    monkeypatch.setattr(os, "setxattr", write_later)
    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(lambda user: let_pass(user, folder), users))

    entries = os.getxattr(folder, "system.posix_acl_access")
    assert all(user.uid.to_bytes(4, "little") in entries for user in users)


@as_root
def test_a_checkpoint_that_only_root_reads_is_named(folder: Path, account: Account) -> None:
    checkpoint = folder / "sam.pth"
    checkpoint.touch(mode=0o600)

    with pytest.raises(StackError, match=r"chmod o\+r .*sam\.pth"):
        see_that_it_reads(account, checkpoint)
    checkpoint.chmod(0o644)
    see_that_it_reads(account, checkpoint)

    assert reads(account, checkpoint)


def test_a_port_of_roots_is_refused_with_a_sentence() -> None:
    stranger = Account(name="keyline", uid=12345, gid=12345)

    with pytest.raises(StackError, match="KEYLINE_PORT=0 is root's"):
        may_listen(stranger, 0)
    may_listen(stranger, 8000)
    may_listen(None, 0)


@as_root
def test_the_workers_user_keeps_its_compiled_networks(
    folder: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETWORKS_DIR", raising=False)
    var = VarDir(folder / "var")
    var.make()

    app_programs(plan({}, {}).env, var, account)

    assert reads(account, var.root / "networks")
    assert (var.root / "networks").stat().st_uid == account.uid


# --- what the launcher sees of it -------------------------------------------------------------------------------


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_root_without_the_right_to_look_into_processes_still_finds_them(folder: Path) -> None:
    var = VarDir(folder)
    var.make()
    account = Account(name="nobody", uid=65534, gid=65534)
    process = Process(Program(name="web", argv=("sh", "-c", "sleep 600 & wait"), account=account), var)
    process.start()
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True, user=65534, group=65534, extra_groups=[])
    code = f"from apps.stack.processes import *; print(*marked_pids(VarDir(Path({str(folder)!r}))))"
    command = ["setpriv", "--bounding-set=-sys_ptrace", sys.executable, "-c", code]
    try:
        with_the_right = set(marked_pids(var))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    finally:
        process.finish(timeout_s=0)
        stranger.kill()
        stranger.wait()

    assert set(map(int, done.stdout.split())) == with_the_right
    assert len(with_the_right) == 2
