"""The rules that WORKSPACE mode needs, from their release archives."""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load("//third_party:versions.bzl", "RULES")

_SETUP_FILES = ["features.bzl", "rules.bzl", "toolchains.bzl"]

def _rules_setup_repo_impl(rctx):
    for file in rctx.attr.files:
        rctx.symlink(file, file.name)
    rctx.file("BUILD.bazel", executable = False)

_rules_setup_repo = repository_rule(
    implementation = _rules_setup_repo_impl,
    doc = "The set-up of the rules in WORKSPACE. It is a separate repository, because the offline mode replaces it.",
    attrs = {"files": attr.label_list(mandatory = True, doc = "The files that a WORKSPACE loads.")},
)

def rules_repositories():
    """Declares the repositories of the rules and of their set-up, unless the workspace already has one of that name."""
    for name, rule in RULES.items():
        maybe(
            http_archive,
            name = name,
            url = rule.url,
            integrity = rule.integrity,
            strip_prefix = rule.strip_prefix,
        )
    maybe(
        _rules_setup_repo,
        name = "awq_rules_setup",
        files = [Label("//bazel/workspace:" + file) for file in _SETUP_FILES],
    )
