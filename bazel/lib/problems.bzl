"""What a problem is, how it is said, and those that can stop a download.

Repository rules that fetch depend on this file and not on checks.bzl, because Bazel fetches anew when a file changes that
a rule depends on. Also executed by Python, like cuda_versions.bzl.
"""

# Where things come from, in words.
FETCHED_TOOLKIT = "the toolkit the build brings along"
FETCHED_TORCH = "the wheel the build brings along"
REGISTERED_TOOLKIT = "the toolchain that the workspace registers"

def problem(title, found, expected, cure):
    """A problem, in the parts that every message has.

    Args:
      title: what is wrong, in a few words.
      found: what was found, and where.
      expected: what would do.
      cure: what the user can do about it.

    Returns:
      A struct of these.
    """
    return struct(title = title, found = found, expected = expected, cure = cure)

def format_problem(p):
    """Writes a problem as a message of several lines."""
    return "\n\n{}\n  found:    {}\n  expected: {}\n  cure:     {}\n".format(
        p.title,
        p.found.replace("\n", "\n            "),
        p.expected.replace("\n", "\n            "),
        p.cure.replace("\n", "\n            "),
    )

def no_python(version, reasons, cures):
    """The selected Python is not installed, or has no headers.

    Args:
      version: such as "3.11".
      reasons: what was looked at and why it was not taken, a string each.
      cures: what would help on this machine, a string each.

    Returns:
      The problem.
    """
    install = "install Python {v} with its C headers (Debian, Ubuntu: the package python{v}-dev, where the release has it)".format(v = version)
    return problem(
        title = "Python {} with its C headers was not found on this machine".format(version),
        found = "\n".join(reasons) or "no python{v} and no python3".format(v = version),
        expected = "python{v} or a python3 of that version, with Python.h, on PATH, in pyenv's or uv's folders, /usr/local/bin or /usr/bin".format(v = version),
        cure = "one of\n" + "\n".join(cures) if cures else install,
    )

def no_pip(packages, reasons):
    """No Python with pip, which downloads the wheels.

    Args:
      packages: what it is needed for.
      reasons: what was looked at and why it was not taken, a string each.

    Returns:
      The problem.
    """
    return problem(
        title = "no Python with pip was found",
        found = "\n".join(reasons) or "no python3",
        expected = "Python 3.9 or newer with pip, to download locked wheels ({})".format(packages),
        cure = "install it (Debian, Ubuntu: apt-get install python3-pip), or put a virtual environment that has pip on PATH",
    )

def no_temporary_folder(folder):
    """TMPDIR names no folder.

    Args:
      folder: its value.

    Returns:
      The problem.
    """
    return problem(
        title = "TMPDIR names no folder",
        found = "TMPDIR={}, which is not there".format(folder),
        expected = "the absolute path of a folder, or nothing: Bazel makes its sandboxes see that folder",
        cure = "unset TMPDIR, or make the folder, and stop the server, which has the old value: ./bazelw shutdown",
    )

def no_room(free, folder, gigabytes):
    """The disk is too full for a download.

    Args:
      free: gigabytes.
      folder: where it is unpacked.
      gigabytes: what it needs.

    Returns:
      The problem.
    """
    return problem(
        title = "there is too little space for a download",
        found = "{} GB free in {}".format(free, folder),
        expected = "{} GB for the archives and what is unpacked".format(gigabytes),
        cure = "free some, or let Bazel use another disk: ./bazelw --output_user_root=FOLDER build ...",
    )

def download_failed(what, lock, output):
    """pip could not download wheels, or what it got is not what the lock names.

    Args:
      what: the packages.
      lock: the lock file.
      output: what pip said.

    Returns:
      The problem.
    """
    lines = [line for line in output.strip().split("\n") if "Expected     or" not in line]
    shortened = "\n".join(lines[-40:])  # the end says why
    if "DO NOT MATCH THE HASHES" in output:
        return problem(
            title = "a downloaded wheel is not the one that is locked",
            found = "another sha256 for one of: {}\n{}".format(what, shortened),
            expected = "the sha256 in " + lock,
            cure = "do not use that file: pip's index or a proxy delivered something else (`python3 -m pip config list` names it). If the lock\n" +
                   "itself was edited, make it anew: ./bazelw run //third_party/pip:lock",
        )
    if "CERTIFICATE_VERIFY_FAILED" in output:
        return problem(
            title = "pip does not trust the certificate of its index",
            found = "{}\n{}".format(what, shortened),
            expected = "a certificate that pip's Python trusts and that is valid at this machine's time",
            cure = "set the clock, if `date` shows a wrong one; behind a proxy that opens encrypted connections, give pip that proxy's\n" +
                   "certificate: PIP_CERT=FILE, or `python3 -m pip config set global.cert FILE`",
        )
    return problem(
        title = "pip could not download wheels",
        found = "{}\n{}".format(what, shortened),
        expected = "the wheels that {} names, through pip's configured index".format(lock),
        cure = "check pip's index and proxy: `python3 -m pip config list`, https_proxy",
    )

def archive_failed(url, sha256, version):
    """A part of a toolkit could not be downloaded, or is not the one that is pinned.

    Args:
      url: its address.
      sha256: the pinned checksum.
      version: of the toolkit.

    Returns:
      The problem.
    """
    return problem(
        title = "the CUDA toolkit could not be downloaded",
        found = "no file of that checksum at {}; Bazel's warning above says why".format(url),
        expected = "sha256 " + sha256,
        cure = "check the network and the proxy (https_proxy), or use an installed toolkit, this setting last:\n" +
               "--config=local_cuda --repo_env=CUDA_HOME=/usr/local/cuda-{}\n".format(version) +
               "If the checksum differs, do not use that file.",
    )
