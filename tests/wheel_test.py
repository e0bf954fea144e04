"""A wheel holds what it says, installs into a clean environment, works there, refuses another PyTorch in words.

Of both forms: the universal wheel, and the one for the selected PyTorch and Python alone.
"""

from __future__ import annotations

import base64
import csv
import email
import hashlib
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import venv
import zipfile

import elf
import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

[WHEEL] = pathlib.Path(os.environ["WHEEL"]).glob("*.whl")
MODULES = ("awq_inference_engine", "ft_attention")
UNIVERSAL = "-abi3-" in WHEEL.name
TESTS = pathlib.Path("tests").absolute()  # among the runfiles, where no module lies beside them


@pytest.fixture(scope="module")
def archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(WHEEL)


def info(archive: zipfile.ZipFile, name: str) -> str:
    """A file of the .dist-info folder."""
    [path] = [n for n in archive.namelist() if re.fullmatch(rf"[^/]+\.dist-info/{name}", n)]
    return archive.read(path).decode()


def extensions(archive: zipfile.ZipFile) -> dict[str, bytes]:
    return {name: archive.read(name) for name in archive.namelist() if name.endswith(".so")}


# ---- contents --------------------------------------------------------------------------------------------------------


def test_holds_modules_stubs_package_and_licences(archive: zipfile.ZipFile) -> None:
    names = {re.sub(r"^[^/]+\.dist-info/", "", name) for name in archive.namelist()}
    for module in MODULES:
        assert {f"{module}/__init__.py", f"{module}/{module}.pyi", f"{module}/py.typed"} <= names
    assert [name.split("/")[0] for name in extensions(archive)] == list(MODULES)
    public = {"__init__", "checkpoint", "nn", "ops", "packing", "reference", "transformers"}
    package = {f"awq_kernels/{name}.py" for name in public | {"_files", "_formats", "_gguf"}}
    assert package | {"awq_kernels/py.typed"} <= names
    licences = {name for name in names if name.startswith("licenses/")}
    assert licences == {"licenses/LICENSE", "licenses/cuda/LICENSE", *([] if UNIVERSAL else ["licenses/torch/LICENSE"])}
    assert "sboms/awq-kernels.cdx.json" in names
    assert len(names) == len(archive.namelist()) == (25 if UNIVERSAL else 26)


def test_record_lists_every_file_with_its_hash(archive: zipfile.ZipFile) -> None:
    rows = list(csv.reader(info(archive, "RECORD").splitlines()))
    assert [row[0] for row in rows] == archive.namelist()
    for name, digest, size in rows[:-1]:
        data = archive.read(name)
        expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert (digest, size) == (f"sha256={expected}", str(len(data))), name
    assert rows[-1][1:] == ["", ""]


def test_the_archive_is_the_same_whenever_and_wherever_it_is_made(archive: zipfile.ZipFile) -> None:
    for entry in archive.infolist():
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.compress_type == zipfile.ZIP_STORED
        assert entry.external_attr >> 16 == stat.S_IFREG | (0o755 if entry.filename.endswith(".so") else 0o644)
    names = archive.namelist()
    metadata = [name for name in names if ".dist-info/" in name]
    assert names == sorted(set(names) - set(metadata)) + sorted(metadata[:-1]) + metadata[-1:]


def test_name_and_metadata_tell_what_it_fits(archive: zipfile.ZipFile) -> None:
    import torch

    name, version, _, tags = parse_wheel_filename(WHEEL.name)
    [tag] = tags
    metadata = email.message_from_string(info(archive, "METADATA"))
    own = re.search(r'^    version = "([\d.]+)"', pathlib.Path(os.environ["MODULE"]).read_text(), re.MULTILINE)
    release = torch.__version__.split("+")[0]
    assert own and torch.version.cuda
    assert name == metadata["Name"] == "awq-kernels"
    assert str(version) == metadata["Version"]
    required, *extra = metadata.get_all("Requires-Dist", [])
    assert metadata.get_all("Provides-Extra") == ["checkpoint"]
    assert [item.split(";")[1] for item in extra] == [" extra == 'checkpoint'"] * 3
    if UNIVERSAL:
        cuda, _ = json.loads(pathlib.Path(os.environ["CUDA_BUILD"]).read_text())["version"]
        assert metadata["Version"] == own[1] + ("" if cuda == 13 else f"+cu{cuda}")
        assert required == "torch>=2.11"
        assert (tag.interpreter, tag.abi) == ("cp310", "abi3")
        assert f"It needs an NVIDIA driver for CUDA {cuda} or newer." in str(metadata.get_payload())
    else:
        assert metadata["Version"] == f"{own[1]}+torch{release}cu{torch.version.cuda.replace('.', '')}"
        assert required == f"torch=={release}"
        assert tag.interpreter == tag.abi == f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert "@" not in str(metadata.get_payload())
    assert tag in set(sys_tags())
    assert f"Tag: {tag}\n" in info(archive, "WHEEL")


def test_platform_tag_is_of_the_oldest_system_with_all_symbols(archive: zipfile.ZipFile) -> None:
    """The compiler that is fetched makes modules for 2.24 (Debian 9): C++11's strings came to libstdc++ with it."""
    needed = max(
        (int(a), int(b)) for so in extensions(archive).values() for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)", so)
    )
    [tag] = parse_wheel_filename(WHEEL.name)[3]
    system = re.fullmatch(r"manylinux_(\d+)_(\d+)_(x86_64|aarch64)", tag.platform)
    assert system and (int(system[1]), int(system[2])) >= needed
    if os.environ["COMPILER"] == "gcc10":
        assert needed <= (2, 17) and (system[1], system[2]) == ("2", "24")


def test_extensions_hold_no_paths_and_no_debug_information(archive: zipfile.ZipFile) -> None:
    archs = json.loads(pathlib.Path(os.environ["CUDA_BUILD"]).read_text())["archs"].split(";")
    for name, data in extensions(archive).items():
        library = elf.Library(data)
        assert not [s for s in library.sections if "debug" in s or s == ".symtab"], name
        assert library.run_path == ("" if UNIVERSAL else "$ORIGIN/torch/lib:$ORIGIN/../torch/lib")
        assert not [n for n in library.needed if "/" in n or "cudart" in n]
        assert not re.findall(rb"/(?:home|root)/|execroot|/sandbox/|\.cuh?\0", data), name
        assert len(data) < 4e6 * len(archs), f"{name} has {len(data)} bytes"


def test_bill_of_materials(archive: zipfile.ZipFile) -> None:
    document = json.loads(info(archive, r"sboms/awq-kernels\.cdx\.json"))
    parts = {part["name"]: part for part in document["components"]}
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert ({"pybind11", "torch"} & set(parts)) == (set() if UNIVERSAL else {"pybind11", "torch"})
    assert {"nvidia-cuda-runtime", "cuda-toolkit"} & set(parts)
    assert set(document["dependencies"][0]["dependsOn"]) == {part["bom-ref"] for part in parts.values()}
    assert all(re.fullmatch(r"[\d.]+", part["version"]) for part in parts.values())


# ---- installed -------------------------------------------------------------------------------------------------------


def link_tree(source: pathlib.Path, target: pathlib.Path, depth: int) -> None:
    """Links a folder's files, with folders of their own down to a depth: libraries find each other through `..`."""
    target.mkdir(exist_ok=True)
    for entry in source.iterdir():
        if entry.is_dir() and depth:
            link_tree(entry, target / entry.name, depth - 1)
        elif not (target / entry.name).exists():
            (target / entry.name).symlink_to(entry)


class Environment:
    """A virtual environment with the wheel."""

    def __init__(self, folder: pathlib.Path, packages: list[str]) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        [self.site_packages] = folder.glob("lib/python*/site-packages")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.python),
            "install",
            "--no-index",
            "--no-deps",
            "--quiet",
        ]
        subprocess.run([*pip, "--no-cache-dir", str(WHEEL)], check=True, env=self.variables())
        for package in packages:  # with all that lies beside it
            source = next(pathlib.Path(p) for p in sys.path if (pathlib.Path(p) / package / "__init__.py").is_file())
            link_tree(source, self.site_packages, 2)

    @staticmethod
    def variables() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *arguments], capture_output=True, text=True, env={**self.variables(), **variables}
        )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Without PyTorch."""
    return Environment(tmp_path_factory.mktemp("bare") / "venv", [])


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With the locked PyTorch beside the modules."""
    return Environment(tmp_path_factory.mktemp("complete") / "venv", ["torch", "numpy", "pytest"])


def test_modules_import_with_nothing_imported_before(complete: Environment) -> None:
    script = "import awq_inference_engine as e, ft_attention as f; print(e.__file__, f.single_query_attention.__name__)"
    result = complete.run("-c", script)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [
        str(complete.site_packages / "awq_inference_engine" / "__init__.py"),
        "single_query_attention",
    ]


@pytest.mark.skipif(UNIVERSAL, reason="a universal module links to no library of PyTorch")
@pytest.mark.parametrize("module", MODULES)
def test_run_path_leads_to_torch_s_libraries(module: str, complete: Environment) -> None:
    [library] = (complete.site_packages / module).glob("*.so")
    script = (
        "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print('torch' in sys.modules, open('/proc/self/maps').read())"
    )
    result = complete.run("-c", script, str(library))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("False ")
    assert "libtorch_python.so" in result.stdout and "libc10_cuda.so" in result.stdout


def test_tests_pass_against_the_installed_package(complete: Environment) -> None:
    files = [str(TESTS / f"{name}_test.py") for name in ("arguments", "contract", "packing")]
    options = ["-q", "-p", "no:cacheprovider", "-m", "not gpu", "--strict-markers", "-c", os.devnull]
    result = complete.run("-m", "pytest", *options, f"--rootdir={TESTS}", *files)
    passed = re.search(r"(\d+) passed", result.stdout)
    assert result.returncode == 0 and passed, result.stdout[-4000:] + result.stderr
    assert int(passed[1]) > 100 and "failed" not in result.stdout


def pretend_torch(folder: pathlib.Path, version: str, cuda: str | None) -> str:
    """A package that has PyTorch's name and version, and nothing else."""
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(f"from torch import version\n__version__ = {version!r}\n")
    (folder / "torch" / "version.py").write_text(f"cuda = {cuda!r}\n")
    return str(folder)


@pytest.mark.skipif(UNIVERSAL, reason="universal_test.py has the cases of a universal module")
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("version", "cuda", "problem"),
    [
        ("2.10.1+cu130", "13.0", r"found torch 2\.10\.1\+cu130, in .*torch/__init__\.py"),
        ("{release}+cpu", None, r"found torch \S+\+cpu without CUDA, in "),
        ("{release}+cu99", "99.1", r"found torch \S+\+cu99 with CUDA 99\.1, in "),
        ("{release}+{local}", "{cuda}", r"the dynamic loader says: lib\w+\.so: cannot open shared object file"),
    ],
)
def test_another_torch_is_refused_in_words(
    module: str, version: str, cuda: str | None, problem: str, bare: Environment, tmp_path: pathlib.Path
) -> None:
    import torch

    assert torch.version.cuda
    facts = dict(zip(("release", "local"), torch.__version__.split("+")), cuda=torch.version.cuda)
    folder = pretend_torch(tmp_path, version.format(**facts), cuda and cuda.format(**facts))
    result = bare.run("-c", f"import {module}", PYTHONPATH=folder)
    assert result.returncode == 1
    last = result.stderr[result.stderr.rindex("ImportError") :]
    assert re.search(rf"^ImportError: {module} does not fit the installed PyTorch: {problem}", last), last
    assert f"This build of awq-kernels is for torch {facts['release']} with CUDA {facts['cuda']}." in last
    assert f"pip install torch=={facts['release']}" in last


def test_no_torch_is_refused_in_words(bare: Environment) -> None:
    result = bare.run("-c", "import awq_inference_engine")
    words = "needs PyTorch 2.11 or newer with CUDA, and " if UNIVERSAL else "does not fit the installed PyTorch: "
    assert f"{words}there is none." in result.stderr
    assert "During handling" not in result.stderr
