"""
The system users of a stack that root starts, and their way to their files (docs/adr/0022).

PostgreSQL refuses to run as root; our own processes, Valkey and the store have no need to. Both users have to pass through
the folders above their files; a checkout or a Python under `/root` (mode 700) would stop them. An access list that lets this
one user pass (and not list) opens less than any change of mode would.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

from apps.stack.errors import StackError
from apps.stack.processes import Account

_POSTGRES, _OURS = "embedded_postgres", "keyline"
_ACL = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_PASS, _LIST = 0o1, 0o4
_NO_ID = 0xFFFFFFFF


def postgres_account() -> Account | None:
    """Who PostgreSQL becomes; None where we are not root and stay who we are."""
    return _system_user(_POSTGRES) if os.geteuid() == 0 else None


def own_account() -> Account | None:
    """
    Who everything else becomes; None where we are not root, or KEYLINE_ACCOUNT says `root`.

    Raises:
        StackError: there is no such user.
    """
    chosen = os.environ.get("KEYLINE_ACCOUNT", "")
    if os.geteuid() != 0 or chosen == "root":
        return None
    if chosen and not _exists(chosen):
        raise StackError(f"There is no user {chosen}: `useradd --system {chosen}`, or unset KEYLINE_ACCOUNT.")
    return _named(chosen) if chosen else _system_user(_OURS)


def _system_user(name: str) -> Account:
    """The user of that name, made where it is missing; `nobody` where none can be made."""
    if not _exists(name) and (useradd := shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")):
        shell = "/usr/sbin/nologin"
        subprocess.run([useradd, "--system", "--shell", shell, name], check=False, capture_output=True)
    for candidate in (name, "nobody"):
        if _exists(candidate):
            return _named(candidate)
    raise StackError(f"Root needs another user to run this as: `useradd --system {name}`, or run as another user.")


def _named(name: str) -> Account:
    entry = pwd.getpwnam(name)
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def let_pass(user: Account, *paths: Path) -> None:
    """
    Let `user` reach each path through every folder above it, and into it where it is a folder.

    Raises:
        StackError: a folder bars the way and its file system keeps no access lists.
    """
    for path in paths:
        for folder in (path, *path.parents) if path.is_dir() else path.parents:
            status = folder.stat()
            if status.st_mode & stat.S_IXOTH or status.st_uid == user.uid:
                continue
            try:
                _grant(folder, user.uid, _PASS)
            except OSError as error:
                raise StackError(
                    f"Started by root, the stack runs as the user {user.name}, who cannot pass through {folder}: "
                    f"`chmod o+x {folder}`, or move the checkout, for example to /opt."
                ) from error


def let_list(user: Account, folder: Path) -> None:
    """
    Let `user` see what is in a folder: Python finds no module in one that it cannot list.

    Raises:
        OSError: its file system keeps no access lists.
    """
    if not folder.stat().st_mode & stat.S_IROTH:
        _grant(folder, user.uid, _PASS | _LIST)


def _grant(folder: Path, uid: int, permissions: int) -> None:
    """Add `user:uid:permissions` to the folder's access list, keeping what is there; one start after the other."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _add_entry(folder, uid, permissions)
    finally:
        os.close(handle)


def _add_entry(folder: Path, uid: int, permissions: int) -> None:
    mode = folder.stat().st_mode
    try:
        raw = os.getxattr(folder, _ACL)[4:]
        entries = [struct.unpack_from("<HHI", raw, at) for at in range(0, len(raw), 8)]
    except OSError:  # no list yet: the mode is the list
        entries = [
            (_USER_OBJ, mode >> 6 & 7, _NO_ID),
            (_GROUP_OBJ, mode >> 3 & 7, _NO_ID),
            (_OTHER, mode & 7, _NO_ID),
        ]
    kept = [entry for entry in entries if entry[0] != _MASK and (entry[0], entry[2]) != (_USER, uid)]
    for tag, given, whose in entries:
        permissions |= given if (tag, whose) == (_USER, uid) else 0
    mask = permissions
    for tag, given, _ in kept:
        mask |= given if tag not in (_USER_OBJ, _OTHER) else 0
    kept += [(_USER, permissions, uid), (_MASK, mask, _NO_ID)]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in sorted(kept))
    os.setxattr(folder, _ACL, struct.pack("<I", 2) + packed)


def make_readable(*trees: Path) -> None:
    """Give everybody the right to read code and run programs (a umask of 077 took it away)."""
    for tree in trees:
        for path in (tree, *tree.rglob("*")):
            if path.is_symlink():
                continue
            mode = path.stat().st_mode
            wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            if wanted != mode:
                path.chmod(wanted)


def packages_to_open(site: Path) -> Iterable[Path]:
    """Packages of an environment that others cannot read: pip leaves each as the umask of its day would have it."""
    for path in (site, *site.iterdir()):
        mode = path.stat().st_mode
        if not mode & stat.S_IROTH or (path.is_dir() and not mode & stat.S_IXOTH):
            yield path


def own(folder: Path, account: Account | None) -> None:
    """Make a folder of a server its account's, with all that an earlier start left there as root."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is None:
        return
    let_pass(account, folder.parent)
    if folder.stat().st_uid == account.uid:
        return
    for path in (*folder.rglob("*"), folder):  # itself last: as long as it is root's, this is not done
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def write_for(account: Account | None, path: Path, content: bytes) -> None:
    """Write a file that the account alone may read, in a folder that is ours."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        if account is not None:
            os.fchown(file.fileno(), account.uid, account.gid)
