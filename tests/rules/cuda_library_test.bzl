"""Analysis tests of cuda_library: what rules_cuda documents, as far as this workspace and those that include it rely on it.

They hold with rules_cuda and with offline/rules_cuda, and load neither's private files.
"""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _flag(name):
    """A flag of rules_cuda as a transition has to name it, which is by its canonical label."""
    return str(Label("@rules_cuda//cuda:" + name))

_ARCHS = _flag("archs")
_COPTS = _flag("copts")
_HOST_COPTS = _flag("host_copts")
_RUNTIME = _flag("runtime")
_FORCE_PIC = "//command_line_option:force_pic"
_COMPILATION_MODE = "//command_line_option:compilation_mode"

# What the command line of the test's build says of these does not reach the targets under test.
_SETTINGS = {
    _ARCHS: "",
    _COPTS: [""],
    _FORCE_PIC: True,
    _HOST_COPTS: [""],
}

def _compilations(env):
    """The target's nvcc actions; none is a failure."""
    actions = [a for a in analysistest.target_actions(env) if a.mnemonic == "CudaCompile"]
    asserts.true(env, actions, "{} compiles nothing".format(analysistest.target_under_test(env).label))
    return actions

def _output(action):
    [output] = action.outputs.to_list()
    return output

def _position(argv, option):
    """Where an option of one or more words stands on a command line, or -1."""
    words = option.split(" ")
    for i in range(len(argv) - len(words) + 1):
        if argv[i:i + len(words)] == words:
            return i
    return -1

def _command_line_test_impl(ctx):
    env = analysistest.begin(ctx)
    for action in _compilations(env):
        argv = [arg.replace(analysistest.target_bin_dir_path(env), "BIN") for arg in action.argv]
        line = " ".join(argv)
        gencodes = [argv[i + 1] for i in range(len(argv)) if argv[i] == "-gencode"]
        asserts.equals(env, ctx.attr.gencodes, gencodes)
        asserts.false(env, [arg for arg in argv if arg.startswith(("-arch", "--gpu-architecture", "-rdc"))], line)
        for option in ctx.attr.has:
            asserts.true(env, _position(argv, option) >= 0, "\"{}\" is not in: {}".format(option, line))
        for option in ctx.attr.lacks:
            asserts.true(env, _position(argv, option) < 0, "\"{}\" is in: {}".format(option, line))
        positions = [_position(argv, option) for option in ctx.attr.ordered]
        asserts.true(env, -1 not in positions, "not all of {} are in: {}".format(ctx.attr.ordered, line))
        asserts.equals(env, sorted(positions), positions, "order of {} in: {}".format(ctx.attr.ordered, line))
    return analysistest.end(env)

def _command_line_test(settings):
    return analysistest.make(
        _command_line_test_impl,
        doc = "Looks at all nvcc command lines of a target.",
        attrs = {
            "gencodes": attr.string_list(doc = "All values of -gencode, in order."),
            "has": attr.string_list(doc = "Options that have to be there, of one or more words; the output folder reads BIN."),
            "lacks": attr.string_list(doc = "Options that must not be there."),
            "ordered": attr.string_list(doc = "Options that have to be there in this order."),
        },
        config_settings = _SETTINGS | settings,
    )

command_line_test = _command_line_test({})
archs_flag_test = _command_line_test({_ARCHS: "compute_80:sm_80,sm_86;compute_90:compute_90,sm_90;sm_90a,sm_90;sm_75;compute_75"})
copts_flags_test = _command_line_test({
    _COPTS: ["-lineinfo", "--use_fast_math"],
    _HOST_COPTS: ["-fno-math-errno", "-fwrapv"],
})
runtime_flag_test = _command_line_test({_RUNTIME: str(Label(":runtime"))})
dbg_test = _command_line_test({_COMPILATION_MODE: "dbg"})
fastbuild_test = _command_line_test({_COMPILATION_MODE: "fastbuild"})
opt_test = _command_line_test({_COMPILATION_MODE: "opt"})

def _objects_test_impl(ctx):
    env = analysistest.begin(ctx)
    actions = _compilations(env)
    names = [_output(a).basename for a in actions]
    asserts.equals(env, ctx.attr.objects, sorted([name for name in names if name.endswith(".pic.o")]))
    for action in actions:
        object = _output(action)
        source = [f for f in action.inputs.to_list() if f.path == action.argv[_position(action.argv, "-c") + 1]]
        asserts.equals(env, [object.basename.partition(".")[0]], [f.basename.partition(".")[0] for f in source])
        asserts.true(env, _position(action.argv, "-o " + object.path) >= 0, "another output: {}".format(action.argv))
        asserts.true(env, _position(action.argv, "-x cu") >= 0, "another language: {}".format(action.argv))
        independent = _position(action.argv, "-Xcompiler -fPIC") >= 0
        asserts.equals(env, object.basename.endswith(".pic.o"), independent, "-fPIC of " + object.basename)
    return analysistest.end(env)

def _objects_test(settings):
    return analysistest.make(
        _objects_test_impl,
        doc = "Looks at what is compiled to what, and how.",
        attrs = {"objects": attr.string_list(mandatory = True, doc = "Names of all position-independent objects, sorted.")},
        config_settings = _SETTINGS | settings,
    )

objects_test = _objects_test({_FORCE_PIC: False})

def _inputs_test_impl(ctx):
    env = analysistest.begin(ctx)
    for action in _compilations(env):
        names = [f.basename for f in action.inputs.to_list()]
        for name in ctx.attr.files:
            asserts.true(env, name in names, "{} is no input of {}".format(name, _output(action).basename))
    return analysistest.end(env)

inputs_test = analysistest.make(
    _inputs_test_impl,
    doc = "Looks at the inputs of all compilations of a target.",
    attrs = {"files": attr.string_list(mandatory = True, doc = "Names of files that have to be among them.")},
    config_settings = _SETTINGS,
)

def _providers_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    compilation = target[CcInfo].compilation_context
    headers = [f.basename for f in compilation.headers.to_list()]
    for name in ctx.attr.headers:
        asserts.true(env, name in headers, "C++ gets no {}, only {}".format(name, headers))
    for define in ctx.attr.defines:
        asserts.true(env, define in compilation.defines.to_list(), "C++ gets no " + define)
    for define in ctx.attr.lacks_defines:
        asserts.false(env, define in compilation.defines.to_list(), "C++ gets " + define)

    inputs = target[CcInfo].linking_context.linker_inputs.to_list()
    flags = [flag for i in inputs for flag in i.user_link_flags]
    for flag in ctx.attr.link_flags:
        asserts.true(env, flag in flags, "linkers get no " + flag)
    archives = [lib.pic_static_library.basename.partition(".")[0] for i in inputs for lib in i.libraries if lib.pic_static_library]
    for name in ctx.attr.archives:
        asserts.true(env, name in archives, "linkers get no {}, only {}".format(name, archives))

    # The target's own library: what is built when it is named, and what its archive holds.
    own = [lib for i in inputs if i.owner == target.label for lib in i.libraries]
    asserts.equals(env, 1, len(own), "libraries of the target itself")
    if len(own) == 1:
        archive = own[0].pic_static_library
        asserts.equals(env, ctx.attr.alwayslink, own[0].alwayslink)
        asserts.true(env, archive in target.files.to_list(), "{} is not built".format(archive))
        [action] = [a for a in analysistest.target_actions(env) if archive in a.outputs.to_list()]
        objects = [f.basename for f in action.inputs.to_list() if f.extension == "o"]
        asserts.equals(env, ctx.attr.objects, sorted(objects))
    return analysistest.end(env)

providers_test = analysistest.make(
    _providers_test_impl,
    doc = "Looks at what a library gives to C++ rules.",
    attrs = {
        "alwayslink": attr.bool(doc = "Whether all its objects are linked."),
        "archives": attr.string_list(doc = "Archives that linkers have to get, without the ending."),
        "defines": attr.string_list(doc = "Defines that have to be there."),
        "headers": attr.string_list(doc = "Names of headers that have to be there."),
        "lacks_defines": attr.string_list(doc = "Defines that must not be there."),
        "link_flags": attr.string_list(doc = "Options that linkers have to get."),
        "objects": attr.string_list(mandatory = True, doc = "All objects in its own archive, sorted."),
    },
    config_settings = _SETTINGS,
)

def _refusal_test_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

def _refusal_test(settings):
    return analysistest.make(
        _refusal_test_impl,
        attrs = {"message": attr.string(mandatory = True, doc = "Words of the error.")},
        config_settings = _SETTINGS | settings,
        doc = "Expects that a target cannot be analysed.",
        expect_failure = True,
    )

refusal_test = _refusal_test({})
unknown_arch_flag_test = _refusal_test({_ARCHS: "compute_80:sm_80;volta"})
