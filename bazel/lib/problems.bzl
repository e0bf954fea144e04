"""The struct of a problem, its message, and the problems that can stop a download.

Repository rules that fetch depend on this file and not on checks.bzl: Bazel fetches again when a file changes on which
a rule depends. Python executes this file too, like cuda_versions.bzl.
"""

# The origins of a part, for messages.
FETCHED_TOOLKIT = "the toolkit the build brings along"
FETCHED_TORCH = "the wheel the build brings along"
REGISTERED_TOOLKIT = "the toolchain that the workspace registers"

def problem(title, found, expected, cure):
    """Makes a problem from the parts that every message has.

    Args:
      title: what is wrong, in a few words.
      found: what was found, and where.
      expected: what would be accepted.
      cure: what the user can do about it.

    Returns:
      A struct with these fields.
    """
    return struct(title = title, found = found, expected = expected, cure = cure)

def format_problem(p):
    """Formats a problem as a message of several lines."""
    return "\n\n{}\n  found:    {}\n  expected: {}\n  cure:     {}\n".format(
        p.title,
        p.found.replace("\n", "\n            "),
        p.expected.replace("\n", "\n            "),
        p.cure.replace("\n", "\n            "),
    )

def no_python(version, reasons, cures):
    """The problem that the selected Python is not installed, or has no headers.

    Args:
      version: such as "3.11".
      reasons: a string for each interpreter that was tried: why it was not used.
      cures: a string for each action that would help on this machine.

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
    """The problem that no Python has pip, which downloads the wheels.

    Args:
      packages: the packages that pip is needed for.
      reasons: a string for each interpreter that was tried: why it was not used.

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
    """The problem that TMPDIR names no folder.

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
    """The problem that the disk has too little space for a download.

    Args:
      free: the free space in gigabytes.
      folder: the folder into which the download is unpacked.
      gigabytes: the space that it needs.

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
    """The problem that pip could not download wheels, or that it got files other than those in the lock.

    Args:
      what: the packages.
      lock: the lock file.
      output: the text that pip printed.

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
    """The problem that a part of a toolkit could not be downloaded, or has another checksum than the pinned one.

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
