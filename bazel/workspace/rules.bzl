"""Second step: the repository that rules_cc, rules_cuda and rules_python need to be loaded."""

load("@rules_cc//cc:extensions.bzl", "compatibility_proxy_repo")

def rules_setup():
    """Declares rules_cc's proxy for the differences among versions of Bazel."""
    compatibility_proxy_repo()
