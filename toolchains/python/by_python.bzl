"""Targets that exist once per Python version."""

load("//third_party:versions.bzl", "PYTHON_VERSIONS")

def python_tag(version):
    """The tag of a Python version: cp311 of 3.11."""
    return "cp" + version.replace(".", "")

def by_python(pattern):
    """A select() over the Python version.

    Args:
      pattern: a string with `{version}` (such as 3.11), `{underscored}` (3_11), `{nodot}` (311) or `{tag}` (cp311).

    Returns:
      A select() whose values are the filled-in pattern.
    """
    return select({
        Label("//config:python_" + version): pattern.format(
            tag = python_tag(version),
            nodot = version.replace(".", ""),
            underscored = version.replace(".", "_"),
            version = version,
        )
        for version in PYTHON_VERSIONS
    })

def alias_by_python(name, actual, **kwargs):
    """An alias whose target depends on the Python version.

    Args:
      name: name of the alias.
      actual: label pattern as `by_python` takes it.
      **kwargs: attributes of alias.
    """
    native.alias(name = name, actual = by_python(actual), **kwargs)
