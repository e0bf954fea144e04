"""The macro for tests that run a second Bazel."""

load("//bazel:pytest_test.bzl", "pytest_test")
load("//third_party:versions.bzl", "CUDA_TOOLKITS", "PYTHON_VERSIONS", "TORCH_RELEASES")

# The source tree that they copy is not declared, and a Bazel of their own wants a home.
_TAGS = [
    "external",
    "no-remote",
    "no-sandbox",
]

# The settings of this build, which the test's own builds repeat.
_SETTINGS = {"CUDA_BUILD": "$(rootpath //config:cuda_build.json)"} | select({
    "//config:with_bf16": {"BUILT_FOR_BF16": "true"},
    "//conditions:default": {"BUILT_FOR_BF16": "false"},
}) | select({
    "//config:cuda_" + version: {"BUILT_FOR_CUDA": version}
    for version in CUDA_TOOLKITS
}) | select({
    "//config:python_" + version: {"BUILT_FOR_PYTHON": version}
    for version in PYTHON_VERSIONS
}) | select({
    "//config:torch_" + version: {"BUILT_FOR_TORCH": version}
    for version in TORCH_RELEASES
})

def nested_test(name, slow = False, data = [], deps = [], env = {}, tags = [], **kwargs):
    """A pytest_test that runs Bazel on copies of this workspace.

    Args:
      name: name of the target; its file is `name`.py.
      slow: whether it builds for minutes, and wants the machine to itself: it then runs only when named, as part of //tests:slow.
      data: files it needs.
      deps: libraries besides //tests/nested:workspace.
      env: its environment.
      tags: tags of the test.
      **kwargs: attributes of pytest_test.
    """
    pytest_test(
        name = name,
        src = name + ".py",
        data = data + (["//config:cuda_build.json"] if slow else []),
        env = (_SETTINGS | env) if slow else env,
        tags = tags + _TAGS + (["exclusive", "manual"] if slow else []),
        deps = deps + ["//tests/nested:workspace"] + (["//config:torch_py"] if slow else []),
        **kwargs
    )
