"""Every wrong environment is named before anything is compiled: what was found, where, what was expected, the cure."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import tarfile
from collections.abc import Iterator

import pytest
from workspace import Checkout

from testing import fakes
from testing.fakes import program, toolkit, torch, write

CHECKED = "//config:torch_check"
PARTS = ("  found:    ", "  expected: ", "  cure:     ")


@pytest.fixture(scope="module")
def workspace() -> Iterator[Checkout]:
    with Checkout("errors") as checkout:
        yield checkout


@pytest.fixture
def environment(tmp_path: pathlib.Path) -> dict[str, str]:
    """A toolkit and a PyTorch that fit each other."""
    return {
        "CUDA_HOME": toolkit(tmp_path / "cuda", "12.4"),
        "AWQ_TORCH_PATH": torch(tmp_path / "site", "2.6.0+cu124", "12.4"),
    }


def analyse(workspace: Checkout, environment: dict[str, str], *arguments: str) -> tuple[bool, str]:
    """Whether the analysis succeeds with an installed toolkit and PyTorch, and what it prints. The doctor agrees."""
    settings = ["--config=local_cuda", "--config=local_torch", *arguments]
    result = workspace.bazel("build", "--nobuild", *settings, CHECKED, **environment)
    doctor = workspace.bazel("run", *settings, "//:doctor", **environment)
    assert (doctor.returncode == 0) == (result.returncode == 0), result.stdout + doctor.stdout
    return result.returncode == 0, result.stdout


def assert_refused(outcome: tuple[bool, str], *messages: str) -> None:
    """The analysis failed with a message that has all its parts."""
    succeeded, output = outcome
    assert not succeeded, output
    for message in (*PARTS, *messages):
        assert message in output, output


def test_what_fits_is_accepted_without_a_warning(workspace: Checkout, environment: dict[str, str]) -> None:
    succeeded, output = analyse(workspace, environment)
    assert succeeded, output
    assert "warning" not in output.lower()


def test_workspace_mode_where_bazel_has_none(workspace: Checkout) -> None:
    """Bazel 9 ignores the two switches; here they are switched back."""
    options = ["--config=workspace", "--enable_bzlmod", "--noenable_workspace"]
    result = workspace.bazel("build", "--nobuild", *options, "//:ft_attention")
    assert_refused((result.returncode == 0, result.stdout), "this Bazel has no WORKSPACE mode", "Bazel 7 or 8")


def test_cuda_home_is_not_set(workspace: Checkout, environment: dict[str, str]) -> None:
    del environment["CUDA_HOME"]
    assert_refused(analyse(workspace, environment), "CUDA_HOME is not set", "bin/nvcc below it")


def test_cuda_path_stands_in(workspace: Checkout, environment: dict[str, str]) -> None:
    environment["CUDA_PATH"] = environment.pop("CUDA_HOME")
    succeeded, output = analyse(workspace, environment)
    assert succeeded, output


def test_cuda_home_is_no_folder(workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    environment["CUDA_HOME"] = str(tmp_path / "nowhere")
    outcome = analyse(workspace, environment)
    assert_refused(outcome, "CUDA_HOME is not a CUDA toolkit", f"CUDA_HOME={tmp_path}/nowhere, which is no folder")


def test_nvcc_is_missing(workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    environment["CUDA_HOME"] = toolkit(tmp_path / "runtime", "12.4", without="bin/nvcc")
    assert_refused(analyse(workspace, environment), "nvcc is missing", f"no {tmp_path}/runtime/bin/nvcc", "'devel'")


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\necho cannot run >&2\nexit 126\n", "#!/bin/sh\necho something else\n", "no script at all"]
)
def test_nvcc_does_not_run(workspace: Checkout, environment: dict[str, str], script: str) -> None:
    nvcc = pathlib.Path(environment["CUDA_HOME"]) / "bin/nvcc"
    write(nvcc, script, executable=True)
    assert_refused(analyse(workspace, environment), "nvcc does not run", str(nvcc), "'devel'")


def test_toolkit_without_the_static_runtime(
    workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path
) -> None:
    environment["CUDA_HOME"] = toolkit(tmp_path / "part", "12.4", without="lib64/libcudart_static.a")
    outcome = analyse(workspace, environment)
    assert_refused(outcome, "the CUDA toolkit is incomplete", "no lib/libcudart_static.a", "cuda-cudart-dev")


def test_toolkit_is_too_old(workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    environment["CUDA_HOME"] = toolkit(tmp_path / "old", "10.2")
    assert_refused(analyse(workspace, environment), "CUDA 10.2", "CUDA 11.8 or newer is required")


def test_minor_versions_of_cuda_differ(
    workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path
) -> None:
    environment["AWQ_TORCH_PATH"] = torch(tmp_path / "other", "2.3.0+cu121", "12.1")
    message = "differ in the minor version of CUDA"
    outcome = analyse(workspace, environment)
    assert_refused(outcome, message, "CUDA 12.4 (CUDA_HOME=", "PyTorch 2.3.0+cu121 built with CUDA 12.1")
    succeeded, output = analyse(workspace, environment, "--//config:allow_cuda_minor_mismatch")
    assert succeeded, output
    assert message in output


def test_major_versions_of_cuda_differ(
    workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path
) -> None:
    environment["AWQ_TORCH_PATH"] = torch(tmp_path / "other", "2.11.0+cu130", "13.0")
    for arguments in ([], ["--//config:allow_cuda_minor_mismatch"]):
        assert_refused(analyse(workspace, environment, *arguments), "differ in the major version of CUDA")


def test_architecture_that_the_toolkit_lacks(workspace: Checkout, environment: dict[str, str]) -> None:
    outcome = analyse(workspace, environment, "--//config:cuda_archs=8.0,10.0")
    assert_refused(outcome, "cannot build architecture 100", "70 75 80 86 87 89 90 90a", "CUDA 12.8 and newer has 100")


@pytest.mark.parametrize(("arch", "version"), [("8.8", "13.0"), ("10.7", "13.4")])
def test_architecture_that_the_rules_lack(
    workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path, arch: str, version: str
) -> None:
    """No rules_cuda has these yet; 11.0 depends on its version."""
    environment["CUDA_HOME"] = toolkit(tmp_path / "new", version)
    environment["AWQ_TORCH_PATH"] = torch(tmp_path / "other", "2.11.0+cu130", version)
    outcome = analyse(workspace, environment, f"--//config:cuda_archs=9.0,{arch}")
    assert_refused(outcome, f"rules_cuda does not know architecture {arch.replace('.', '')}", "or use a rules_cuda")


def test_malformed_architecture_list(workspace: Checkout, environment: dict[str, str]) -> None:
    environment["TORCH_CUDA_ARCH_LIST"] = "8.0;Hoper"
    assert_refused(analyse(workspace, environment), "TORCH_CUDA_ARCH_LIST=8.0;Hoper", '"8.0;9.0+PTX"')


@pytest.mark.parametrize("text", ["8.0;9.0+PTX", "8.0 9.0", "Hopper", "7.0 ; 8.6"])
def test_architecture_lists_of_pytorch(workspace: Checkout, environment: dict[str, str], text: str) -> None:
    succeeded, output = analyse(workspace, {**environment, "TORCH_CUDA_ARCH_LIST": text})
    assert succeeded, output


def test_bfloat16_without_an_architecture_that_has_it(workspace: Checkout, environment: dict[str, str]) -> None:
    outcome = analyse(workspace, environment, "--//config:cuda_archs=7.0,7.5")
    assert_refused(outcome, "bfloat16 is on", "--//config:bf16=false")
    succeeded, output = analyse(workspace, environment, "--//config:cuda_archs=7.0,7.5", "--//config:bf16=false")
    assert succeeded, output


def test_compiler_of_the_machine_does_not_matter(workspace: Checkout, environment: dict[str, str]) -> None:
    environment["CC"] = "/nonexistent/gcc"
    succeeded, output = analyse(workspace, environment)
    assert succeeded, output


@pytest.mark.parametrize(("version", "word"), [("8.5.0", "old"), ("14.2.0", "new")])
def test_host_compiler(
    workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path, version: str, word: str
) -> None:
    if not pathlib.Path("/usr/bin/gcc").exists():
        pytest.skip("this machine has no gcc, behind which another one could be pretended")
    compiler = tmp_path / "gcc"
    program(compiler, f'case "$*" in *-dumpfullversion*) echo {version} ;; *) exec /usr/bin/gcc "$@" ;; esac')
    environment["CC"] = str(compiler)
    outcome = analyse(workspace, environment, "--config=host_gcc")
    assert_refused(
        outcome, f"the host compiler is too {word}", f"gcc {version} ({compiler})", "gcc 9 to 13 with CUDA 12.4"
    )


def test_pytorch_is_too_old(workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    environment["AWQ_TORCH_PATH"] = torch(tmp_path / "old", "1.13.1+cu117", "11.7")
    assert_refused(analyse(workspace, environment), "PyTorch 1.13.1+cu117", "PyTorch 2.3 or newer")


def test_pytorch_without_cuda(workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    environment["AWQ_TORCH_PATH"] = torch(tmp_path / "cpu", "2.6.0+cpu", None)
    assert_refused(analyse(workspace, environment), "PyTorch is built without CUDA", "2.6.0+cpu", "+cpu")


def test_pytorch_is_not_installed(workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    environment["AWQ_TORCH_PATH"] = str(tmp_path)
    assert_refused(analyse(workspace, environment), "PyTorch is not installed", f"AWQ_TORCH_PATH={tmp_path}")


def test_python_outside_the_range(workspace: Checkout, environment: dict[str, str]) -> None:
    succeeded, output = analyse(workspace, environment, "--//config:python=3.9")
    assert not succeeded
    assert "invalid value '3.9'. Allowed values are" in output and '"3.10", "3.11"' in output


def test_pytorch_that_has_no_wheel_for_the_python(
    workspace: Checkout, environment: dict[str, str], tmp_path: pathlib.Path
) -> None:
    fakes.python(tmp_path / "python3.13", "3.13")
    environment["PATH"] = f"{tmp_path}:/usr/local/bin:/usr/bin:/bin"
    command = ["build", "--nobuild", "--config=torch2.3", "--config=local_cuda", "--//config:python=3.13", CHECKED]
    result = workspace.bazel(*command, **environment)
    outcome = (result.returncode == 0, result.stdout)
    assert_refused(outcome, "PyTorch 2.3.0 has no wheel for Python 3.13", "3.10, 3.11, 3.12")


def test_wheel_whose_hash_does_not_match(workspace: Checkout, tmp_path: pathlib.Path) -> None:
    """An index that delivers other files: here a folder of empty ones with the right names."""
    for lock in (workspace.root / "third_party/pip/locks/tools").glob("*_x86_64.txt"):
        for line in lock.read_text().splitlines():
            if not line.startswith("#"):
                write(tmp_path / line.split()[1], "another file")
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    result = workspace.bazel("build", "--repository_cache=", "--nobuild", "@awq_packages//:pytest", **environment)
    outcome = (result.returncode == 0, result.stdout)
    assert_refused(outcome, "a downloaded wheel is not the one that is locked", "locks:tools/", "do not use that file")


@pytest.mark.parametrize("target", ["@awq_uv//:site_packages", "@awq_root_bullseye//:REPO.bazel"], ids=["pip", "deb"])
def test_machine_is_looked_at_before_a_download(workspace: Checkout, tmp_path: pathlib.Path, target: str) -> None:
    """What would fail afterwards is said before: nothing is asked of an index or a mirror."""
    program(tmp_path / "df", "echo Filesystem; echo 'disk 9000000 8500000 500000 95% /'")
    program(tmp_path / "fetch", "echo there is no mirror; exit 1")
    command = ["build", "--repository_cache=", f"--repo_env=AWQ_DEB_FETCH={tmp_path}/fetch", "--nobuild", target]
    environment = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}

    result = workspace.bazel(*command, **environment, PATH=f"{tmp_path}:{os.environ['PATH']}")
    outcome = (result.returncode == 0, result.stdout)
    assert_refused(outcome, "there is too little space for a download", "0 GB free in ", "1 GB for the archives")
    result = workspace.bazel(*command, **environment, TMPDIR=str(tmp_path / "nowhere"))
    assert_refused((result.returncode == 0, result.stdout), "TMPDIR names no folder", f"TMPDIR={tmp_path}/nowhere")
    result = workspace.bazel(*command, **environment)
    failed = "packages could not be downloaded" if "root" in target else "pip could not download wheels"
    assert_refused((result.returncode == 0, result.stdout), failed)


@pytest.mark.parametrize("offline", [True, False], ids=["apt", "downloader"])
def test_debian_package_whose_hash_does_not_match(workspace: Checkout, tmp_path: pathlib.Path, offline: bool) -> None:
    """The mirrors have another file than the one that is locked; or, without apt, there is no mirror."""
    lock = workspace.root / "third_party/deb/locks/root_trixie.lock"
    fetcher = workspace.root / "third_party/deb/deb.bzl"
    texts = {path: path.read_text() for path in (lock, fetcher)}
    [known] = re.findall(r" bash amd64 \S+ \d+ (\w+) ", texts[lock])
    lock.write_text(texts[lock].replace(known, "0" * 64))
    fetcher.write_text(re.sub(r'"https://[^"]*/', f'"file://{tmp_path}/', texts[fetcher]))
    fetch = f"{workspace.root}/offline/bootstrap/fetch_debs" if offline else ""
    options = [
        f"--repo_env=AWQ_DEB_FETCH={fetch}",
        f"--repo_env=AWQ_DEB_FOLDER={tmp_path / 'debs'}",
        "--repository_cache=",
    ]
    try:
        result = workspace.bazel("build", "--nobuild", *options, "@awq_root_trixie//:REPO.bazel")
    finally:
        for path, text in texts.items():
            path.write_text(text)
    title = "Debian packages could not be downloaded" if offline else "a Debian package could not be downloaded"
    cure = "put the files into" if offline else "--distdir=FOLDER"
    assert_refused((result.returncode == 0, result.stdout), title, "0" * 64, cure, "root_trixie.lock")


def archive(folder: pathlib.Path, component: str, files: list[str]) -> dict[str, object]:
    """A redistributable archive of empty files; returns its entry in the manifest."""
    name = f"{component}-linux-x86_64-12.1.99-archive"
    path = folder / component / "linux-x86_64" / f"{name}.tar.xz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as tar:
        for file in files:
            tar.addfile(tarfile.TarInfo(f"{name}/{file}"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"linux-x86_64": {"relative_path": str(path.relative_to(folder)), "sha256": digest}}


def test_toolkit_from_redistributable_archives(workspace: Checkout, tmp_path: pathlib.Path) -> None:
    """A manifest and archives as NVIDIA publishes them, in a folder; one archive at first not the one listed."""
    manifest = {
        "cuda_nvcc": archive(tmp_path, "cuda_nvcc", ["bin/nvcc", "bin/ptxas", "include/crt/host_config.h"]),
        "cuda_cudart": archive(tmp_path, "cuda_cudart", ["lib/libcudart_static.a", "include/cuda_runtime.h"]),
        "cuda_cccl": archive(tmp_path, "cuda_cccl", ["include/nv/target"]),
    }
    text = json.dumps(manifest)
    write(tmp_path / "redistrib_12.1.1.json", text)
    versions = workspace.root / "third_party/versions.bzl"
    original = versions.read_text()
    pinned = re.search(r'redistrib_12\.1\.1\.json",\s+sha256 = "(\w+)"', original)
    assert pinned
    here = original.replace(pinned[1], hashlib.sha256(text.encode()).hexdigest())
    versions.write_text(re.sub(r'_REDIST = "[^"]+"', f'_REDIST = "file://{tmp_path}/"', here))
    try:
        command = ["build", "--repository_cache=", "--//config:cuda=12.1", "//:cuda_runtime"]
        damaged = tmp_path / "cuda_cccl/linux-x86_64/cuda_cccl-linux-x86_64-12.1.99-archive.tar.xz"
        whole = damaged.read_bytes()
        damaged.write_bytes(whole + b"more")
        result = workspace.bazel(*command)
        outcome = (result.returncode == 0, result.stdout)
        assert_refused(outcome, "the CUDA toolkit could not be downloaded", str(damaged), "Checksum was")

        damaged.write_bytes(whole)
        result = workspace.bazel(*command)
        assert result.returncode == 0, result.stdout
    finally:
        versions.write_text(original)
