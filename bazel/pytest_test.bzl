"""The macro for tests that pytest runs."""

load("@rules_python//python:defs.bzl", "py_test")

def only_where(setting):
    """The `target_compatible_with` of a target that Bazel skips if a setting does not hold.

    Args:
      setting: label of a config_setting.

    Returns:
      A select() that is a list of constraints.
    """
    return select({
        setting: [],
        "//conditions:default": ["@platforms//:incompatible"],
    })

def pytest_test(name, src, deps = [], gpu = False, only = None, tags = [], size = "medium", target_compatible_with = [], **kwargs):
    """A py_test whose test cases pytest collects from one file.

    Args:
      name: name of the target.
      src: the test file.
      deps: Python libraries in addition to pytest and the shared helpers. A test that imports torch names
        //config:torch_py or a library that depends on it. Other tests then fetch no PyTorch.
      gpu: whether its cases need a GPU. Without a GPU, Bazel reports the target as skipped. Bazel then does not keep
        the result of a run in which pytest skipped every case. With a GPU, only one such test runs at a time.
      only: an expression over pytest's markers that selects cases, such as "not gpu"; None for all.
      tags: tags of the test.
      size: of the test, for its time-out.
      target_compatible_with: constraints in addition to those of `gpu`. Elsewhere Bazel reports the test as skipped.
      **kwargs: attributes of py_test.
    """
    runner = Label("//tests:testing/pytest_main.py")
    py_test(
        name = name,
        size = size,
        srcs = [
            src,
            runner,
        ],
        args = ["$(rootpath {})".format(src)] + (["'-m{}'".format(only)] if only else []),
        main = runner,
        tags = tags + (["gpu", "resources:gpu:1"] if gpu else []),
        target_compatible_with = target_compatible_with + (only_where(Label("//config:with_gpu")) if gpu else []),
        deps = deps + [
            Label("//tests:testing"),
            Label("@awq_packages//:pytest"),
        ],
        **kwargs
    )
