"""Another checkout, user and environment give the same bits.

The modules and the wheel that Bazel hands to this test are compared with those that another Bazel builds from a copy
of the source tree: without any cache, in another folder, for another user, with another umask and locale, on a machine
that seems to have a compiler, a CUDA toolkit, headers and flags of its own, and in sandboxes that hold declared inputs
and a Debian 13 without compiler, nothing else.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator

import pytest
import workspace
from roots import Root

COMPILERS = ("as", "c++", "cc", "clang", "clang++", "cpp", "g++", "gcc", "ld", "ld.bfd", "ld.gold")


def foreign_machine(folder: pathlib.Path) -> dict[str, str]:
    """An environment in which everything that might be picked up by mistake is there, and breaks what picks it up."""
    cuda = folder / "cuda"
    for name in ("bin", "include/torch", "include/c10/cuda", "lib64", "python"):
        (cuda / name).mkdir(parents=True)
    for name in ("nvcc", "ptxas", "cicc", "fatbinary", "nvlink", "cuobjdump", *COMPILERS):
        (cuda / "bin" / name).write_text("#!/bin/sh\necho 'the machine has this tool, not the build' >&2\nexit 1\n")
        (cuda / "bin" / name).chmod(0o755)
    for name in ("cuda.h", "cuda_runtime.h", "cuda_fp16.h", "Python.h", "torch/extension.h", "c10/cuda/CUDAStream.h"):
        (cuda / "include" / name).write_text("#error a header of the machine\n")
    for name in ("libcudart.so", "libcudart_static.a", "libcudart.so.13", "libc10.so"):
        (cuda / "lib64" / name).write_text("a library of the machine\n")
    (cuda / "python" / "torch.py").write_text("raise SystemExit('a torch of the machine')\n")
    headers, libraries = str(cuda / "include"), str(cuda / "lib64")
    return {
        # The Python that runs this test is the one that the roots stand in for, also where another one comes first.
        "PATH": f"{cuda / 'bin'}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        "CC": str(cuda / "bin/cc"),
        "CUDA_HOME": str(cuda),
        "CUDA_PATH": str(cuda),
        "CUDA_TOOLKIT_ROOT_DIR": str(cuda),
        "LD_LIBRARY_PATH": libraries,
        "LIBRARY_PATH": libraries,
        "CPATH": headers,
        "C_INCLUDE_PATH": headers,
        "CPLUS_INCLUDE_PATH": headers,
        "PYTHONPATH": str(cuda / "python"),
        "PYTHONHASHSEED": "7",
        "NVCC_PREPEND_FLAGS": "-G",
        "NVCC_APPEND_FLAGS": "-lineinfo",
        "CFLAGS": "-g",
        "CXXFLAGS": "-g",
        "LDFLAGS": "-Wl,--build-id=none",
        "SOURCE_DATE_EPOCH": "1",
        "TZ": "Asia/Kathmandu",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "tr_TR.UTF-8",
    }


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    """Digests of what this test was given."""
    files = [pathlib.Path(name) for name in os.environ["MODULES"].split()]
    files += pathlib.Path(os.environ["WHEEL"]).glob("*.whl")
    assert len(files) == 3
    return digests({path.name: path.read_bytes() for path in files})


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[workspace.Checkout]:
    """A checkout on another machine, as far as one can be made up."""
    with workspace.Checkout("somebody", foreign_machine(workspace.scratch()), umask=0o077) as checkout:
        yield checkout


def test_another_checkout_and_machine_give_the_same_bits(here: dict[str, str], elsewhere: workspace.Checkout) -> None:
    result = elsewhere.build(*Root("trixie").sandbox(), "//:wheel", "//:awq_inference_engine", "//:ft_attention")
    assert result.returncode == 0, result.stdout[-6000:]
    ran = elsewhere.runners()
    assert list(ran) == ["linux-sandbox"], {runner: len(actions) for runner, actions in ran.items()}
    assert {"CppCompile", "CppLink", "CudaCompile"} <= set(ran["linux-sandbox"])
    tags = {name for name in here if name.endswith(".so")}
    built = elsewhere.outputs("python/*.so") | elsewhere.outputs("python/universal/wheel/*.whl")
    assert {name: digest for name, digest in digests(built).items() if name in here} == here
    assert tags <= set(built)


def test_the_sandbox_hides_what_is_not_declared(elsewhere: workspace.Checkout) -> None:
    """A program that does not compile where it finds a certain file: Bazel's ordinary sandbox shows that file."""
    undeclared = workspace.scratch() / "cuda/include/cuda.h"
    assert undeclared.exists()
    sample = elsewhere.root / "toolchains/cc/sample.cc"
    sample.write_text(f'#if __has_include("{undeclared}")\n#error the machine is seen\n#endif\n' + sample.read_text())
    ordinary = elsewhere.build("//toolchains/cc:sample")
    assert ordinary.returncode != 0 and "#error the machine is seen" in ordinary.stdout, ordinary.stdout[-4000:]
    result = elsewhere.build("--config=hermetic", "//toolchains/cc:sample")
    assert result.returncode == 0, result.stdout[-4000:]
    assert elsewhere.runners() == {"linux-sandbox": ["CppCompile", "CppLink"]}
