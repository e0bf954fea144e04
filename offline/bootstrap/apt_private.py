"""Fetches Debian packages with the machine's apt, without touching the machine's apt state and without root.

apt keeps all of its state in one private folder. From the machine's own configuration it takes the mirror (with the
suite replaced), the keys that sign it, and the Acquire settings (proxy, certificates, authentication), but no hooks.
"""

import os
import re
import shutil
import subprocess
import time
import urllib.parse

import console
from console import SetupError
from package_lock import Package

SUITE = "forky"
JAVA_PACKAGE = "openjdk-25-jre-headless"
# patchelf is needed once, after unpacking (see prefix.py).
_WANTED = (JAVA_PACKAGE, "patchelf")

# Downloads files by their addresses as apt itself does: through its proxy, with its certificates and credentials.
_APT_HELPER = "/usr/lib/apt/apt-helper"

# Where a Debian system keeps the keys that sign Debian; the suffix changed between releases.
_DEBIAN_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)

# Releases whose presence in a source marks a Debian mirror. Derivatives have names of their own and other packages.
_DEBIAN_RELEASES = frozenset(
    "oldoldstable oldstable stable testing unstable sid bullseye bookworm trixie forky duke".split()
)

# Packages that Debian's Bazel names but that this use does without: compilers, Python, Perl and the JDK, which are the
# machine's or not needed, and Java libraries that no jar on Bazel's class path refers to. Passing them off as installed
# cuts the download from 660 MB to 161 MB.
_NOT_NEEDED = """
    build-essential ca-certificates ca-certificates-java debconf default-jdk-headless default-jre-headless git
    java-common junit4 libbcprov-java libeclipse-jdt-core-compiler-batch-java libeclipse-jdt-core-java libguice-java
    libjavaparser-java libjetty9-java libjgit-java libjpeg62-turbo libjs-jquery liblcms2-2 liblog4j2-java
    libmaven-common-artifact-filters-java libmaven-enforcer-plugin-java libmaven-resolver-java libmaven3-core-java
    libmongodb-java libnss3 libpcsclite1 libplexus-utils2-java libprotoc32t64 libsisu-inject-java libsisu-plexus-java
    libwagon-provider-api-java media-types netbase node-core-js node-html5shiv openssl openssl-provider-legacy perl
    perl-base protobuf-compiler-grpc-java-plugin python3 python3-minimal tzdata util-linux zlib1g-dev
""".split()

_SETTINGS = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::State::extended_states "{folder}/extended_states";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
Dir::Log "{folder}";
// A mirror may be a frozen copy; what it may then hold back from us is an update, not a signature.
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
// Set last, so that no setting of the machine lets unsigned packages in.
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::Assume-Yes "true";
// As root, apt would otherwise download as a user who cannot read the private folder.
APT::Sandbox::User "root";
// The set-up's own lock guards the folder.
Debug::NoLocking "true";
"""

_NETWORK_CURE = (
    "check the network and the proxy: http_proxy and https_proxy in the environment, or Acquire::http::Proxy in "
    "/etc/apt/apt.conf.d"
)


def debian_mirrors(index_targets, keyrings):
    """Finds the Debian mirrors among the sources that the machine's apt has.

    Args:
      index_targets: lines "CREATED_BY|COMPONENT|RELEASE|REPO_URI|SIGNED_BY" as `apt-get indextargets` formats them.
      keyrings: paths of the keyrings that hold Debian's keys; those that a source itself names are added to them.

    Returns:
      A list of (address, keyrings joined by commas), in the machine's order, each address once.
    """
    mirrors = {}
    for line in index_targets.splitlines():
        created_by, component, release, address, signed_by = line.split("|", 4)
        if created_by != "Packages" or component != "main" or release not in _DEBIAN_RELEASES or address in mirrors:
            continue
        # Signed-By may also hold fingerprints or a whole key; only files can be named beside the Debian keyring. A
        # company's mirror, signed anew with its own key, is trusted here just as the machine trusts it.
        own = [part for part in re.split(r"[,\s]+", signed_by) if part.startswith("/") and part not in keyrings]
        mirrors[address] = ",".join([*keyrings, *own])
    return list(mirrors.items())


def explain_failure(log):
    """Returns what apt's output says went wrong, with a cure."""
    lines = [line for line in log.splitlines() if line.startswith(("E:", "W:", "Err:"))]
    quoted = "\n".join(f"  apt: {line}" for line in lines[:6]) or "  apt said nothing"
    if re.search("EXPKEYSIG|is not valid yet|is expired", log):
        cure = (
            f"a signature is not valid on {time.strftime('%Y-%m-%d')}: set the clock if that day is wrong, "
            "or update the package debian-archive-keyring"
        )
    elif re.search("NO_PUBKEY|is not signed|BADSIG|signatures couldn't be verified", log):
        cure = f"this machine's Debian keyring cannot verify {SUITE}: update the package debian-archive-keyring"
    elif re.search("does not have a Release file|404  ?Not Found", log):
        cure = f"the mirror does not carry the file or the suite: add a Debian mirror with {SUITE} to the apt sources"
    elif re.search("No space left|not enough free space", log):
        cure = "free some disk space and run this again; what was downloaded is kept"
    else:
        cure = _NETWORK_CURE
    return f"{quoted}\n{cure}"


def parse_print_uris(text):
    """Returns what `apt-get install --print-uris` lists: a list of (Package, file name, size in bytes)."""
    plan = []
    for match in re.finditer(r"^'[^']+' (\S+\.deb) (\d+) SHA256:([0-9a-f]{64})$", text, re.MULTILINE):
        file_name, size_bytes, sha256 = match.groups()
        name, version, architecture = file_name[: -len(".deb")].split("_")
        plan.append((Package(name, urllib.parse.unquote(version), architecture, sha256), file_name, int(size_bytes)))
    return plan


class PrivateApt:
    """apt-get with all of its state in one folder, reading one Debian mirror."""

    def __init__(self, folder, lock_fd, not_needed=(), foreign=()):
        """Prepares the folder; archives that an interrupted run left there are kept.

        Args:
          folder: absolute path, made where missing.
          lock_fd: the set-up's lock. apt inherits it: one that outlives a killed set-up keeps the next one waiting.
          not_needed: packages to take as installed, besides those that Bazel does without.
          foreign: architectures besides amd64 whose package lists are read.
        """
        self.archives = os.path.join(folder, "archives")
        self._folder = folder
        self._lock_fd = lock_fd
        self._environment = dict(os.environ, LC_ALL="C", APT_CONFIG=os.path.join(folder, "apt.conf"))
        shutil.rmtree(os.path.join(folder, "lists"), ignore_errors=True)
        for name in ("lists/partial", "archives/partial", "no-archives/partial"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        self._write("status", "".join(map(_installed_stanza, [*_NOT_NEEDED, *not_needed])))
        self._write("sources.list", "")
        acquire = [line for line in _output(["apt-config", "dump"]).splitlines() if line.startswith("Acquire::")]
        others = "".join(f'APT::Architectures {{ "{name}"; }};\n' for name in foreign)
        self._write("apt.conf", "\n".join(acquire) + "\n" + _SETTINGS.format(folder=folder) + others)

    def select_mirror(self):
        """Reads the package list of SUITE from the first of the machine's mirrors that has it.

        Returns:
          The date of the release, as its signed Release file gives it.
        """
        return self.select_suites([f"{SUITE}/main"]).get(SUITE, "unknown date")

    def select_suites(self, suites):
        """Reads the package lists of suites from the first of the machine's mirrors that has them all.

        Args:
          suites: such as "bullseye/main".

        Returns:
          A dict from each suite without its component to the date of its release, as its signed Release file gives it.
        """
        names = ", ".join(suites)
        failures = []
        for address, signed_by in self.mirrors():
            console.say(f"reading the package list of Debian {names} from {without_password(address)}")
            lines = [f"deb [signed-by={signed_by}] {address} {' '.join(suite.split('/'))}\n" for suite in suites]
            self._write("sources.list", "".join(lines))
            failure = self._update()
            if failure is None:
                return self._release_dates()
            failures.append(f"{without_password(address)} does not deliver Debian {names}:\n{failure}")
        raise SetupError("\n".join(failures))

    def mirrors(self):
        """The Debian mirrors among the machine's own sources, as debian_mirrors() returns them."""
        keyrings = [path for path in _DEBIAN_KEYRINGS if os.access(path, os.R_OK)][:1]
        if not keyrings:
            raise SetupError(
                f"the keys that verify Debian's packages are missing ({_DEBIAN_KEYRINGS[0]}): "
                "install the package debian-archive-keyring"
            )
        # The machine's own sources, but not its lists: apt need not have run here.
        targets = _output(
            [
                "apt-get", "indextargets", "--format", "$(CREATED_BY)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)|$(SIGNED_BY)",
                "-o", "Dir::State::lists=" + os.path.join(self._folder, "lists"),
                "-o", "APT::Get::IndexTargets::ReleaseInfo=false",
            ]
        )  # fmt: skip
        mirrors = debian_mirrors(targets, keyrings)
        if not mirrors:
            raise SetupError(
                "the sources of this machine's apt name no Debian mirror (component main): "
                "add one to /etc/apt/sources.list.d"
            )
        return mirrors

    def plan(self, bazel_version):
        """Returns the packages that make up a complete Bazel, as parse_print_uris() does."""
        listing = self._apt("apt-cache", "show", "bazel-bootstrap").stdout
        offered = re.findall(r"^Version: (\S+)$", listing, re.MULTILINE)
        exact = [version for version in offered if re.match(re.escape(bazel_version) + "[+-]", version)]
        if not exact:
            raise SetupError(
                f"Debian {SUITE} carries Bazel {', '.join(offered) or '(none)'} now, and this workspace needs "
                f"{bazel_version}: put bazelisk or a Bazel on PATH, or point apt at a snapshot of {SUITE} from the "
                "date in offline/bootstrap/packages.lock"
            )
        return self.plan_packages([f"bazel-bootstrap={exact[0]}", *_WANTED])

    def plan_packages(self, wanted):
        """Returns the packages that make up the wanted ones, as parse_print_uris() does."""
        result = self._apt(
            "apt-get", "install", *wanted, "--print-uris",
            # The listing shows MD5 otherwise; downloads are checked against every hash in the index either way.
            "-o", "Acquire::ForceHash=SHA256",
            # An empty folder, because the listing leaves out what is already downloaded.
            "-o", "Dir::Cache::archives=" + os.path.join(self._folder, "no-archives"),
        )  # fmt: skip
        plan = parse_print_uris(result.stdout)
        if result.returncode != 0 or not plan:
            raise SetupError(f"apt finds no way to install {' '.join(wanted)}:\n{explain_failure(result.stdout)}")
        return plan

    def download(self, plan):
        """Downloads the planned packages into self.archives, going on from what is there."""
        total_bytes = sum(size_bytes for _, _, size_bytes in plan)
        wanted = [f"{package.name}={package.version}" for package, _, _ in plan]
        log = self._run_with_progress(["apt-get", "install", "--download-only", *wanted], self.archives, total_bytes)
        if log is not None:
            raise SetupError(
                "the packages could not be downloaded; what arrived is kept for the next run:\n" + explain_failure(log)
            )

    def download_files(self, files, folder, total_bytes):
        """Downloads files by their addresses, with apt's own settings but without a package list.

        Args:
          files: list of (address, file name, SHA-256).
          folder: where the files are put.
          total_bytes: their size, for the progress.

        Returns:
          None, or what apt printed where a file could not be had; the others are there all the same.
        """
        triples = [[address, os.path.join(folder, name), "SHA256:" + sha256] for address, name, sha256 in files]
        return self._run_with_progress([_APT_HELPER, "download-file", *sum(triples, [])], folder, total_bytes)

    def show(self, package):
        """The fields of a package's newest version in the selected suites, such as Filename.

        Args:
          package: such as "libc6:arm64".
        """
        text = self._apt("apt-cache", "show", "--no-all-versions", package).stdout
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", text.split("\n\n")[0], re.MULTILINE))
        if "Filename" not in fields:
            raise SetupError(f"the suite has no package {package}: {text.strip()}")
        return fields

    def _run_with_progress(self, command, folder, total_bytes):
        """Runs a command that fills a folder; returns None, or what it printed where it failed."""
        progress = console.Progress("downloaded", total_bytes)
        with open(os.path.join(self._folder, "download.log"), "w+", encoding="utf-8", errors="replace") as log:
            process = self._start(command, log)
            try:
                while process.poll() is None:
                    progress.update(_bytes_in(folder))
                    time.sleep(0.1)
            finally:
                progress.close()
                _stop(process)
            log.seek(0)
            return log.read() if process.returncode != 0 else None

    def _update(self):
        """Runs apt-get update; returns None or what went wrong. apt exits with 0 even where an index is missing."""
        result = self._apt("apt-get", "update", "-o", "Acquire::Retries=1")
        if result.returncode == 0 and not re.search(
            r"^(E:|W: .*Failed to fetch|W: Some index files)", result.stdout, re.M
        ):
            return None
        return explain_failure(result.stdout)

    def _release_dates(self):
        lists = os.path.join(self._folder, "lists")
        dates = {}
        for name in os.listdir(lists):
            if name.endswith("Release"):
                with open(os.path.join(lists, name), encoding="utf-8") as release:
                    fields = dict(re.findall(r"^(Codename|Date): (.+)$", release.read(), re.MULTILINE))
                    dates[fields["Codename"]] = fields["Date"]
        return dates

    def _apt(self, *command):
        process = self._start(command, subprocess.PIPE)
        try:
            stdout, _ = process.communicate()
        finally:
            _stop(process)
        return subprocess.CompletedProcess(command, process.returncode, stdout)

    def _start(self, command, stdout):
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            env=self._environment,
            pass_fds=[self._lock_fd],
            encoding="utf-8",
            errors="replace",
        )

    def _write(self, name, text):
        # Readable by the user alone: a proxy or a mirror address may hold a password.
        descriptor = os.open(os.path.join(self._folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


def _installed_stanza(name):
    return (
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: foreign\n"
        "Version: 999:0\nMaintainer: -\nDescription: taken as installed\n\n"
    )


def _output(command):
    """Returns the output of a command that reads the machine's apt configuration."""
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True,
        env=dict(os.environ, LC_ALL="C"), encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if result.returncode != 0:
        raise SetupError(f"this machine's apt configuration cannot be read:\n{explain_failure(result.stderr)}")
    return result.stdout


def _stop(process):
    """Ends a child that is still running, as after an interrupt."""
    if process.poll() is None:
        process.terminate()
        process.wait()


def _bytes_in(folder):
    """Returns the size of the files below folder; files may come, grow and move meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                pass
    return total


def without_password(address):
    return re.sub(r"//[^/@]*@", "//", address)
