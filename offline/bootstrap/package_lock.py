"""The lock file: which Debian packages the set-up was tried with, and their SHA-256.

Debian's testing suite moves, and a mirror carries one version of each package. A lock that insisted on every version
would break within days, for no gain in trust: whatever the mirror delivers is signed by Debian. So the lock is a check,
not a selection:
  - same package, same version, other content: an error, because Debian never publishes one version twice;
  - other version: accepted and named, since the signature still vouches for it;
  - Bazel itself: its upstream version must be exactly the one in .bazelversion (see apt_private.py).
"""

import collections
import re

from console import SetupError

# One package file: SHA-256 in lower-case hexadecimal, architecture "amd64" or "all".
Package = collections.namedtuple("Package", "name version architecture sha256")

_HEADER = """\
# Debian packages that make up the private Bazel, as of the {suite} release of {date}.
# Written by: python3 offline/bootstrap/bootstrap.py --refresh-lock
# Columns: package, version, architecture, SHA-256.
"""


def parse(text):
    """Returns the packages of a lock file's text, by name."""
    packages = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) != 4 or not re.fullmatch("[0-9a-f]{64}", fields[3]):
            raise SetupError(
                f"packages.lock, line {number}: expected 'package version architecture sha256', got '{line}'"
            )
        packages[fields[0]] = Package(*fields)
    return packages


def render(packages, suite, date):
    """Returns a lock file's text for packages, in order of their names."""
    rows = ["{} {} {} {}\n".format(*package) for package in sorted(packages)]
    return _HEADER.format(suite=suite, date=date) + "".join(rows)


def check(locked, offered):
    """Compares what a mirror offers with the lock.

    Args:
      locked: packages by name, from parse().
      offered: list of Package.

    Returns:
      A list of lines, each naming one package that differs from the lock in a way that is accepted.

    Raises:
      SetupError: a package has the locked version but other content.
    """
    differences = []
    forged = []
    for package in sorted(offered):
        known = locked.get(package.name)
        if known is None:
            differences.append(f"{package.name} {package.version} is not in the lock")
        elif (known.version, known.architecture) != (package.version, package.architecture):
            differences.append(f"{package.name} {known.version} is locked, {package.version} is offered")
        elif known.sha256 != package.sha256:
            forged.append(f"{package.name} {package.version}: locked {known.sha256}, offered {package.sha256}")
    if forged:
        raise SetupError(
            "the mirror offers a locked version with other content:\n  " + "\n  ".join(forged) + "\n"
            "Debian publishes a version once, so do not use this mirror before that is explained"
        )
    for name in sorted(locked.keys() - {package.name for package in offered}):
        differences.append(f"{name} {locked[name].version} is locked but no longer needed")
    return differences
