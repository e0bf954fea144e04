"""The rules that WORKSPACE mode needs, from their release archives."""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load(":versions.bzl", "RULES")

def rules_repositories():
    """Declares the rules' repositories, each unless the workspace has one of that name already."""
    for name, rule in RULES.items():
        maybe(
            http_archive,
            name = name,
            url = rule.url,
            integrity = rule.integrity,
            strip_prefix = rule.strip_prefix,
        )
