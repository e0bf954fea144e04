"""The targets of @awq_torch. They select one PyTorch by //config:torch, Python version and processor."""

load("//bazel/lib:checks.bzl", "no_torch_for_python")
load("//bazel/lib:problems.bzl", "format_problem")
load("//bazel/lib:unavailable.bzl", "unavailable")
load("//third_party:versions.bzl", "OFFERS", "PROCESSORS", "PYTHON_VERSIONS", "TORCH_RELEASES")
load("//third_party/torch:torch.bzl", "TARGETS")
load("//toolchains/python:by_python.bzl", "python_tag")

def torch_repo_name(kind, torch, python, cpu):
    """The name of the repository of a PyTorch wheel, or of the further packages that importing it needs.

    Args:
      kind: "torch" or "torch_runtime".
      torch: release, such as "2.11.0".
      python: such as "3.11".
      cpu: one of PROCESSORS.

    Returns:
      The name.
    """
    return "awq_{}_{}_{}_{}".format(kind, torch.replace(".", "_"), python_tag(python), cpu)

def _choices():
    """Every PyTorch that can be selected: (torch, python, cpu) and its repository, or None if there is no wheel."""
    choices = {}
    for python in PYTHON_VERSIONS:
        for cpu in PROCESSORS:
            choices[("local", python, cpu)] = "awq_torch_local_" + python_tag(python)
            for torch, release in TORCH_RELEASES.items():
                choices[(torch, python, cpu)] = torch_repo_name("torch", torch, python, cpu) if python in release.pythons else None
    return choices

def torch_targets(name):
    """Declares the aliases, each a single select() over PyTorch, Python and processor.

    Args:
      name: prefix of helper targets.
    """
    choices = _choices()
    for (torch, python, cpu), repo in choices.items():
        setting = "{}_{}_{}_{}".format(name, torch, python, cpu)
        native.config_setting(
            name = setting,
            constraint_values = ["@platforms//cpu:" + cpu],
            flag_values = {
                str(Label("//config:python_in_use")): python,
                str(Label("//config:torch")): torch,
            },
        )
        if not repo:
            unavailable(name = setting + "_missing", message = format_problem(no_torch_for_python(torch, python, OFFERS)))
    native.alias(
        name = "local_info",
        actual = select({
            Label("//config:python_flag_" + python): "@awq_torch_local_{}//:info".format(python_tag(python))
            for python in PYTHON_VERSIONS
        }),
        visibility = ["//visibility:public"],
    )
    for target in TARGETS:
        native.alias(
            name = target,
            actual = select({
                ":{}_{}_{}_{}".format(name, *choice): "@{}//:{}".format(repo, target) if repo else ":{}_{}_{}_{}_missing".format(name, *choice)
                for choice, repo in choices.items()
            }),
            visibility = ["//visibility:public"],
        )
