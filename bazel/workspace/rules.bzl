"""Second step: what loading rules_cc, rules_cuda and rules_python needs."""

load("@rules_cc//cc:extensions.bzl", "compatibility_proxy_repo")

def rules_setup():
    """Declares rules_cc's proxy for what differs among versions of Bazel."""
    compatibility_proxy_repo()
