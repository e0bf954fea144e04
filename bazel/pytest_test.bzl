"""The macro for tests that pytest runs."""

load("@rules_python//python:defs.bzl", "py_test")

def pytest_test(name, src, deps = [], gpu = False, tags = [], size = "medium", **kwargs):
    """A py_test whose test cases pytest collects from one file.

    Args:
      name: name of the target.
      src: the test file.
      deps: Python libraries besides torch, pytest and the shared helpers.
      gpu: whether its cases need a GPU. They are reported as skipped where there is none; where there is one, only one
        such test runs at a time.
      tags: tags of the test.
      size: of the test, for its time-out.
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
        args = ["$(rootpath {})".format(src)],
        main = runner,
        tags = tags + (["gpu", "resources:gpu:1"] if gpu else []),
        deps = deps + [
            Label("//tests:testing"),
            Label("//third_party/python:pytest"),
            Label("//third_party/torch"),
        ],
        **kwargs
    )
