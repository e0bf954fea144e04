"""examples/monorepo_bzlmod builds, and its tests pass: on the CPU, and on a GPU where there is one."""

from __future__ import annotations

import pathlib
import re

import workspace
from consumer import Consumer, needs_gcc


@needs_gcc
def test_the_example_builds_and_passes() -> None:
    with Consumer("monorepo_bzlmod") as consumer:
        consumer.use_python_of_this_build()
        shared = workspace.shared_repositories_of_a_dependency(
            "awq_kernels", "awq_kernels~", workspace.scratch() / "shared"
        )
        options = [*consumer.frugal(), *shared, "--noshow_progress"]
        consumer.check(consumer.bazel("build", *options, "//..."))
        summary = consumer.check(consumer.bazel("test", *options, "//..."))
        for name in ("linear_test", "rms_norm_arguments_test"):
            assert f"//:{name} " in summary, summary
        gpu = pathlib.Path("/dev/nvidiactl").exists()
        [row] = [line for line in summary.splitlines() if line.startswith("//:rms_norm_test ")]
        assert ("PASSED" if gpu else "SKIPPED") in row
        printed = consumer.check(consumer.bazel("run", *options, "//:compress", "--", "256", "128"))
        assert re.search(r"times smaller, relative error 0\.\d+", printed), printed
