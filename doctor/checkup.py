"""The checks: what the machine has, and what a build with the selected settings would make of it.

Tables, checks, messages and searches are the build's own .bzl files. Here stands only what concerns those who run the
modules (drivers, GPUs, installed packages), and what no rule looks at (space, Bazel itself).
"""

from __future__ import annotations

import os
import pathlib
import platform
import re
import shutil
from dataclasses import dataclass, field
from typing import Any

from rctx import RepositoryContext
from starlark import Workspace

OK = "ok"
WARNING = "warning"  # a build would work, but see
PROBLEM = "problem"  # a build would fail
SKIPPED = "skipped"  # could not be checked, or does not apply

# A build's downloads take 1.5 GB when unpacked (torch 2.11.0, CUDA 13.0), and the wheels lie beside that meanwhile.
_BUILD_BYTES = 3e9


@dataclass
class Finding:
    """What one check found."""

    name: str  # for machines
    title: str  # for readers
    verdict: str
    summary: str
    notes: list[str] = field(default_factory=list)
    problem: Any = None  # title, found, expected and cure, of a problem or warning
    facts: dict[str, Any] = field(default_factory=dict)


def _runnable(rctx: RepositoryContext, name: str) -> str:
    path = rctx.which(name)
    return str(path) if path else ""


def _version_text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


class Checkup:
    """Runs the checks in an order in which later ones know what earlier ones found."""

    def __init__(self, root: pathlib.Path, information: dict[str, Any], output_folder: pathlib.Path) -> None:
        """Takes the workspace's folder, what `selected_settings` wrote down, and a folder among Bazel's outputs."""
        workspace = Workspace(root)
        self._checks = workspace.load("//bazel/lib:checks.bzl")
        self._problems = workspace.load("//bazel/lib:problems.bzl")
        self._archs = workspace.load("//bazel/lib:arch_list.bzl")
        self._cuda = workspace.load("//bazel/lib:cuda_versions.bzl")
        self._versions = workspace.load("//third_party:versions.bzl")
        self._offers = self._versions["OFFERS"]
        self._compilers = workspace.load("//bazel/lib:compilers.bzl")
        self._interpreters = workspace.load("//bazel/lib:interpreters.bzl")
        self._toolkits = workspace.load("//bazel/lib:installed_toolkit.bzl")
        self._torch = workspace.load("//bazel/lib:installed_torch.bzl")

        self._wanted_bazel = (root / ".bazelversion").read_text(encoding="utf-8").strip()
        self._information = information
        self._output_folder = output_folder
        self._settings = information["settings"]
        self._environment = information["environment"]
        self._rctx = RepositoryContext(self._environment)

        # What later checks need; None where that is not known.
        self._toolkit: tuple[tuple[int, int], str] | None = None  # version, where
        self._selected_torch: tuple[str, str, str] | None = None  # version, CUDA version, where
        self._selected_archs: list[Any] | None = None
        self._driver_cuda: tuple[int, int] | None = None

    def run(self) -> list[Finding]:
        """All findings."""
        return [
            self._bazel(),
            self._python(),
            self._pip(),
            self._cuda_toolkit(),
            self._host_compiler(),
            self._pytorch(),
            self._pairing(),
            self._installed_pytorch(),
            self._architectures(),
            self._driver(),
            self._gpus(),
            self._machine(),
        ]

    # ---- tools ------------------------------------------------------------------------------------------------------

    def _bazel(self) -> Finding:
        version = self._information["bazel_version"]
        finding = Finding("bazel", "Bazel", OK, version or "a development version", facts={"version": version})
        if version and not re.match(r"7\.([7-9]|\d\d)|[89]\.", version):
            finding.verdict = WARNING
            finding.problem = self._problems["problem"](
                title="Bazel is of a version that this project does not support",
                found=f"Bazel {version}",
                expected=f"Bazel 7.7 or newer, 8 or 9 (.bazelversion names {self._wanted_bazel})",
                cure="./bazelw, which takes bazelisk or another Bazel, or makes one",
            )
        return finding

    def _python(self) -> Finding:
        version = self._settings["python"]
        finding = Finding("python", "Python", OK, "", facts={"version": version, "interpreter": None})
        if not self._information["python_is_installed"]:
            finding.summary = f"{version}, which rules_python brings along"
            return finding
        from_debian = version in self._versions["DEBIAN_PYTHONS"]
        interpreter, reasons = self._interpreters["find_interpreter"](
            self._rctx, version, [] if from_debian else ["headers"]
        )
        if not interpreter and from_debian:
            finding.summary = f"{version} from Debian's packages, which the build brings along"
            return finding
        if not interpreter:
            cures = self._interpreters["python_cures"](self._rctx, version)
            return self._refuse(finding, self._problems["no_python"](version, reasons, cures))
        headers = interpreter.include if interpreter.has_headers else None
        finding.summary = f"{version}, {interpreter.path}, headers {f'in {headers}' if headers else 'from Debian'}"
        finding.facts |= {"interpreter": interpreter.path, "headers": headers}
        return finding

    def _pip(self) -> Finding:
        finding = Finding("pip", "pip", OK, "", facts={"interpreter": None})
        cuda = self._cuda_in_use()
        needed = []
        if hasattr(self._versions["CUDA_TOOLKITS"].get(cuda), "lock"):
            needed.append("CUDA " + cuda)
        if self._settings["torch"] != "local":
            needed.append("PyTorch " + self._settings["torch"])
        interpreter, reasons = self._interpreters["find_pip"](self._rctx)
        if interpreter:
            finding.summary = f"of {interpreter}, fetches {', '.join([*needed, 'test packages'])}"
            finding.facts["interpreter"] = interpreter
            return finding
        problem = self._problems["no_pip"](", ".join(needed or ["test packages"]), reasons)
        return self._refuse(finding, problem, PROBLEM if needed else WARNING)

    # ---- CUDA -------------------------------------------------------------------------------------------------------

    def _cuda_in_use(self) -> str:
        """The value of --//config:cuda, with `auto` replaced by what PyTorch is built with."""
        choice: str = self._settings["cuda"]
        if choice != "auto":
            return choice
        release = self._versions["TORCH_RELEASES"].get(self._settings["torch"])
        if release:
            cuda = release.cuda
        else:
            folder, _, _ = self._torch["find_torch"](self._rctx, self._settings["python"])
            cuda = self._facts_of(folder).cuda if folder else ""
        toolkit: str = self._checks["toolkit_of_torch"](cuda, self._offers)
        return toolkit

    def _cuda_toolkit(self) -> Finding:
        choice = self._cuda_in_use()
        finding = Finding("cuda", "CUDA toolkit", OK, "", notes=self._toolkits_here(), facts={"setting": choice})
        if choice == "registered":
            stated = self._settings["registered_cuda_version"]
            problem = self._checks["check_registered_version"](stated)
            problem = problem or self._checks["check_toolkit"](
                self._cuda["parse_version"](stated), self._problems["REGISTERED_TOOLKIT"], self._offers
            )
            if problem:
                return self._refuse(finding, problem)
            self._toolkit = self._cuda["parse_version"](stated), self._problems["REGISTERED_TOOLKIT"]
        elif choice == "local":
            toolkit, problem = self._toolkits["find_toolkit"](self._rctx, self._offers)
            if problem:
                return self._refuse(finding, problem)
            self._toolkit = toolkit.version, toolkit.where
        else:
            self._toolkit = self._cuda["parse_version"](choice), self._problems["FETCHED_TOOLKIT"]
        version, where = self._toolkit
        finding.summary = f"{_version_text(version)}, {where}"
        finding.facts |= {"version": _version_text(version), "where": where}
        return finding

    def _toolkits_here(self) -> list[str]:
        """The machine's toolkits besides the selected one."""
        homes = {name: self._environment[name] for name in ("CUDA_HOME", "CUDA_PATH") if self._environment.get(name)}
        usual = self._toolkits["USUAL_PLACE"]
        if self._rctx.path(usual).exists and os.path.realpath(usual) not in map(os.path.realpath, homes.values()):
            homes[""] = usual
        local = self._settings["cuda"] == "local"
        if local:
            homes.pop("CUDA_HOME" if "CUDA_HOME" in homes else "CUDA_PATH", None)  # the selected one
        notes = []
        for source, home in homes.items():
            toolkit, problem = self._toolkits["find_toolkit"](
                RepositoryContext({**self._environment, "CUDA_HOME": home}), self._offers
            )
            what = problem.title if problem else f"CUDA {_version_text(toolkit.version)}"
            note = f"{source}={home}: {what}" if source else f"{home}: {what}"
            notes.append(
                note + ("; not used unless CUDA_HOME names it" if local else "; not used without --//config:cuda=local")
            )
        nvcc = _runnable(self._rctx, "nvcc")
        if nvcc:
            version = self._cuda["nvcc_version"](self._rctx.execute([nvcc, "--version"]).stdout)
            what = f"CUDA {_version_text(version)}" if version else "does not run"
            notes.append(f"nvcc on PATH: {nvcc}, {what}; not used, PATH chooses nothing")
        return notes

    def _host_compiler(self) -> Finding:
        # The machine's is for the machine itself alone.
        for_another = self._information["processor"] not in ("", platform.machine())
        if platform.machine() == "x86_64" and (for_another or self._settings["compiler"] != "local"):
            return self._fetched_compiler()
        finding = Finding("host_compiler", "C++ compiler", OK, "", notes=self._compilers_here())
        name = self._compilers["host_compiler_name"](self._rctx)
        compiler = self._compilers["ask_compiler"](self._rctx, name)
        if not compiler:
            cc = self._environment.get("CC")
            return self._refuse(
                finding,
                self._problems["problem"](
                    title="there is no host compiler",
                    found=f"CC={cc}, which is not there or does not run" if cc else "no gcc on PATH, and CC is not set",
                    expected="gcc or clang with C++17",
                    cure="install one (Debian, Ubuntu: apt-get install g++), or name it: --repo_env=CC=/path/to/gcc",
                ),
            )
        finding.facts = dict(compiler)
        finding.summary = f"{compiler['kind']} {compiler['version']}, {compiler['path']}"
        if compiler["kind"] == "gcc":
            # Without it gcc compiles C only.
            part = self._rctx.execute([compiler["path"], "-print-prog-name=cc1plus"])
            if part.return_code == 0 and part.stdout.strip() == "cc1plus":
                return self._refuse(
                    finding,
                    self._problems["problem"](
                        title="gcc is installed without C++",
                        found=f"{compiler['path']} has no cc1plus",
                        expected="a gcc that compiles C++",
                        cure=f"Debian, Ubuntu: apt-get install g++-{compiler['version'].split('.')[0]}",
                    ),
                )
        if not self._toolkit:
            finding.verdict = SKIPPED
            finding.summary += " (whether it fits is not known: no CUDA toolkit)"
            return finding
        return self._check_compiler(finding, self._toolkit[0])

    def _fetched_compiler(self) -> Finding:
        version = self._versions["GCC_VERSION"]
        finding = Finding("host_compiler", "C++ compiler", OK, f"gcc {version}, which the build brings along")
        finding.facts = {"kind": "gcc", "path": None, "version": version}
        if self._toolkit:
            self._check_compiler(finding, self._toolkit[0])
        return finding

    def _check_compiler(self, finding: Finding, cuda: tuple[int, int]) -> Finding:
        kind, version, path = (finding.facts[fact] for fact in ("kind", "version", "path"))
        problem = self._checks["check_host_compiler"](kind, version, path, cuda)
        if problem:
            return self._refuse(finding, problem)
        oldest, newest = self._cuda["host_compiler_range"](kind, cuda)
        finding.summary += f"; CUDA {_version_text(cuda)} takes {oldest} to {newest}"
        finding.facts |= {"oldest": oldest, "newest": newest}
        return finding

    def _compilers_here(self) -> list[str]:
        """The compilers that are not used."""
        seen = {os.path.realpath(_runnable(self._rctx, self._compilers["host_compiler_name"](self._rctx)))}
        versions = range(9, 31)
        names = ["gcc", "g++", "clang", *[f"{kind}-{version}" for kind in ("g++", "clang") for version in versions]]
        found = []
        for name in names:
            path = _runnable(self._rctx, name)
            if not path or os.path.realpath(path) in seen:
                continue
            seen.add(os.path.realpath(path))
            if compiler := self._compilers["ask_compiler"](self._rctx, name):
                found.append(f"{name} {compiler['version']}")
        return ["also here: " + ", ".join(found)] if found else []

    # ---- PyTorch ----------------------------------------------------------------------------------------------------

    def _pytorch(self) -> Finding:
        choice, python = self._settings["torch"], self._settings["python"]
        finding = Finding("torch", "PyTorch", OK, "", facts={"setting": choice})
        if choice == "local":
            return self._local_pytorch(finding, python)
        release = self._versions["TORCH_RELEASES"][choice]
        if python not in release.pythons:
            return self._refuse(finding, self._checks["no_torch_for_python"](choice, python, self._offers))
        self._selected_torch = choice, release.cuda, self._problems["FETCHED_TORCH"]
        finding.summary = (
            f"{choice} for Python {python}, built with CUDA {release.cuda}, {self._problems['FETCHED_TORCH']}"
        )
        finding.facts |= {"version": choice, "cuda": release.cuda, "where": self._problems["FETCHED_TORCH"]}
        return finding

    def _local_pytorch(self, finding: Finding, python: str) -> Finding:
        folder, its_python, where = self._torch["find_torch"](self._rctx, python)
        if not folder:
            return self._refuse(finding, self._checks["no_torch"](where, self._offers))
        facts = self._facts_of(folder)
        finding.facts |= {"version": facts.version, "cuda": facts.cuda, "where": where}
        problem = self._checks["check_torch"](facts.version, facts.cuda, where, self._offers)
        problem = problem or self._checks["check_torch_python"](its_python, python, where)
        if problem:
            return self._refuse(finding, problem)
        abi, error = self._torch["cxx11_abi"](self._rctx, f"{folder}/torch/lib/libc10.so")
        if error:
            return self._refuse(
                finding,
                self._problems["problem"](
                    title="PyTorch is incomplete",
                    found=error,
                    expected="PyTorch with its libraries",
                    cure="install PyTorch anew",
                ),
            )
        self._selected_torch = facts.version, facts.cuda, where
        finding.facts["cxx11_abi"] = abi
        finding.summary = (
            f"{facts.version}, built with CUDA {facts.cuda} and the {'C++11' if abi == '1' else 'old'} ABI, {where}"
        )
        return finding

    def _facts_of(self, folder: str) -> Any:
        """Version and CUDA version of the PyTorch in a folder."""
        text = pathlib.Path(folder, "torch", "version.py").read_text(encoding="utf-8", errors="replace")
        return self._torch["torch_facts"](text)

    def _pairing(self) -> Finding:
        finding = Finding("pairing", "CUDA in both", OK, "")
        if not self._toolkit or not self._selected_torch:
            finding.verdict = SKIPPED
            finding.summary = f"no {'PyTorch' if self._toolkit else 'CUDA toolkit'} to compare"
            return finding
        problem, warning = self._checks["check_pairing"](
            *self._toolkit, *self._selected_torch, self._settings["allow_cuda_minor_mismatch"], self._offers
        )
        if problem or warning:
            return self._refuse(finding, problem or warning, PROBLEM if problem else WARNING)
        finding.summary = f"toolkit and PyTorch have CUDA {self._selected_torch[1]}"
        return finding

    def _installed_pytorch(self) -> Finding:
        """The modules import the PyTorch that is installed, so it has to be the one they were built for."""
        choice, python = self._settings["torch"], self._settings["python"]
        finding = Finding("installed_torch", "PyTorch to import", OK, "", facts={"version": None})
        if choice == "local":
            finding.verdict = SKIPPED
            finding.summary = "the installed one is the one that is built for"
            return finding
        folder, _, where = self._torch["find_torch"](self._rctx, python)
        if not folder:
            finding.verdict = SKIPPED
            finding.summary = f"none here; where the modules are imported, torch {choice} has to be installed"
            return finding
        version = self._facts_of(folder).version
        finding.facts |= {"version": version, "where": where}
        finding.summary = f"{version}, {where}"
        if version.split("+")[0] != choice:
            cures = [
                f"install torch {choice} where the modules are imported",
                "--//config:torch=local to build for the installed one",
            ]
            releases = self._versions["TORCH_RELEASES"]
            if version.split("+")[0] in releases:
                known = version.split("+")[0]
                cures.append(f"--//config:torch={known} --//config:cuda={releases[known].cuda}")
            problem = self._problems["problem"](
                title="the installed PyTorch is not the one that is built for",
                found=f"PyTorch {version} ({where})",
                expected=f"PyTorch {choice}: with another one the modules fail at import, often by an undefined symbol",
                cure="one of\n" + "\n".join(cures),
            )
            return self._refuse(finding, problem, WARNING)
        return finding

    # ---- GPUs -------------------------------------------------------------------------------------------------------

    def _architectures(self) -> Finding:
        setting, environment = self._settings["cuda_archs"], self._environment.get("TORCH_CUDA_ARCH_LIST", "")
        bf16 = self._settings["bf16"]
        finding = Finding("archs", "GPU architectures", OK, "", facts={"bf16": bf16})
        text, source = self._checks["arch_list_source"](setting, environment)
        if not self._toolkit:
            # The list alone can still be read.
            _, problem = self._checks["check_arch_list"](text, source) if text else (None, None)
            if problem:
                return self._refuse(finding, problem)
            finding.verdict = SKIPPED
            finding.summary = f"{text or 'default'}: no CUDA toolkit to compare with"
            return finding
        version, where = self._toolkit
        archs, problem = self._checks["select_archs"](
            setting, environment, version, where, bf16, self._information["rules_archs"]
        )
        if problem:
            return self._refuse(finding, problem)
        self._selected_archs = archs
        chosen = self._archs["format_archs"](archs)
        finding.summary = f"{chosen} ({source or 'the default'}), bfloat16 {'on' if bf16 else 'off'}"
        finding.facts |= {"archs": chosen, "source": source or "default"}
        return finding

    def _driver(self) -> Finding:
        finding = Finding("driver", "NVIDIA driver", OK, "", facts={"version": None, "cuda": None})
        program = _runnable(self._rctx, "nvidia-smi")
        if not program:
            finding.verdict = SKIPPED
            finding.summary = (
                "there is a GPU (/dev/nvidiactl), but no nvidia-smi to ask"
                if self._compilers["has_gpu"](self._rctx)
                else "neither nvidia-smi nor /dev/nvidiactl: this machine can build the kernels, but not run them"
            )
            return finding
        result = self._rctx.execute([program])
        version = re.search(r"Driver Version\s*:\s*([\d.]+)", result.stdout)
        cuda = re.search(r"CUDA (?:\w+ )?Version\s*:\s*(\d+\.\d+)", result.stdout)
        if result.return_code != 0 or not version or not cuda:
            problem = self._problems["problem"](
                title="nvidia-smi does not reach the driver",
                found=f"`{program}` printed: {(result.stdout + result.stderr).strip()[:500] or 'nothing'}",
                expected="a driver version and its CUDA version",
                cure="load the driver, or reboot after it was updated; containers get it by --gpus=all",
            )
            return self._refuse(finding, problem, WARNING)
        self._driver_cuda = self._cuda["parse_version"](cuda[1])
        finding.facts |= {"version": version[1], "cuda": cuda[1]}
        finding.summary = f"{version[1]}, for CUDA up to {cuda[1]}"
        if self._toolkit and self._driver_cuda[0] < self._toolkit[0][0]:
            releases = self._versions["TORCH_RELEASES"].items()
            older = [
                f"--//config:torch={name} --//config:cuda={release.cuda}"
                for name, release in releases
                if self._cuda["parse_version"](release.cuda)[0] <= self._driver_cuda[0]
            ]
            problem = self._problems["problem"](
                title=f"the driver is too old to run code for CUDA {self._toolkit[0][0]}",
                found=f"driver {version[1]}, for CUDA up to {cuda[1]}",
                expected=f"a driver for CUDA {self._toolkit[0][0]}.0 or newer where the modules run",
                cure="\n".join(["update the driver, or build with an older toolkit and a PyTorch that fits:", *older]),
            )
            return self._refuse(finding, problem, WARNING)
        return finding

    def _gpus(self) -> Finding:
        finding = Finding("gpus", "GPUs", OK, "", facts={"gpus": []})
        if not self._driver_cuda:
            finding.verdict = SKIPPED
            finding.summary = "no driver to ask"
            if self._rctx.path("/etc/nv_tegra_release").exists:
                finding.notes = ["this is a Jetson: see --config=jetson"]
            return finding
        program = _runnable(self._rctx, "nvidia-smi")
        result = self._rctx.execute([program, "--query-gpu=name,compute_cap", "--format=csv,noheader"])
        gpus = re.findall(r"^(.*), *(\d+)\.(\d)$", result.stdout, re.MULTILINE)
        if result.return_code != 0 or not gpus:
            finding.verdict = SKIPPED
            finding.summary = "nvidia-smi names no GPU with its architecture"
            return finding
        names = [f"{name} ({major}.{minor})" for name, major, minor in gpus]
        counted = [f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
        finding.summary = ", ".join(counted)
        finding.facts["gpus"] = [{"name": name, "arch": major + minor} for name, major, minor in gpus]
        if not self._settings["gpu"]:
            finding.notes.append(
                "tests on GPUs are skipped: Bazel saw none when it started; ./bazelw shutdown, or --//config:gpu=true"
            )
        if self._selected_archs is None:
            finding.verdict = SKIPPED
            finding.summary += " (whether the build has code for them is not known: no architectures)"
            return finding
        return self._code_for_gpus(finding, sorted({(int(major), int(minor)) for _, major, minor in gpus}))

    def _code_for_gpus(self, finding: Finding, gpus: list[tuple[int, int]]) -> Finding:
        assert self._toolkit and self._driver_cuda
        without, compiled = [], []
        for major, minor in gpus:
            code = self._archs["code_for"](major * 10 + minor, self._selected_archs)
            if not code:
                without.append(f"{major}.{minor}")
            elif code == "PTX":
                compiled.append(f"{major}.{minor}")
        chosen = self._archs["format_archs"](self._selected_archs)
        wanted = '--//config:cuda_archs="' + ";".join([chosen, *without, *compiled]) + '"'
        if without:
            problem = self._problems["problem"](
                title=f"the build has no code for the GPU's architecture {', '.join(without)}",
                found=f"architectures {chosen} and {finding.summary}",
                expected="machine code of the GPU's generation, or PTX of an older one",
                cure=wanted,
            )
            return self._refuse(finding, problem, WARNING)
        if compiled and self._driver_cuda < self._toolkit[0]:
            problem = self._problems["problem"](
                title=f"the driver cannot compile this toolkit's PTX for {', '.join(compiled)}",
                found=f"a driver for CUDA {_version_text(self._driver_cuda)}, CUDA {_version_text(self._toolkit[0])}",
                expected="a driver at least as new as the toolkit, or machine code for the GPU",
                cure=wanted + ", or a newer driver",
            )
            return self._refuse(finding, problem, WARNING)
        if compiled:
            finding.notes.append(
                f"{', '.join(compiled)} has PTX only: the driver compiles it at first use; {wanted} adds machine code"
            )
        return finding

    # ---- the machine ------------------------------------------------------------------------------------------------

    def _machine(self) -> Finding:
        """Processor, memory, and space where Bazel keeps its outputs."""
        system, processor = platform.system(), platform.machine()
        free = shutil.disk_usage(self._output_folder).free
        cores = len(os.sched_getaffinity(0))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        finding = Finding("machine", "Machine", OK, "")
        finding.facts = {"processor": processor, "cores": cores, "memory_bytes": memory, "free_bytes": free}
        finding.summary = (
            f"{system} on {processor}, {cores} cores, {memory / 1e9:.0f} GB of memory, "
            f"{free / 1e9:.0f} GB free for Bazel's outputs"
        )
        if system != "Linux" or processor not in self._versions["PROCESSORS"]:
            problem = self._problems["problem"](
                title="no build for this system or processor",
                found=f"{system} on {processor}",
                expected=f"Linux on {' or '.join(self._versions['PROCESSORS'])}",
                cure="build on such a machine",
            )
            return self._refuse(finding, problem)
        if free < _BUILD_BYTES:
            problem = self._problems["problem"](
                title="there is little space for a first build",
                found=f"{free / 1e9:.1f} GB free in {self._output_folder}",
                expected=f"{_BUILD_BYTES / 1e9:.0f} GB for toolkit and PyTorch, unless they are there already",
                cure="free some, or let Bazel use another disk: ./bazelw --output_user_root=FOLDER build ...",
            )
            return self._refuse(finding, problem, WARNING)
        return finding

    @staticmethod
    def _refuse(finding: Finding, problem: Any, verdict: str = PROBLEM) -> Finding:
        finding.verdict = verdict
        finding.summary = problem.title
        finding.problem = problem
        return finding
