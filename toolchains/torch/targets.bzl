"""The targets of @awq_torch: one PyTorch, by //config:torch, Python version and processor."""

load("//bazel/lib:checks.bzl", "no_torch_for_python")
load("//bazel/lib:problems.bzl", "format_problem")
load("//bazel/lib:unavailable.bzl", "unavailable")
load("//third_party:versions.bzl", "OFFERS", "PROCESSORS", "PYTHON_VERSIONS", "TORCH_RELEASES")
load("//third_party/torch:torch.bzl", "TARGETS")
load("//toolchains/python:by_python.bzl", "python_tag")

def torch_repo_name(kind, torch, python, cpu):
    """Name of the repository of a PyTorch wheel, or of what importing it needs.

    Args:
      kind: "torch" or "torch_runtime".
      torch: release, such as "2.11.0".
      python: such as "3.11".
      cpu: one of PROCESSORS.

    Returns:
      The name.
    """
    return "awq_{}_{}_{}_{}".format(kind, torch.replace(".", "_"), python_tag(python), cpu)

def _release_target(name, kind, target, torch, python):
    if python not in TORCH_RELEASES[torch].pythons:
        unavailable(
            name = name,
            message = format_problem(no_torch_for_python(torch, python, OFFERS)),
        )
        return
    native.alias(
        name = name,
        actual = select({
            "@platforms//cpu:" + cpu: "@{}//:{}".format(torch_repo_name(kind, torch, python, cpu), target)
            for cpu in PROCESSORS
        }),
    )

def torch_targets(name):
    """Declares the aliases.

    Args:
      name: prefix of helper targets.
    """
    for target in TARGETS + ["runtime"]:
        kind, wheel_target = ("torch_runtime", "site_packages") if target == "runtime" else ("torch", target)
        for python in PYTHON_VERSIONS:
            for torch in TORCH_RELEASES:
                _release_target("{}_{}_{}_{}".format(name, target, torch, python), kind, wheel_target, torch, python)
            native.alias(
                name = "{}_{}_local_{}".format(name, target, python),
                actual = "@awq_torch_local_{}//:{}".format(python_tag(python), target),
            )
        for torch in TORCH_RELEASES.keys() + ["local"]:
            native.alias(
                name = "{}_{}_{}".format(name, target, torch),
                actual = select({
                    Label("//config:python_" + python): ":{}_{}_{}_{}".format(name, target, torch, python)
                    for python in PYTHON_VERSIONS
                }),
            )
        native.alias(
            name = target,
            actual = select({
                Label("//config:torch_" + torch): ":{}_{}_{}".format(name, target, torch)
                for torch in TORCH_RELEASES.keys() + ["local"]
            }),
            visibility = ["//visibility:public"],
        )
