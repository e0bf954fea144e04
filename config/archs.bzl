"""The selected GPU architectures as config_settings, and as a select() for `cuda_library`.

rules_cuda reads architectures from an attribute or from its own flag. A transition that sets this flag would need only
one select(). It does not work here, for two reasons:

- The default list depends on the version of the toolkit. A transition does not see the version of an installed toolkit.
- A transition would give each kernel library a separate output folder. A library that is also built by itself would
  then be compiled twice.
"""

load("//bazel/lib:cuda_versions.bzl", "KNOWN_ARCHS", "supported_archs")
load(":cuda_build.bzl", "CudaBuildInfo")

def _arch_in_build_impl(ctx):
    build = ctx.attr.build[CudaBuildInfo]
    wanted = [a for a in build.archs if a.arch in ctx.attr.any_of]
    if not wanted or ctx.attr.toolkit_has and ctx.attr.toolkit_has not in supported_archs(build.version):
        return config_common.FeatureFlagInfo(value = "no")
    return config_common.FeatureFlagInfo(value = "with PTX" if ctx.attr.tell_ptx and wanted[-1].ptx else "yes")

_arch_in_build = rule(
    implementation = _arch_in_build_impl,
    doc = "Whether an architecture is built: `no`, `yes` or `with PTX`, for config_setting.",
    attrs = {
        "any_of": attr.string_list(mandatory = True, doc = "The architectures, such as 90a; one of them is enough."),
        "build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "The `cuda_build`."),
        "tell_ptx": attr.bool(doc = "Whether the value `with PTX` is distinguished from `yes`."),
        "toolkit_has": attr.string(doc = "An architecture that the toolkit must know too."),
    },
)

def _setting(name, helper, value):
    native.config_setting(
        name = name,
        flag_values = {":" + helper: value},
        visibility = ["//:__subpackages__"],
    )

def arch_config_settings(name, build):
    """Declares the config_settings `sm_NN` (machine code alone) and `sm_NN_ptx` (with PTX) of every known architecture.

    Args:
      name: prefix of the helper targets.
      build: label of the `cuda_build`.
    """
    for arch in KNOWN_ARCHS:
        helper = "{}_{}".format(name, arch)
        _arch_in_build(name = helper, any_of = [arch], build = build, tell_ptx = True, visibility = ["//visibility:private"])
        _setting("sm_" + arch, helper, "yes")
        _setting("sm_{}_ptx".format(arch), helper, "with PTX")

def hopper_config_setting(name, build):
    """Declares the config_setting of a build with Hopper code: 90 or 90a is selected, and the toolkit knows 90a.

    Instructions such as wgmma exist for 90a only. A build with code for 90 therefore adds the libraries that use them.

    Args:
      name: name of the config_setting.
      build: label of the `cuda_build`.
    """
    helper = name + "_in_build"
    _arch_in_build(name = helper, any_of = ["90", "90a"], build = build, toolkit_has = "90a", visibility = ["//visibility:private"])
    _setting(name, helper, "yes")

def selected_archs():
    """The selected architectures for `cuda_library.archs`.

    Returns:
      A select() that is a list of rules_cuda's architecture specs.
    """
    specs = []
    for arch in KNOWN_ARCHS:
        code, ptx = "compute_{0}:sm_{0}".format(arch), "compute_{0}:compute_{0}".format(arch)
        specs = specs + select({
            Label("//config:sm_" + arch): [code],
            Label("//config:sm_{}_ptx".format(arch)): [code, ptx],
            "//conditions:default": [],
        })
    return specs
