"""Writes a wheel of extension modules. Run by wheel.bzl; the standard library alone.

    make_wheel.py DESCRIPTION.json OUTPUT_FOLDER

The wheel's name tells what it fits. Of modules for one PyTorch, the local version names PyTorch and its CUDA; of
universal ones, it names the CUDA toolkit where that is not of the newest major version on offer. The platform tag names
the oldest glibc that has the symbols the modules need. Same input, same bits: entries are sorted, dated 1980 and stored
without compression, because zlib's output differs between its implementations (nvcc has compressed the machine code).
"""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import re
import sys
import zipfile
from typing import Any

import elf

# The newest libstdc++ symbols on a system of a given glibc, by the platform tags' definition (auditwheel's policies).
_GLIBCXX_OF_GLIBC = {
    (2, 17): (3, 4, 19),
    (2, 24): (3, 4, 22),
    (2, 26): (3, 4, 24),
    (2, 28): (3, 4, 25),
    (2, 31): (3, 4, 28),
    (2, 34): (3, 4, 29),
    (2, 35): (3, 4, 30),
    (2, 39): (3, 4, 33),
}

# What of a toolkit ends up inside a module, by the wheel that brings it. nvcc itself does not.
_TOOLKIT_PARTS = {
    "nvidia-cuda-runtime": "CUDA runtime, linked statically, and headers",
    "nvidia-cuda-crt": "headers of the CUDA compiler",
    "nvidia-nvvm": "device mathematics library",
}
_NVIDIA_LICENSE = "LicenseRef-NVIDIA-CUDA-EULA"


def platform_tag(libraries: list[elf.Library], cpu: str) -> str:
    """The manylinux tag of the oldest system that has all symbols the libraries need.

    The libraries of PyTorch are not counted: the wheel requires PyTorch, whose own tag answers for them.
    """
    glibc = max(library.newest("GLIBC") for library in libraries)
    glibcxx = max(library.newest("GLIBCXX") for library in libraries)
    systems = [system for system, has in sorted(_GLIBCXX_OF_GLIBC.items()) if has >= glibcxx]
    if not systems:
        raise SystemExit(f"no known system has libstdc++'s symbols of version GLIBCXX_{'.'.join(map(str, glibcxx))}")
    major, minor = max(glibc[:2], systems[0])
    return f"manylinux_{major}_{minor}_{cpu}"


def torch_facts(version_py: str) -> tuple[str, str]:
    """PyTorch's version without its local part, and its CUDA's, from torch/version.py."""
    version = re.search(r"^__version__ = '([^'+]+)", version_py, re.MULTILINE)
    cuda = re.search(r"^cuda(?:: [^=]+)? = '([\d.]+)'", version_py, re.MULTILINE)
    if not version or not cuda:
        raise SystemExit("torch/version.py names no version or no CUDA: a CPU build of PyTorch?")
    return version[1], cuda[1]


def macros(header: str, *names: str) -> list[str]:
    """Values of numeric macros in a C header."""
    found = []
    for name in names:
        match = re.search(rf"^\s*#\s*define\s+{name}\s+(\d+)", header, re.MULTILINE)
        if not match:
            raise SystemExit(f"the header defines no {name}")
        found.append(match[1])
    return found


def locked(lock: str) -> dict[str, str]:
    """Name to version, of a lock: lines of SHA-256 and a wheel's file name."""
    wheels = re.findall(r"^\w{64}  ([^-]+)-([^-]+)-", lock, re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in wheels}


def bill_of_materials(name: str, version: str, parts: dict[str, Any]) -> str:
    """What the modules are made of, as CycloneDX JSON."""

    def component(name: str, version: str, licence: str, what: str, purl: str) -> dict[str, Any]:
        return {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "description": what,
            "licenses": [{"expression": licence}],
            "purl": purl,
        }

    def pypi(name: str, version: str) -> str:
        return f"pkg:pypi/{name}@{version.replace('+', '%2B')}"

    components = []
    if parts["torch"]:
        purl = f"pkg:github/pybind/pybind11@v{parts['pybind11']}"
        components += [
            component("pybind11", parts["pybind11"], "BSD-3-Clause", "headers, from PyTorch's copy", purl),
            component("torch", parts["torch"], "BSD-3-Clause", "headers", pypi("torch", parts["torch"])),
        ]
    lock = locked(parts["lock"])
    for part, what in _TOOLKIT_PARTS.items():
        if part in lock:
            components.append(component(part, lock[part], _NVIDIA_LICENSE, what, pypi(part, lock[part])))
    if not any(entry["name"] in _TOOLKIT_PARTS for entry in components):
        what = "CUDA runtime, linked statically, headers and device mathematics library"
        purl = f"pkg:generic/cuda-toolkit@{parts['cuda']}"
        components.append(component("cuda-toolkit", parts["cuda"], _NVIDIA_LICENSE, what, purl))
    this = component(name, version, "Apache-2.0", "the modules and their Python package", pypi(name, version))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": this},
        "components": sorted(components, key=lambda entry: str(entry["name"])),
        "dependencies": [
            {"ref": this["bom-ref"], "dependsOn": sorted(str(entry["bom-ref"]) for entry in components)},
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def write_wheel(path: pathlib.Path, files: dict[str, bytes], info: str) -> None:
    """Writes the archive with its RECORD; the metadata come last, where readers look first."""
    order = sorted(files, key=lambda name: (name.startswith(info), name))
    record = ""
    for name in order:
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(files[name])}\n"
    record_name = f"{info}/RECORD"
    record += f"{record_name},,\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in [*order, record_name]:
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, so that the permissions count
            entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
            archive.writestr(entry, record.encode() if name == record_name else files[name])


class Fit:
    """What a wheel is for, as its name, its metadata and its texts say it.

    Attributes:
      local: the local part of the version, with its plus sign, or an empty string.
      requirement: what it requires of PyTorch.
      python_tag: the interpreter and the ABI, as in the wheel's name.
      texts: what stands for the placeholders of its README and of the modules' `__init__.py`.
      parts: versions of what is compiled in.
    """

    def __init__(self, wanted: dict[str, Any], cuda: str) -> None:
        if wanted["torch_version"]:
            self._one_torch(wanted)
        else:
            self._every_torch(wanted, cuda)
        self.texts["@DISTRIBUTION@"] = wanted["distribution"]

    def _one_torch(self, wanted: dict[str, Any]) -> None:
        torch, cuda = torch_facts(_text(wanted["torch_version"]))
        numbers = (f"PYBIND11_VERSION_{part}" for part in ("MAJOR", "MINOR", "(?:MICRO|PATCH)"))  # PATCH before 3.0
        pybind11 = ".".join(macros(_text(wanted["pybind11_header"]), *numbers))
        self.local = f"+torch{torch}cu{cuda.replace('.', '')}"
        self.requirement = f"torch=={torch}"
        self.python_tag = f"{wanted['python_tag']}-{wanted['python_tag']}"
        self.texts = {
            "@TORCH@": torch,
            "@CUDA@": cuda,
            "@FITS@": "The version names the PyTorch and the CUDA that the modules are built for; importing them with"
            " another one says so.",
            "@HEADERS@": ", and code from the headers of PyTorch and pybind11, under BSD licences"
            " (`licenses/torch/LICENSE`)",
        }
        self.parts = {"torch": torch, "pybind11": pybind11}

    def _every_torch(self, wanted: dict[str, Any], cuda: str) -> None:
        major = cuda.split(".")[0]
        self.local = "" if major == wanted["newest_cuda"].split(".")[0] else f"+cu{major}"
        self.requirement = f"torch>={wanted['oldest_torch']}"
        self.python_tag = f"cp{wanted['requires_python'].replace('.', '')}-abi3"
        self.texts = {
            "@FITS@": f"One wheel for every PyTorch from {wanted['oldest_torch']} on, built with CUDA of any version,"
            f" and every CPython from {wanted['requires_python']} on. It needs an NVIDIA driver for CUDA {major} or"
            " newer.",
            "@HEADERS@": "",
        }
        self.parts = {"torch": ""}


def _text(path: str) -> str:
    return pathlib.Path(path).read_text(encoding="utf-8")


def _filled(template: str, texts: dict[str, str]) -> str:
    for placeholder, value in texts.items():
        template = template.replace(placeholder, value)
    return template


def main(description: str, output: str) -> None:
    """Writes the wheel that the description tells of into the output folder."""
    wanted = json.loads(_text(description))
    (cudart,) = macros(_text(wanted["cuda_header"]), "CUDART_VERSION")
    cuda = f"{int(cudart) // 1000}.{int(cudart) % 1000 // 10}"
    fit = Fit(wanted, cuda)
    version = wanted["version"] + fit.local
    name = wanted["distribution"]
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"

    files = {target: pathlib.Path(source).read_bytes() for target, source in wanted["files"].items()}
    libraries = [elf.Library(data) for target, data in files.items() if target.endswith(".so")]
    tag = f"{fit.python_tag}-{platform_tag(libraries, wanted['cpu'])}"
    for module in wanted["modules"]:
        init = _filled(_text(wanted["module_init"]), {**fit.texts, "@MODULE@": module})
        files[f"{module}/__init__.py"] = init.encode()
        files[f"{module}/py.typed"] = b""

    licenses = {target: pathlib.Path(source).read_bytes() for target, source in wanted["license_files"].items()}
    own = ["Apache-2.0", *(["BSD-3-Clause"] if fit.parts["torch"] else []), _NVIDIA_LICENSE]
    metadata = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: {wanted['summary']}",
        f"License-Expression: {' AND '.join(own)}",
        *(f"License-File: {target}" for target in sorted(licenses)),
        "Classifier: Environment :: GPU :: NVIDIA CUDA",
        "Classifier: Operating System :: POSIX :: Linux",
        "Classifier: Programming Language :: Python :: 3",
        f"Requires-Python: >={wanted['requires_python']}",
        f"Requires-Dist: {fit.requirement}",
        *(f"Provides-Extra: {extra}" for extra in sorted(wanted["extras"])),
        *(
            f"Requires-Dist: {what}; extra == '{extra}'"
            for extra in sorted(wanted["extras"])
            for what in wanted["extras"][extra]
        ),
        "Description-Content-Type: text/markdown",
        "",
        _filled(_text(wanted["readme"]), fit.texts),
    ]
    files[f"{info}/METADATA"] = "\n".join(metadata).encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: {name}\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    lock = _text(wanted["toolkit_lock"]) if wanted["toolkit_lock"] else ""
    parts = {**fit.parts, "cuda": cuda, "lock": lock}
    files[f"{info}/sboms/{name}.cdx.json"] = bill_of_materials(name, version, parts).encode()
    for target, data in licenses.items():
        files[f"{info}/licenses/{target}"] = data
    write_wheel(pathlib.Path(output) / f"{stem}-{tag}.whl", files, info)


if __name__ == "__main__":
    main(*sys.argv[1:])
