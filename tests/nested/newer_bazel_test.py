"""What newer Bazels change by default, tried with this one: analysis of everything and the build of both modules.

It is no test of these Bazels: what this Bazel has no flag for, only they can show.
"""

from __future__ import annotations

import pytest
import workspace
from consumer import FRUGAL, Consumer, needs_gcc

# By the release from which a flag is the default; "later" is announced or has been asked for. Left out are, of 8.0,
# --incompatible_disallow_struct_provider_syntax, which the native Python rules of Bazel 7 do not pass, and, of 10.0,
# --rewind_lost_inputs, which this Bazel refuses beside other defaults of its own.
FLIPPED = {
    "8.0": [
        "--incompatible_disallow_empty_glob",
        "--incompatible_no_implicit_watch_label",
        "--incompatible_use_plus_in_repo_names",
    ],
    "9.0": [
        "--incompatible_autoload_externally=",
        "--incompatible_disable_native_repo_rules",
        "--incompatible_enable_proto_toolchain_resolution",
        "--incompatible_strict_action_env",
        "--experimental_platform_in_output_dir",
        "--experimental_retain_test_configuration_across_testonly",
    ],
    "10.0": [
        "--incompatible_check_testonly_for_output_files",
        "--incompatible_no_implicit_file_export",
        "--experimental_fetch_all_coverage_outputs",
        "--experimental_split_coverage_postprocessing",
    ],
    "later": [
        "--incompatible_auto_exec_groups",
        "--incompatible_check_visibility_for_toolchains",
        "--incompatible_config_setting_private_default_visibility",
        "--incompatible_disable_starlark_host_transitions",
        "--incompatible_disable_target_provider_fields",
        "--incompatible_modify_execution_info_additive",
        "--incompatible_use_cc_configure_from_rules_cc",
    ],
}

ALL = [flag for flags in FLIPPED.values() for flag in flags]

# No C++ toolchain but the one that this workspace registers.
NO_DETECTED_COMPILER = "--repo_env=BAZEL_DO_NOT_DETECT_CPP_TOOLCHAIN=1"


def test_everything_is_analysed_and_the_modules_are_built() -> None:
    with workspace.Checkout("newer-bazel") as checkout:
        options = [*checkout.options(), *(f"--//config:{name}={value}" for name, value in FRUGAL.items()), *ALL]
        result = checkout.bazel("build", *options, "--nobuild", "//...")
        assert result.returncode == 0, result.stdout[-6000:]
        modules = ["//:awq_inference_engine", "//:ft_attention", "//:awq_kernels"]
        result = checkout.bazel("build", *options, NO_DETECTED_COMPILER, *modules)
        assert result.returncode == 0, result.stdout[-6000:]
        assert set(checkout.runners()) == {"linux-sandbox"}
        built = {name.partition(".")[0] for name in checkout.outputs("python/*.so")}
        assert built >= {"awq_inference_engine", "ft_attention"}


@needs_gcc
@pytest.mark.parametrize(
    ("example", "flags"),
    [
        ("monorepo_bzlmod", ALL),
        ("monorepo_workspace", FLIPPED["8.0"]),  # the last Bazel that has this mode
    ],
)
def test_an_example_is_analysed(example: str, flags: list[str]) -> None:
    with Consumer(example) as consumer:
        consumer.use_python_of_this_build()
        canonical = {"monorepo_bzlmod": "awq_kernels+", "monorepo_workspace": "awq_kernels"}[example]
        shared = workspace.shared_repositories_of_a_dependency(
            "awq_kernels", canonical, workspace.scratch() / f"shared-{example}"
        )
        consumer.check(
            consumer.bazel("build", "--nobuild", *consumer.frugal(), *shared, *flags, "--noshow_progress", "//...")
        )
