"""Set-up in WORKSPACE."""

load("//python/private:installed_python.bzl", "python_repositories", "toolchains_repo")

def py_repositories():
    """Does nothing: what the real rules fetch here is not needed."""

def python_register_toolchains(name, python_version, register_toolchains = True):
    """Declares an installed interpreter.

    Args:
      name: of its repository.
      python_version: such as "3.11".
      register_toolchains: whether its toolchains are registered.
    """
    python_repositories(name, python_version)
    toolchains_repo(name = name + "_toolchains", python = name)
    if register_toolchains:
        native.register_toolchains("@{}_toolchains//:all".format(name))
