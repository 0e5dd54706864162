"""Make `.venv` from the lock files, once: a second call with the same locks returns at once.

Run by `make setup` with any Python from 3.11 on; it needs nothing but the standard library.
Two calls at the same time are safe: the second waits for the first, then finds nothing left to do.
A killed call leaves no stamp, so the next one carries on.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed-from"
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-data.lock"]


def main() -> None:
    """Bring `.venv` up to the lock files, or leave with a sentence that says what to do."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is also run by whatever `python3` is
        sys.exit(f"Interlock needs Python 3.11 or newer; {sys.executable} is {platform.python_version()}.")
    with Path(__file__).open("r+") as this_file:  # the lock: held until the file is closed, also by a kill
        fcntl.flock(this_file, fcntl.LOCK_EX)
        wanted = fingerprint()
        if VENV_PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
            return
        STAMP.unlink(missing_ok=True)
        if not is_usable():
            create()
        install()
        STAMP.write_text(wanted)


def fingerprint() -> str:
    """What the environment depends on: the locks, the project's metadata, this Python, and its own place."""
    digest = hashlib.sha256()
    for path in [*LOCKS, ROOT / "pyproject.toml", Path(__file__)]:
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} {platform.python_version()} {VENV}\n"


def is_usable() -> bool:
    """Is there an environment of this Python's version, with a pip that runs, made here and not copied?"""
    if not VENV_PYTHON.exists():
        return False
    question = "import sys, pip; print(*sys.version_info[:2], sys.prefix)"
    answer = subprocess.run([VENV_PYTHON, "-c", question], capture_output=True, text=True)
    written_for = (VENV / "bin" / "activate").read_text() if (VENV / "bin" / "activate").exists() else ""
    expected = f"{sys.version_info[0]} {sys.version_info[1]} {VENV}"
    return answer.returncode == 0 and answer.stdout.strip() == expected and str(VENV) in written_for


def create() -> None:
    """Make an empty environment; without ensurepip, the pip of this Python fills it from outside."""
    if importlib.util.find_spec("ensurepip"):
        say(f"Making .venv with Python {platform.python_version()} ...")
        run(sys.executable, "-m", "venv", "--clear", VENV)
        return
    if not importlib.util.find_spec("pip"):
        sys.exit(
            f"{sys.executable} has neither ensurepip nor pip, so it cannot fill a virtual environment.\n"
            "Install them (Debian and Ubuntu: apt-get install python3-venv), or name another Python:\n"
            "  make setup PYTHON=/path/to/python3.12"
        )
    say(f"Making .venv with Python {platform.python_version()}, without ensurepip: its own pip fills it ...")
    run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV)
    run(sys.executable, "-m", "pip", "--python", VENV_PYTHON, "install", "--quiet", "pip")


def install() -> None:
    """Install what the locks name, each file checked against its hash, then Interlock itself as editable.

    `--no-deps`: the first lock is complete as it is, and the second is data whose own needs are not wanted.
    `--no-compile`: Python compiles what it imports; compiling everything would cost a third of the time.
    """
    count = sum(line[:1].isalnum() for lock in LOCKS for line in lock.read_text().splitlines())
    say(f"Installing {count} locked packages (about half a minute on a quick line) ...")
    pip = [VENV_PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq"]
    pip += ["--no-deps", "--no-compile"]
    from_locks = [part for lock in LOCKS for part in ("-r", lock)]
    run(*pip, "--require-hashes", "--only-binary", ":all:", *from_locks)
    run(*pip, "--no-build-isolation", "--editable", ROOT)


def run(*command: str | Path) -> None:
    """Run a command with its output shown; leave with its words and exit code if it fails."""
    result = subprocess.run(command, cwd=ROOT)
    if result.returncode:
        words = " ".join(str(part) for part in command)
        sys.exit(f"This failed with exit code {result.returncode}, and `make setup` stops here:\n  {words}")


def say(words: str) -> None:
    """Print a line at once, also when the output is a pipe."""
    print(words, flush=True)


if __name__ == "__main__":
    main()
