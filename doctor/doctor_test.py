"""The doctor on machines that hold nothing but what a test puts there: every verdict, the exit status, both reports."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import rctx
import rendering
from checkup import PROBLEM, SKIPPED, WARNING, Finding

import doctor
from testing import fakes

LAUNCHER = str(pathlib.Path(os.environ["DOCTOR"]).absolute())
CXX11_SYMBOL = "torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_string"
SETTINGS = {
    "allow_cuda_minor_mismatch",
    "bf16",
    "compiler",
    "cuda",
    "cuda_archs",
    "gpu",
    "python",
    "registered_cuda_version",
    "torch",
}


class Machine:
    """A machine below a folder, and the settings that the doctor is asked about."""

    def __init__(self, folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.bin = folder / "bin"
        self.environment = {"PATH": str(self.bin), "HOME": str(folder / "home")}
        self.settings: dict[str, Any] = {
            "allow_cuda_minor_mismatch": False,
            "bf16": True,
            "cuda": "13.0",
            "compiler": "local",
            "cuda_archs": "",
            "gpu": True,
            "python": "3.11",
            "registered_cuda_version": "",
            "torch": "2.11.0",
        }
        self.bazel = "7.7.1"
        self.processor = platform.machine()
        self.python_is_installed = True
        self.rules_archs = ["70", "75", "80", "86", "89", "90", "90a", "100", "120"]

    def python(self, version: str = "3.11", name: str = "", **facts: Any) -> None:
        fakes.python(self.bin / (name or f"python{version}"), version, **facts)

    def compiler(self, name: str, version: str, cc1plus: str = "/usr/lib/cc1plus") -> None:
        about = f"{'Debian clang' if 'clang' in name else 'gcc (Debian)'} {version}"
        fakes.program(
            self.bin / name,
            f'case "$1" in -dump*) echo {version} ;; -print*) echo {cc1plus} ;; *) echo "{about}" ;; esac',
        )

    def toolkit(self, name: str, version: str) -> str:
        return fakes.toolkit(self.folder / name, version)

    def torch(self, name: str, version: str, cuda: str, symbol: str = CXX11_SYMBOL) -> str:
        return fakes.torch(self.folder / name, version, cuda or None, symbol)

    def gpus(self, driver: str, cuda: str, *lines: str) -> None:
        listed = "\\n".join(lines)
        banner = f"| NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda} |"
        fakes.program(self.bin / "nvidia-smi", f"if [ $# -gt 0 ]; then printf '{listed}\\n'; else echo '{banner}'; fi")

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit status and what was printed."""
        information = {
            "bazel_version": self.bazel,
            "environment": self.environment,
            "processor": self.processor,
            "python_is_installed": self.python_is_installed,
            "rules_archs": self.rules_archs,
            "settings": self.settings,
        }
        path = self.folder / "settings.json"
        path.write_text(json.dumps(information), encoding="utf-8")
        status = doctor.main([f"--settings={path}", *arguments])
        return status, self._capsys.readouterr().out

    def check(self, name: str, verdict: str, *words: str) -> dict[str, Any]:
        """Runs it and asserts the verdict and words of one check, and that problems alone decide the exit status."""
        status, printed = self.run("--json")
        answer = json.loads(printed)
        found: dict[str, Any] = next(check for check in answer["checks"] if check["name"] == name)
        text = json.dumps(found, ensure_ascii=False)
        assert found["verdict"] == verdict, text
        for word in words:
            assert word in text
        problems = [check["name"] for check in answer["checks"] if check["verdict"] == PROBLEM]
        assert (status, answer["works"]) == ((1, False) if problems else (0, True))
        assert (name in problems) == (verdict == PROBLEM)
        assert (found["problem"] is not None) == (verdict in (PROBLEM, WARNING))
        return found


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Machine:
    """A machine on which a build with the default settings would work; nothing outside its folder exists."""

    def exists(path: rctx.Path) -> bool:
        return str(path).startswith(str(tmp_path)) and os.path.exists(str(path))

    monkeypatch.setattr(rctx.Path, "exists", property(exists))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50e9))
    machine = Machine(tmp_path, capsys)
    machine.python()
    machine.compiler("gcc", "12.2.0")
    return machine


def test_a_build_would_work(machine: Machine) -> None:
    status, printed = machine.run("--json")
    answer = json.loads(printed)
    verdicts = {check["name"]: check["verdict"] for check in answer["checks"]}
    skipped = {"installed_torch", "driver", "gpus"}
    assert verdicts == {name: SKIPPED if name in skipped else "ok" for name in verdicts}
    assert (status, answer["schema"], answer["works"], answer["settings"]) == (0, 1, True, machine.settings)


# ---- tools -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["6.5.0", "7.6.2", "10.0.0"])
def test_bazel_of_another_version(machine: Machine, version: str) -> None:
    machine.bazel = version
    machine.check("bazel", WARNING, f"Bazel {version}", "7.7 or newer, 8 or 9", ".bazelversion", "./bazelw")


@pytest.mark.parametrize("version", ["7.7.1", "7.10.0", "8.8.0", "9.2.0rc1"])
def test_supported_bazel(machine: Machine, version: str) -> None:
    machine.bazel = version
    machine.check("bazel", "ok")


def test_no_python(machine: Machine) -> None:
    machine.python(name="python3")
    machine.settings["python"] = "3.12"
    machine.check("python", PROBLEM, "Python 3.12 with its C headers", "is Python 3.11", "--//config:python=3.11")
    (machine.bin / "python3.11").unlink()
    (machine.bin / "python3").unlink()
    machine.check("python", PROBLEM, "no python3.12 and no python3", "python3.12-dev")


def test_python_without_headers(machine: Machine) -> None:
    machine.python("3.12", headers=False)
    machine.settings["python"] = "3.12"
    machine.check("python", PROBLEM, "has no Python.h in ", "include-python3.12")


def test_headers_from_debian(machine: Machine) -> None:
    machine.python(headers=False)
    machine.check("python", "ok", "bin/python3.11, headers from Debian")


def test_python_from_debian(machine: Machine) -> None:
    machine.settings["python"] = "3.13"
    machine.check("python", "ok", "3.13 from Debian's packages")


@pytest.mark.parametrize(
    "facts", [{"abi": "312t"}, {"abi": "312d"}, {"implementation": "pypy"}], ids=["free-threaded", "debug", "PyPy"]
)
def test_python_with_another_abi(machine: Machine, facts: dict[str, str]) -> None:
    machine.python("3.12", **facts)
    machine.settings["python"] = "3.12"
    machine.check("python", PROBLEM, *facts.values())
    machine.python("3.12", name="python3")
    machine.check("python", "ok", "bin/python3")


def test_environment_comes_before_a_python_of_that_name(machine: Machine) -> None:
    machine.python("3.12")
    fakes.python(machine.folder / "venv/bin/python3", "3.12")
    machine.environment["PATH"] = f"{machine.folder}/venv/bin:{machine.bin}"
    machine.settings["python"] = "3.12"
    machine.check("python", "ok", "venv/bin/python3,")


def test_python_that_the_build_brings(machine: Machine) -> None:
    machine.settings["python"] = "3.12"
    machine.python_is_installed = False
    machine.check("python", "ok", "rules_python")


def test_no_pip_for_what_a_build_fetches(machine: Machine) -> None:
    machine.python(pip=False)
    machine.check("pip", PROBLEM, "no Python with pip", "CUDA 13.0, PyTorch 2.11.0", "has no pip")


def test_pip_of_a_python_that_nobody_knows_of_yet(machine: Machine) -> None:
    machine.python(pip=False)
    machine.python("3.27", name="python3.27", pip=True)
    machine.check("pip", "ok", "bin/python3.27")


def test_pip_of_a_python_that_is_too_old(machine: Machine) -> None:
    (machine.bin / "python3.11").unlink()
    machine.python("3.8", name="python3")
    machine.check("pip", PROBLEM, "is Python 3.8")


def test_no_pip_where_only_tests_want_it(machine: Machine) -> None:
    machine.python(pip=False, torch=machine.torch("site", "2.6.0+cu124", "12.4"))
    machine.settings |= {"cuda": "12.4", "torch": "local"}
    machine.check("pip", WARNING, "test packages")


# ---- CUDA ------------------------------------------------------------------------------------------------------------


def test_cuda_home_is_not_set(machine: Machine) -> None:
    machine.settings["cuda"] = "local"
    machine.check("cuda", PROBLEM, "CUDA_HOME is not set", "--repo_env=CUDA_HOME=")
    machine.check("host_compiler", SKIPPED)
    machine.check("pairing", SKIPPED, "no CUDA toolkit")
    machine.check("archs", SKIPPED)


def test_cuda_home_is_no_folder(machine: Machine) -> None:
    machine.settings["cuda"] = "local"
    machine.environment["CUDA_HOME"] = "/nowhere"
    machine.check("cuda", PROBLEM, "CUDA_HOME=/nowhere, which is no folder")


def test_toolkit_without_nvcc(machine: Machine) -> None:
    machine.settings["cuda"] = "local"
    machine.environment["CUDA_HOME"] = str(machine.folder)
    machine.check("cuda", PROBLEM, "nvcc is missing", "'devel'")


def test_nvcc_does_not_run(machine: Machine) -> None:
    machine.settings["cuda"] = "local"
    machine.environment["CUDA_PATH"] = machine.toolkit("cuda", "13.0")
    fakes.program(machine.folder / "cuda/bin/nvcc", "echo 'exec format error' >&2; exit 126")
    machine.check("cuda", PROBLEM, "nvcc does not run", "exec format error")


def test_toolkit_that_is_too_old(machine: Machine) -> None:
    machine.settings["cuda"] = "local"
    machine.environment["CUDA_HOME"] = machine.toolkit("cuda", "10.2")
    machine.check("cuda", PROBLEM, "too old", "CUDA 10.2", "CUDA 11.2 or newer is required")


@pytest.mark.parametrize("missing", fakes.TOOLKIT_FILES)
def test_incomplete_toolkit(machine: Machine, missing: str) -> None:
    machine.settings["cuda"] = "local"
    machine.environment["CUDA_HOME"] = machine.toolkit("cuda", "13.0")
    (machine.folder / "cuda" / missing).unlink()
    machine.check("cuda", PROBLEM, "incomplete", missing.replace("lib64", "lib"))


def test_installed_toolkit(machine: Machine) -> None:
    machine.settings["cuda"] = "local"
    machine.environment["CUDA_HOME"] = machine.toolkit("cuda", "13.0")
    found = machine.check("cuda", "ok", "13.0, CUDA_HOME=")
    assert found["facts"]["version"] == "13.0"


@pytest.mark.parametrize(("torch", "cuda"), [("2.11.0", "13.0"), ("2.6.0", "12.4")])
def test_the_toolkit_follows_pytorch(machine: Machine, torch: str, cuda: str) -> None:
    machine.settings |= {"cuda": "auto", "torch": torch}
    machine.check("cuda", "ok", f"{cuda}, the toolkit the build brings along")


def test_toolkits_that_are_not_used_are_named(machine: Machine) -> None:
    machine.environment["CUDA_HOME"] = machine.toolkit("cuda", "12.4")
    fakes.program(machine.bin / "nvcc", 'echo "Cuda compilation tools, release 11.5, V11.5.119"')
    found = machine.check("cuda", "ok", "13.0, the toolkit the build brings along")
    assert found["notes"] == [
        f"CUDA_HOME={machine.folder}/cuda: CUDA 12.4; not used without --//config:cuda=local",
        f"nvcc on PATH: {machine.bin}/nvcc, CUDA 11.5; not used, PATH chooses nothing",
    ]


def test_registered_toolkit(machine: Machine) -> None:
    machine.settings["cuda"] = "registered"
    machine.check("cuda", PROBLEM, "CUDA version is not stated", "--//config:registered_cuda_version=")
    machine.settings["registered_cuda_version"] = "10.2"
    machine.check("cuda", PROBLEM, "too old")
    machine.settings["registered_cuda_version"] = "13.0"
    machine.check("cuda", "ok", "13.0, the toolchain that the workspace registers")


def test_no_compiler(machine: Machine) -> None:
    (machine.bin / "gcc").unlink()
    machine.check("host_compiler", PROBLEM, "no host compiler", "no gcc on PATH")


def test_cc_names_nothing(machine: Machine) -> None:
    machine.environment["CC"] = "gcc-99"
    machine.check("host_compiler", PROBLEM, "CC=gcc-99")


def test_gcc_without_cxx(machine: Machine) -> None:
    machine.compiler("gcc", "12.2.0", cc1plus="cc1plus")
    machine.check("host_compiler", PROBLEM, "without C++", "apt-get install g++-12")


def test_compiler_that_is_too_new(machine: Machine) -> None:
    machine.compiler("gcc", "16.1.0")
    machine.compiler("gcc-15", "15.1.0")
    machine.compiler("clang-18", "18.1.3")
    machine.check("host_compiler", PROBLEM, "too new", "gcc 9 to 15 with CUDA 13.0", "also here: clang-18 18.1.3")
    machine.environment["CC"] = "gcc-15"
    machine.check("host_compiler", "ok", "gcc 15.1.0", "9 to 15")


def test_clang(machine: Machine) -> None:
    machine.compiler("clang", "20.1.0")
    machine.environment["CC"] = str(machine.bin / "clang")
    found = machine.check("host_compiler", "ok", "clang 20.1.0")
    assert (found["facts"]["kind"], found["facts"]["newest"]) == ("clang", 20)


def test_fetched_compiler(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (machine.bin / "gcc").unlink()
    machine.settings["compiler"] = "gcc10"
    found = machine.check("host_compiler", "ok", "gcc 10.2.1, which the build brings along; CUDA 13.0 takes 9 to 15")
    assert found["facts"]["path"] is None


def test_compiler_for_another_processor(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (machine.bin / "gcc").unlink()
    machine.processor = "aarch64"
    machine.check("host_compiler", "ok", "which the build brings along")


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


def test_no_wheel_for_the_python(machine: Machine) -> None:
    machine.python("3.13")
    machine.settings |= {"python": "3.13", "torch": "2.3.0", "cuda": "12.1"}
    machine.check("torch", PROBLEM, "no wheel for Python 3.13")


def test_different_cuda_in_both(machine: Machine) -> None:
    machine.settings["cuda"] = "12.4"
    machine.check("pairing", PROBLEM, "major version", "CUDA 12.4", "--//config:cuda=13.0", "--//config:torch=2.6.0")


def test_minor_difference(machine: Machine) -> None:
    machine.settings |= {"cuda": "12.4", "torch": "2.3.0"}
    machine.check("pairing", PROBLEM, "minor version", "allow_cuda_minor_mismatch")
    machine.settings["allow_cuda_minor_mismatch"] = True
    machine.check("pairing", WARNING, "minor version")


def test_pytorch_to_build_for_is_not_installed(machine: Machine) -> None:
    machine.settings["torch"] = "local"
    machine.check("torch", PROBLEM, "PyTorch is not installed", "has no torch")
    machine.environment["AWQ_TORCH_PATH"] = "/nowhere"
    machine.check("torch", PROBLEM, "no torch/version.py in AWQ_TORCH_PATH=/nowhere")


@pytest.mark.parametrize(
    ("symbol", "abi"), [(CXX11_SYMBOL, "1"), ("torchCheckFailEPKcS2_jRKSs", "0")], ids=["C++11", "old"]
)
def test_installed_pytorch(machine: Machine, symbol: str, abi: str) -> None:
    machine.python(torch=machine.torch("site", "2.9.1+cu130", "13.0", symbol))
    machine.settings["torch"] = "local"
    found = machine.check("torch", "ok", "2.9.1+cu130", "built with CUDA 13.0")
    assert found["facts"]["cxx11_abi"] == abi
    machine.check("pairing", "ok")


@pytest.mark.parametrize(
    ("version", "cuda", "words"),
    [("1.13.1", "11.7", "PyTorch is too old"), ("2.11.0+cpu", "", "PyTorch is built without CUDA")],
)
def test_pytorch_that_will_not_do(machine: Machine, version: str, cuda: str, words: str) -> None:
    machine.environment["AWQ_TORCH_PATH"] = machine.torch("site", version, cuda)
    machine.settings["torch"] = "local"
    machine.check("torch", PROBLEM, words, "AWQ_TORCH_PATH=")


def test_pytorch_without_its_library(machine: Machine) -> None:
    machine.environment["AWQ_TORCH_PATH"] = machine.torch("site", "2.11.0", "13.0")
    (machine.folder / "site/torch/lib/libc10.so").unlink()
    machine.settings["torch"] = "local"
    machine.check("torch", PROBLEM, "incomplete", "libc10.so")


def test_pytorch_to_import(machine: Machine) -> None:
    machine.python(torch=machine.torch("site", "2.11.0+cu130", "13.0"))
    machine.check("installed_torch", "ok", "2.11.0+cu130")
    machine.torch("site", "2.6.0+cu124", "12.4")
    machine.check("installed_torch", WARNING, "undefined symbol", "--//config:torch=2.6.0 --//config:cuda=12.4")


# ---- GPUs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuda", ["13.0", "local"])
def test_architectures_that_cannot_be_read(machine: Machine, cuda: str) -> None:
    machine.settings["cuda"] = cuda
    machine.environment["TORCH_CUDA_ARCH_LIST"] = "8.0;Hoper"
    machine.check("archs", PROBLEM, "cannot be read", "TORCH_CUDA_ARCH_LIST=8.0;Hoper")


def test_architectures_that_the_toolkit_lacks(machine: Machine) -> None:
    machine.settings["cuda_archs"] = "7.0"
    machine.check("archs", PROBLEM, "cannot build architecture 70", "--//config:cuda_archs=70")


def test_architectures_that_the_rules_lack(machine: Machine) -> None:
    machine.settings["cuda_archs"] = "8.0,11.0"
    machine.check("archs", PROBLEM, "rules_cuda does not know architecture 110", "--//config:cuda_archs=80;110")
    machine.rules_archs.append("110")
    machine.check("archs", "ok")


def test_bfloat16_without_a_gpu_that_has_it(machine: Machine) -> None:
    machine.settings["cuda_archs"] = "7.5"
    machine.check("archs", PROBLEM, "bfloat16")
    machine.settings["bf16"] = False
    machine.check("archs", "ok", "75 (--//config:cuda_archs), bfloat16 off")


def test_gpus_that_run_the_build(machine: Machine) -> None:
    machine.gpus("580.65.06", "13.0", "NVIDIA A100-SXM4-80GB, 8.0", "NVIDIA A100-SXM4-80GB, 8.0", "NVIDIA L4, 8.9")
    machine.check("driver", "ok", "580.65.06, for CUDA up to 13.0")
    found = machine.check("gpus", "ok", "2 x NVIDIA A100-SXM4-80GB (8.0), NVIDIA L4 (8.9)")
    assert [gpu["arch"] for gpu in found["facts"]["gpus"]] == ["80", "80", "89"]


def test_gpu_without_code(machine: Machine) -> None:
    machine.gpus("580.65.06", "13.0", "Tesla T4, 7.5")
    machine.check(
        "gpus", WARNING, "no code for the GPU's architecture 7.5", '--//config:cuda_archs=\\"80;90+PTX;7.5\\"'
    )


def test_gpu_with_ptx(machine: Machine) -> None:
    machine.gpus("580.65.06", "13.0", "NVIDIA GeForce RTX 5090, 12.0")
    machine.check("gpus", "ok", "PTX only")
    machine.settings |= {"cuda": "12.4", "torch": "2.6.0"}
    machine.gpus("535.161.08", "12.2", "NVIDIA GeForce RTX 5090, 12.0")
    machine.check("gpus", WARNING, "the driver cannot compile this toolkit's PTX for 12.0")


def test_driver_that_is_too_old(machine: Machine) -> None:
    machine.gpus("550.54.15", "12.4", "NVIDIA H100, 9.0")
    machine.check("driver", WARNING, "too old to run code for CUDA 13", "--//config:torch=2.6.0 --//config:cuda=12.4")


def test_driver_that_is_not_loaded(machine: Machine) -> None:
    fakes.program(
        machine.bin / "nvidia-smi", "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18"
    )
    machine.check("driver", WARNING, "version mismatch", "reboot")
    machine.check("gpus", SKIPPED)


def test_nvidia_smi_that_does_not_know_architectures(machine: Machine) -> None:
    machine.gpus("450.80.02", "13.0", 'Field "compute_cap" is not a valid field to query.')
    machine.check("gpus", SKIPPED, "names no GPU with its architecture")


def test_gpu_that_bazel_does_not_know_of(machine: Machine) -> None:
    machine.gpus("580.65.06", "13.0", "NVIDIA H200, 9.0")
    machine.settings["gpu"] = False
    machine.check("gpus", "ok", "./bazelw shutdown")


# ---- the machine and the reports -------------------------------------------------------------------------------------


def test_little_space(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e9))
    machine.check("machine", WARNING, "1.0 GB free")


def test_other_processor(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "ppc64le")
    machine.check("machine", PROBLEM, "Linux on ppc64le", "x86_64 or aarch64")


def test_text_has_problem_and_cure(machine: Machine) -> None:
    machine.settings["cuda"] = "local"
    status, printed = machine.run()
    assert status == 1
    assert re.search(
        r"^problem  CUDA toolkit +CUDA_HOME is not set\n +found: .*\n +expected: .*\n +cure: ", printed, re.M
    )
    assert "--//config:cuda=local" in printed.splitlines()[0]
    assert printed.endswith("A build would fail: 1 problem, 0 warnings, 6 skipped.\n")
    assert "\033" not in printed


def test_text_of_a_build_that_would_work(machine: Machine) -> None:
    status, printed = machine.run()
    assert (status, printed.splitlines()[-1]) == (0, "A build would work: 0 problems, 0 warnings, 3 skipped.")


@pytest.mark.parametrize("width", [60, 100])
def test_lines_fit_the_terminal(width: int) -> None:
    finding = Finding("cuda", "CUDA toolkit", "ok", "a word " * 40, notes=["and another " * 20])
    text = rendering.as_text([finding], {"cuda": "13.0"}, width=width, colour=False)
    assert max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_colour(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert ("\033[32mok" in machine.run()[1]) == coloured


# ---- the launcher ----------------------------------------------------------------------------------------------------


def _launch(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path}
    return subprocess.run([LAUNCHER, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_launcher_takes_the_first_python_that_will_do(machine: Machine) -> None:
    fakes.program(machine.bin / "python3", "exit 1")
    (machine.bin / "python3.11").unlink()
    (machine.bin / "python3.10").symlink_to(sys.executable)
    result = _launch(str(machine.bin), "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "./bazelw run --config=torch2.6 //:doctor" in result.stdout


def test_launcher_hands_over_the_settings() -> None:
    answer = json.loads(_launch(os.environ["PATH"], "--json").stdout)
    assert set(answer["settings"]) == SETTINGS
