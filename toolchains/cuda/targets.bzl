"""The targets of @awq_cuda. They select one of the toolkits by //config:cuda and by processor."""

load("//third_party:versions.bzl", "CUDA_TOOLKITS", "PROCESSORS")

def _repo(version, cpu):
    return "@awq_cuda_{}_{}".format(version.replace(".", "_"), cpu)

def cuda_targets(name):
    """Declares the toolchains, and the other parts of the toolkit that the build uses.

    Args:
      name: prefix of helper targets.
    """
    repos = {
        (version, cpu): _repo(version, cpu)
        for version in CUDA_TOOLKITS
        for cpu in PROCESSORS
    } | {("local", cpu): "@awq_cuda_local" for cpu in PROCESSORS}

    # nvcc runs on one processor. It compiles for the processor of the C++ toolchain.
    for (version, cpu), repo in repos.items():
        native.toolchain(
            name = "nvcc_{}_{}".format(version, cpu),
            exec_compatible_with = ["@platforms//os:linux", "@platforms//cpu:" + cpu],
            target_compatible_with = ["@platforms//os:linux"],
            target_settings = [Label("//config:cuda_" + version)],
            toolchain = repo + "//:nvcc_toolchain",
            toolchain_type = "@rules_cuda//cuda:toolchain_type",
        )

    # The other parts come from the toolkit for the processor that the modules are for.
    for (version, cpu), repo in repos.items():
        native.config_setting(
            name = "{}_{}_{}".format(name, version, cpu),
            constraint_values = ["@platforms//cpu:" + cpu],
            flag_values = {str(Label("//config:cuda_in_use")): version},
        )

    # Of a toolkit that the workspace registers, only the runtime is known.
    native.filegroup(name = name + "_no_license")
    for target, registered in {
        "host_config.h": None,
        "license": ":" + name + "_no_license",
        "nvcc": None,
        "runtime": "@rules_cuda//cuda:runtime",
    }.items():
        native.alias(
            name = target,
            actual = select({
                ":{}_{}_{}".format(name, *choice): "{}//:{}".format(repo, target)
                for choice, repo in repos.items()
            } | ({Label("//config:cuda_registered"): registered} if registered else {})),
            visibility = ["//visibility:public"],
        )
    native.alias(
        name = "installed",
        actual = "@awq_cuda_local//:installed",
        visibility = ["//visibility:public"],
    )
