"""What anybody on this machine can try on a server's doors, as another user; nothing is what a closed house says."""

from __future__ import annotations

import json
import os
import pwd
import socket
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SECONDS = 3  # how long a door may say nothing
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty settings, as gRPC begins
SETTINGS = 4  # the type of the frame that a willing gRPC server begins with


def heard(where: int | str, said: bytes, *, tls: bool) -> bytes:
    """The first answer at a port or a socket's path; nothing where the door stays shut."""
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family) as plain:
        plain.settimeout(SECONDS)
        try:
            plain.connect(where if isinstance(where, str) else ("127.0.0.1", where))
            door = _unverified(h2=said is PREFACE).wrap_socket(plain, server_hostname="localhost") if tls else plain
            door.sendall(said)
            return door.recv(4096)
        except OSError:
            return b""


def _unverified(*, h2: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if h2:
        context.set_alpn_protocols(["h2"])
    return context


def requests_for(bucket: str, key: str) -> list[bytes]:
    """Every inner way to an object of a SeaweedFS that its manual tells, and the S3 way without a signature."""
    inner, outer = f"/buckets/{bucket}", f"/{bucket}"
    reads = [f"{inner}/{key}", f"{inner}/?pretty=y", "/", "/dir/status", "/dir/assign", "/vol/status", "/cluster/status",
             "/status", "/ui/index.html", f"{outer}/{key}", f"{outer}/?list-type=2", f"/col/delete?collection={bucket}",
             "/metrics", "/debug/pprof/", "/api/config"]  # fmt: skip
    asked = [("GET", path, "") for path in reads]
    asked += [("PUT", f"{base}/{key}", "mine") for base in (inner, outer)]
    asked += [("POST", f"{base}/{key}", "mine") for base in (inner, outer, "/submit")]
    asked += [("DELETE", path, "") for path in (f"{inner}/{key}", f"{inner}?recursive=true", f"{outer}/{key}", outer)]
    asked += [("POST", "/", "Action=ListUsers&Version=2010-05-08"), ("POST", "/", "Action=CreateUser&UserName=me")]
    return [
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        for method, path, body in asked
    ]


def willing(answer: bytes, said: bytes) -> bool:
    """Whether a server took it, or would speak gRPC."""
    if said is PREFACE:
        return len(answer) >= 9 and answer[3] == SETTINGS
    if said.startswith(b"GET ") and b"Content-Length: 0\r\n" in answer:
        return False  # a probe of health, which says nothing
    return answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.0 2"))


def that_are_read(files: list[Path]) -> list[list[Any]]:
    """What can be read of files and folders."""
    read = []
    for path in files:
        try:
            found = [each.name for each in path.iterdir()] if path.is_dir() else path.read_bytes()[:1]
        except OSError:
            continue
        read.append([str(path), "read", str(found)[:80]])
    return read


def that_open(doors: list[int | str], *, bucket: str, key: str) -> list[list[Any]]:
    """[door, what was tried, what came back] of all that is taken, by HTTP and gRPC, with TLS and without."""

    def knock(where: int | str) -> list[list[Any]]:
        opened, tried = [], [*requests_for(bucket, key), PREFACE]
        speaks_tls = any(heard(where, said, tls=True) for said in (tried[0], PREFACE))
        for said in tried:
            for tls in (False, True) if speaks_tls else (False,):
                answer = heard(where, said, tls=tls)
                if willing(answer, said):
                    opened.append([where, said.split(b"\r\n")[0].decode(), answer[:60].decode(errors="replace")])
        return opened

    with ThreadPoolExecutor(16) as pool:
        return [each for opened in pool.map(knock, doors) for each in opened]


def told_by_the_stores_shell(weed: Path, *, master: str, filer: str, bucket: str) -> str:
    """What the store's own shell lists and removes by gRPC without a certificate."""
    orders = f"lock\nfs.ls /buckets/{bucket}/\nfs.rm -r /buckets/{bucket}/inputs\nvolume.list\nexit\n"
    command = [str(weed), "shell", f"-master={master}", f"-filer={filer}"]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("WEED_")}
    try:
        done = subprocess.run(command, input=orders.encode(), capture_output=True, check=False, timeout=8, env=bare)
    except subprocess.TimeoutExpired as shut_out:  # it knocks for ever
        return (shut_out.stdout or b"").decode()
    return done.stdout.decode()


def as_nobody(look: Callable[[], list[list[Any]]]) -> list[list[Any]]:
    """Call it in a child that has become the user `nobody` (Python itself may lie where nobody can start it)."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            os.write(theirs, json.dumps(look()).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as said:
        answer = said.read()
    os.waitpid(child, 0)
    return list(json.loads(answer))
