"""examples/monorepo_workspace builds, and its tests pass; and this workspace itself can be analysed in that mode."""

from __future__ import annotations

import pathlib

import workspace
from consumer import Consumer, needs_gcc


@needs_gcc
def test_the_example_builds_and_passes_with_the_repository_under_another_name() -> None:
    with Consumer("monorepo_workspace", repository="kernels_of_another_name") as consumer:
        consumer.use_python_of_this_build()
        shared = workspace.shared_repositories_of_a_dependency(
            consumer.repository, consumer.repository, workspace.scratch() / "shared"
        )
        options = [*consumer.frugal(), *shared, "--noshow_progress"]
        consumer.check(consumer.bazel("build", *options, "//..."))
        summary = consumer.check(consumer.bazel("test", *options, "//..."))
        for name in ("norm_test", "quantize_arguments_test"):
            assert f"//:{name} " in summary, summary
        gpu = pathlib.Path("/dev/nvidiactl").exists()
        [row] = [line for line in summary.splitlines() if line.startswith("//:quantize_test ")]
        assert ("PASSED" if gpu else "SKIPPED") in row


def test_this_workspace_is_analysed_without_modules() -> None:
    with workspace.Checkout("without-modules") as checkout:
        options = [*workspace.flags(), *workspace.shared_repositories()]
        result = checkout.bazel(
            "build", "--config=workspace", "--nobuild", *options, "//:all", "//csrc/...", "//python/..."
        )
        assert result.returncode == 0, result.stdout[-6000:]
