"""Fetches the Debian packages of a lock by apt, where Bazel's downloader reaches no mirror; also renews such locks.

    debs.py LOCK             puts the lock's packages into the folder AWQ_DEB_FOLDER, which Bazel reads as --distdir
    debs.py --refresh LOCK   writes the lock anew from what the machine's mirror offers

apt downloads each file by its address, with the proxy, certificates and credentials of the machine's configuration. No
package list and no signature takes part: the SHA-256 in the lock decides. //third_party/deb:deb.bzl describes locks.
"""

import argparse
import collections
import contextlib
import datetime
import email.utils
import os
import shutil
import sys
import tempfile

import apt_private
import bootstrap
import console
from console import SetupError

Row = collections.namedtuple("Row", "folder suite package architecture version size_bytes sha256 path")

_MARGIN = datetime.timedelta(days=1)  # a suite's files are in the archive when its Release file is dated, or soon after


def parse(text, lock):
    """Returns the comments at the top of a lock's text, and its rows; columns that a new row lacks are empty."""
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("#")]
    rows = []
    for line in lines:
        fields = line.split()
        if not fields or line.startswith("#") or fields[0] == "snapshot":
            continue
        if len(fields) not in (4, len(Row._fields)):
            raise SetupError(f"{lock}: expected four or {len(Row._fields)} columns, got '{line}'")
        rows.append(Row(*fields, *[""] * (len(Row._fields) - len(fields))))
    return comments, rows


def fetch(lock, folder):
    """Puts the packages of a lock into a folder, unless they are there."""
    os.makedirs(folder, exist_ok=True)
    with open(lock, encoding="utf-8") as file:
        _, rows = parse(file.read(), lock)
    packages = {os.path.basename(row.path): row for row in rows}
    with bootstrap.exclusive(os.path.join(folder, "lock"), "fetching packages") as lock_fd:
        partial = os.path.join(folder, "partial")
        os.makedirs(partial, exist_ok=True)
        _keep_finished(partial, folder, packages)  # of a run that was killed
        missing = _missing(folder, packages)
        if not missing:
            return
        apt = apt_private.PrivateApt(os.path.join(folder, "apt"), lock_fd)
        failures = []
        for address, _ in apt.mirrors():
            shown = apt_private.without_password(address)
            total_bytes = sum(int(row.size_bytes) for row in missing.values())
            console.say(f"downloading {len(missing)} packages, {total_bytes / 1e6:.0f} MB, from {shown}")
            files = [(address.rstrip("/") + "/" + row.path, name, row.sha256) for name, row in missing.items()]
            log = apt.download_files(files, partial, total_bytes)
            _keep_finished(partial, folder, packages)
            missing = _missing(folder, packages)
            if not missing:
                shutil.rmtree(os.path.join(folder, "apt"))
                return
            lacking = "\n".join(f"  {row.path}\n    sha256 {row.sha256}" for row in missing.values())
            failures.append(f"{shown} did not deliver:\n{lacking}\n{apt_private.explain_failure(log or '')}")
        raise SetupError(
            "\n".join(failures) + "\n"
            f"or put the files into {folder} by other means.\n"
            "A suite that is past its support leaves the ordinary mirrors; then name one of Debian's archive "
            "(as archive.debian.org) in the apt sources"
        )


def _keep_finished(partial, folder, packages):
    """Moves whole files from the folder of unfinished ones to where they belong, and removes all others."""
    for name in os.listdir(partial):
        path = os.path.join(partial, name)
        row = packages.get(name)
        if row and bootstrap.sha256_of(path) == row.sha256:
            os.replace(path, os.path.join(folder, name))
        else:
            os.unlink(path)


def _missing(folder, packages):
    """The packages that are not in the folder; a file with other content is removed."""
    missing = {}
    for name, row in packages.items():
        path = os.path.join(folder, name)
        if bootstrap.sha256_of(path) != row.sha256:
            missing[name] = row
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return missing


def refresh(lock):
    """Writes a lock anew: the same packages, in the versions that their suites have now."""
    with open(lock, encoding="utf-8") as file:
        comments, rows = parse(file.read(), lock)
    foreign = sorted({row.architecture for row in rows} - {"all", "amd64"})
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "lock"), "w", encoding="utf-8") as held:
        lines = []
        for suite in dict.fromkeys(row.suite for row in rows):
            # One suite at a time: the versions of two would be taken for older and newer ones of one package.
            apt = apt_private.PrivateApt(os.path.join(folder, suite.replace("/", "_")), held.fileno(), foreign=foreign)
            [(name, date)] = apt.select_suites([suite]).items()
            taken = email.utils.parsedate_to_datetime(date) + _MARGIN
            lines.append(f"snapshot {name} {taken:%Y%m%dT%H%M%SZ}\n")
            for row in rows:
                if row.suite == suite:
                    fields = apt.show(f"{row.package}:{row.architecture}")
                    new = [fields[key] for key in ("Version", "Size", "SHA256", "Filename")]
                    lines.append(" ".join([*row[:4], *new]) + "\n")
    with open(lock, "w", encoding="utf-8") as file:
        file.write("".join(comment + "\n" for comment in comments) + "".join(lines))
    console.say(f"{len(rows)} packages written to {lock}")


def main():
    """Parses the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Fetches the Debian packages of a lock by apt.")
    parser.add_argument("lock", metavar="LOCK", help="the lock file")
    parser.add_argument("--refresh", action="store_true", help="write the lock anew instead")
    arguments = parser.parse_args()
    bootstrap.end_in_order()
    os.umask(0o022)
    try:
        if arguments.refresh:
            refresh(arguments.lock)
        else:
            fetch(arguments.lock, os.environ["AWQ_DEB_FOLDER"])
    except (SetupError, OSError) as error:
        console.say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
