"""A remote execution service on this machine: BuildGrid, its database, and a BuildBox worker.

BuildGrid comes from its locked wheels, BuildBox and PostgreSQL from Debian's signed packages, into a folder of the
user's cache; nothing is installed on the machine. All of it listens on loopback alone and ends with the `with` block.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv

import apt_private
from roots import Root

_RECIPE = 2  # raise when what is installed changes
_REQUIREMENTS = pathlib.Path(__file__).resolve().parent / "buildgrid.txt"
_PACKAGES = ["buildbox", "patchelf", "postgresql-18"]
# What these name but do without here.
_NOT_NEEDED = ["fuse3", "locales", "postgresql-client-common", "postgresql-common", "ssl-cert"]
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_POSTGRES = "usr/lib/postgresql/18/bin"
_PROGRAMS = [
    *(f"usr/bin/{name}" for name in ("buildbox-casd", "buildbox-run-hosttools", "buildbox-worker")),
    *(f"{_POSTGRES}/{name}" for name in ("createdb", "initdb", "postgres")),
]


def _run(command: list[str], **options: object) -> str:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)  # type: ignore[call-overload]
    assert result.returncode == 0, f"{' '.join(command)}: {result.stdout[-4000:]}"
    return str(result.stdout)


def _install_packages(folder: pathlib.Path, lock: int) -> None:
    apt = apt_private.PrivateApt(str(folder / "apt"), lock, _NOT_NEEDED)
    apt.select_mirror()
    apt.download(apt.plan_packages(_PACKAGES))
    prefix = folder / "debian"
    prefix.mkdir()
    for package in pathlib.Path(apt.archives).glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(prefix)])
    shutil.rmtree(folder / "apt")
    loader = str(prefix / _LIBRARIES / "ld-linux-x86-64.so.2")
    patchelf = [loader, "--library-path", str(prefix / _LIBRARIES), str(prefix / "usr/bin/patchelf")]
    for program in _PROGRAMS:
        options = ["--set-interpreter", loader, "--force-rpath", "--set-rpath", str(prefix / _LIBRARIES)]
        _run([*patchelf, *options, str(prefix / program)])


def _install_buildgrid(folder: pathlib.Path) -> None:
    venv.create(folder / "buildgrid", with_pip=False, symlinks=True)
    python = str(folder / "buildgrid/bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    # Without the test's own packages on its path, which pip would take for installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    _run([*pip, "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(_REQUIREMENTS)], env=environment)


def installed() -> pathlib.Path:
    """The folder with all programs, made on the first call."""
    cache = pathlib.Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "awq-remote-execution"
    cache.mkdir(parents=True, exist_ok=True)
    recipe = hashlib.sha256(f"{_RECIPE} {_PACKAGES} {_REQUIREMENTS.read_text()}".encode()).hexdigest()[:12]
    folder = cache / recipe
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _install_packages(folder, lock.fileno())
            _install_buildgrid(folder)
            (folder / "complete").touch()
    return folder


_CONFIGURATION = """
server:
  - !channel
    address: "127.0.0.1:{port}"
    insecure-mode: true
connections:
  - !sql-connection &sql
    connection-string: {database}
storages:
  - !disk-storage &cas
    path: {cas}
caches:
  - !lru-action-cache &actions
    storage: *cas
    max-cached-refs: 100000
    allow-updates: true
    cache-failed-actions: false
schedulers:
  - !sql-scheduler &scheduler
    sql: *sql
    action-cache: *actions
    storage: *cas
    bot-session-keepalive-timeout: 20
    property-set:
      !dynamic-property-set
      unique-property-keys: []
      match-property-keys: [OSFamily]
      wildcard-property-keys: []
instances:
  - name: ''
    services:
      - !action-cache
        cache: *actions
      - !execution
        scheduler: *scheduler
      - !bots
        scheduler: *scheduler
      - !cas
        storage: *cas
      - !bytestream
        storage: *cas
# Also the number of requests served at a time; the rest are refused. A compile action uploads ten thousand headers.
thread-pool-size: 400
"""


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, log.read_text()[-4000:]
        time.sleep(0.1)
    raise AssertionError(f"nothing listens: {log.read_text()[-4000:]}")


class Services:
    """The service, for a `with` statement. Each part can be ended and started anew on its own.

    Attributes:
      address: for --remote_executor and --remote_cache.
      cas: folder with the cached files, named by their SHA-256.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._programs = installed()
        self._folder = folder
        self.cas = folder / "cas"
        self._ports = {name: free_port() for name in ("postgres", "server", "casd")}
        self.address = f"grpc://127.0.0.1:{self._ports['server']}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir()

    def __enter__(self) -> Services:
        try:
            self._start_database()
            self.start_server()
            self.start_worker()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("worker", "casd", "server", "postgres"):
            self.stop(name)

    def _debian(self, program: str) -> str:
        return str(self._programs / "debian" / program)

    def _start(self, name: str, command: list[str], **environment: str) -> None:
        log = self.log(name)
        with open(log, "ab") as output:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"HOME": str(self._folder), "LC_ALL": "C", "PATH": os.environ["PATH"], **environment},
                start_new_session=True,
            )
        if name in self._ports:
            _wait_for(self._ports[name], self._processes[name], log)

    def stop(self, name: str, how: int = signal.SIGTERM) -> None:
        """Ends a part and what it started, if it runs: "server", "casd", "worker"."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how if name != "postgres" else signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start_database(self) -> None:
        # PostgreSQL refuses to run as root; in a user namespace of its own, root is nobody.
        nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] if os.getuid() == 0 else []
        data = str(self._folder / "database")
        initdb = [self._debian(f"{_POSTGRES}/initdb"), "-D", data, "-U", "bgd", "--auth=trust", "--encoding=UTF8"]
        _run([*nobody, *initdb, "--locale=C", "--no-sync"])
        port = str(self._ports["postgres"])
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=500"]
        options = [option for setting in settings for option in ("-c", setting)]
        self._start("postgres", [*nobody, self._debian(f"{_POSTGRES}/postgres"), "-D", data, "-p", port, *options])
        for _ in range(100):  # it listens before it answers
            command = [self._debian(f"{_POSTGRES}/createdb"), "-h", "127.0.0.1", "-p", port, "-U", "bgd", "bgd"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        self._database = f"postgresql+psycopg2://bgd@127.0.0.1:{port}/bgd"
        _run([str(self._programs / "buildgrid/bin/bgd"), "migrate", "apply", self._database])

    def start_server(self) -> None:
        """Starts BuildGrid: scheduler, action cache and file storage."""
        configuration = self._folder / "server.yml"
        configuration.write_text(
            _CONFIGURATION.format(port=self._ports["server"], database=self._database, cas=self.cas)
        )
        self._start("server", [str(self._programs / "buildgrid/bin/bgd"), "server", "start", str(configuration)])

    def log(self, name: str) -> pathlib.Path:
        """What a part has printed."""
        return self._folder / f"{name}.log"

    def start_worker(self, name: str = "worker", root: Root | None = None) -> None:
        """Starts a worker of two jobs, with its own cache of files, on this machine or in a root."""
        server = f"http://127.0.0.1:{self._ports['server']}"
        casd = f"127.0.0.1:{self._ports['casd']}"
        options = [f"--bind={casd}", f"--cas-remote={server}", str(self._folder / "casd")]
        self._start("casd", [self._debian("usr/bin/buildbox-casd"), *options])
        runner = self._debian("usr/bin/buildbox-run-hosttools")
        options = [f"--bots-remote={server}", f"--cas-remote=http://{casd}", f"--buildbox-run={runner}"]
        options += ["--concurrent-jobs=2", "--platform", "OSFamily=linux", "--max-wait-time=5", name]
        worker = [self._debian("usr/bin/buildbox-worker"), *options]
        if root:
            (self._folder / "root").mkdir()
            worker = root.command(worker, self._folder / "root", [self._programs, self._folder / "casd"])
        self._start("worker", worker, PATH="/usr/bin:/bin")
