"""A workspace that includes this one: an example, or one written by a test, in a copy of the source tree."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess

import pytest
import workspace

# The examples have no C++ toolchain of their own, so that Bazel takes the machine's; not by PATH, where CI hides it.
_GCC = pathlib.Path("/usr/bin/gcc")
needs_gcc = pytest.mark.skipif(not _GCC.exists(), reason=f"the example compiles with {_GCC}, which is not here")

# One architecture and no bfloat16: enough to compile, link and import everything.
FRUGAL = {"bf16": "false", "cuda_archs": "9.0"}


class Consumer(workspace.Checkout):
    """Builds an example, in which this workspace's repository may have another name."""

    def __init__(
        self, example: str, repository: str = "awq_kernels", environment: dict[str, str] | None = None
    ) -> None:
        super().__init__(example, {"CC": str(_GCC), **(environment or {})})
        self.repository = repository
        self.folder = self.root / "examples" / example
        for path in [self.folder / name for name in (".bazelrc", "BUILD.bazel", "MODULE.bazel", "WORKSPACE")]:
            if path.exists():
                text = re.sub(r"@awq_kernels\b(?!//)", f"@{repository}//:awq_kernels", path.read_text())
                text = text.replace("@awq_kernels//", f"@{repository}//")
                text = text.replace(
                    'bazel_dep(name = "awq_kernels"', f'bazel_dep(name = "awq_kernels", repo_name = "{repository}"'
                )
                text = text.replace('\n    name = "awq_kernels",', f'\n    name = "{repository}",')
                path.write_text(text)

    def flag(self, name: str, value: str) -> str:
        """A setting of this project, as the consumer gives it."""
        return f"--@{self.repository}//config:{name}={value}"

    def frugal(self) -> list[str]:
        """The settings of the build that the test belongs to, less what takes long."""
        settings = {name: os.environ[f"BUILT_FOR_{name.upper()}"] for name in ("cuda", "torch")} | FRUGAL
        return [self.flag(name, value) for name, value in settings.items()]

    def use_python_of_this_build(self) -> None:
        """Makes the example ask for the Python whose PyTorch is there already."""
        version = os.environ["BUILT_FOR_PYTHON"]
        for path in (self.folder / "MODULE.bazel", self.folder / "WORKSPACE"):
            if path.exists():
                text = (
                    path.read_text()
                    .replace("3.11", version)
                    .replace("python_3_11", f"python_{version.replace('.', '_')}")
                )
                path.write_text(text)

    def check(self, result: subprocess.CompletedProcess[str]) -> str:
        """Returns the output of a run that has to succeed."""
        assert result.returncode == 0, result.stdout[-6000:]
        return result.stdout
