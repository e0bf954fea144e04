"""Debian packages as files. A lock names them. They are fetched and unpacked, never installed.

A lock in locks/ has one line per package and folder:

    FOLDER SUITE/COMPONENT PACKAGE ARCHITECTURE VERSION BYTES SHA256 PATH

FOLDER is the folder below the repository into which the package is unpacked. A package may have lines for several
folders. PATH is the package's path in Debian's archive. A line `snapshot SUITE TIME` names a time at which the suite
had all of its packages. To add a package, write the first four columns. `python3 offline/bootstrap/debs.py --refresh
LOCK` fills in the other columns and renews them.

Bazel's downloader tries DEBIAN_MIRRORS in their order. If the environment variable AWQ_DEB_FETCH names a program, that
program is called first, with the lock. It puts the packages into the folder of --distdir. The offline mode sets this
variable. In both cases the SHA-256 must match.
"""

load("//bazel/lib:machine.bzl", "machine_problem")
load("//bazel/lib:problems.bzl", "format_problem", "problem")

# The first mirror has suites whose support has ended. The second has every moment of every suite. A site with its own
# mirror uses --distdir, or Bazel's --downloader_config.
DEBIAN_MIRRORS = [
    "https://archive.debian.org/debian/",
    "https://snapshot.debian.org/archive/debian/{snapshot}/",
]

def read_lock(text):
    """Reads a lock.

    Args:
      text: its content.

    Returns:
      A list of structs with `folder`, `package`, `version`, `sha256`, `path` and `urls`, one per line of the lock.
    """
    snapshots = {}
    rows = []
    for line in text.split("\n"):
        fields = line.split(" ")
        if fields[0] == "snapshot":
            snapshots[fields[1]] = fields[2]
        elif line and not line.startswith("#"):
            folder, suite, package, _, version, _, sha256, path = fields
            snapshot = snapshots[suite.split("/")[0]]
            rows.append(struct(
                folder = folder,
                package = package,
                path = path,
                sha256 = sha256,
                urls = [mirror.format(snapshot = snapshot) + path for mirror in DEBIAN_MIRRORS],
                version = version,
            ))
    return rows

def _not_delivered(row, lock):
    return problem(
        title = "a Debian package could not be downloaded",
        found = "no file of that checksum at\n{}\nBazel's warnings above say why".format("\n".join(row.urls)),
        expected = "{} {}, sha256 {}, as {} has it".format(row.package, row.version, row.sha256, lock),
        cure = "check the network and the proxy (https_proxy); or put the file, under the name its address has, into a folder and name\n" +
               "that: --distdir=FOLDER. If the checksum differs, do not use that file.",
    )

def _fetch_by_program(rctx, program, lock):
    """Runs the program of the offline mode, which fills the folder of --distdir."""
    rctx.report_progress("fetching Debian packages")
    result = rctx.execute([program, rctx.path(lock)], timeout = 3600, quiet = False)
    if result.return_code != 0:
        fail(format_problem(problem(
            title = "Debian packages could not be downloaded",
            found = (result.stderr or result.stdout).strip(),
            expected = "the packages that {} names, by apt from a mirror among this machine's sources".format(lock),
            cure = "what is said under found",
        )))

def unpack_debs(rctx, lock):
    """Fetches the packages of a lock and unpacks each into its folder. Bazel unpacks them, without dpkg, ar, tar or xz.

    Args:
      rctx: the repository context.
      lock: label of the lock file.

    Returns:
      The lines of the lock, as read_lock returns them.
    """
    found = machine_problem(rctx, str(rctx.path(".")), 1)
    if found:
        fail(format_problem(found))
    rows = read_lock(rctx.read(lock))
    program = rctx.os.environ.get("AWQ_DEB_FETCH")
    if program:
        _fetch_by_program(rctx, program, lock)
    for row in rows:
        rctx.report_progress("{} {}".format(row.package, row.version))
        if not rctx.download(row.urls, "package.deb", row.sha256, allow_fail = True).success:
            fail(format_problem(_not_delivered(row, lock)))
        rctx.extract("package.deb", "package")
        [data] = [f for f in rctx.path("package").readdir() if f.basename.startswith("data.tar")]
        rctx.extract(data, row.folder)
        rctx.delete("package")
        rctx.delete("package.deb")
    return rows

def _deb_repo_impl(rctx):
    unpack_debs(rctx, rctx.attr.lock)
    rctx.file("BUILD.bazel", "exports_files([\"REPO.bazel\"])\n" + rctx.attr.build_file_content, executable = False)
    rctx.file("REPO.bazel", executable = False)

deb_repo = repository_rule(
    implementation = _deb_repo_impl,
    doc = "The files of Debian packages. REPO.bazel is an exported empty file; its path says where they are.",
    attrs = {
        "build_file_content": attr.string(doc = "Content of the BUILD file, if targets need the files."),
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "The lock."),
    },
)
