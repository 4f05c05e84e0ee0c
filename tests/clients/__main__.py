"""
`make check-clients`: generate clients from the running service's OpenAPI document, then use the Python one.

It needs Java and a running stack (`make start`); what it installs lies in var/clients.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from apps.stack import env_file
from apps.stack.paths import ROOT, VarDir

HERE = Path(__file__).parent
# Two names of one file on a case-blind disk, a type that is guessed, a schema that is skipped: no client is good after those.
BAD_SIGNS = ("COLLISION", "Exception", "not supported", "[error]")


def main() -> int:
    var = VarDir(Path(os.environ.get("KEYLINE_VAR_DIR", ROOT / "var")))
    env = env_file.read(var.env_file)
    if not env.get("KEYLINE_URL"):
        return _say("No stack has run here: make start first.")
    if not shutil.which("java"):
        return _say("The generator needs Java: apt-get install default-jre-headless.")
    folder = var.root / "clients"
    python = _installed(folder / "venv")
    for language in ("python", "typescript-fetch"):
        done = _generate(python, language, url=env["KEYLINE_URL"], folder=folder / language)
        words = done.stdout + done.stderr
        if done.returncode or any(sign in words for sign in BAD_SIGNS):
            return _say(f"{words}\nThe {language} client could not be generated.")
        print(f"Generated the {language} client.")
    calls = subprocess.run(
        [python, HERE / "calls.py"],
        env={**os.environ, **env, "PYTHONPATH": f"{folder / 'python'}:{ROOT}"},
        check=False,
        timeout=120,
    )
    return calls.returncode


def _installed(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        print("Installing the generator (a minute, once) ...")
        venv.create(folder, with_pip=True)
    packages = ROOT / "requirements" / "clients.lock"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", packages], check=True)
    return python


def _generate(python: Path, language: str, *, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--additional-properties=packageName=keyline_client"] if language == "python" else []
    command = [python.with_name("openapi-generator-cli"), "generate", "-g", language, "-i", f"{url}/openapi.json"]
    return subprocess.run([*command, "-o", folder, *options], capture_output=True, text=True, check=False, timeout=120)


def _say(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
