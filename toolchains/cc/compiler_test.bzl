"""Tests of the compiler that C++ and CUDA actions use."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

_ABSOLUTE = ["/", "-B/", "-I/", "-L/", "-iquote/", "-isystem/", "--sysroot=/"]

def _actions(ctx, env):
    actions = [a for a in analysistest.target_actions(env) if a.mnemonic == ctx.attr.mnemonic]
    asserts.true(env, actions, "{} has no {} action".format(analysistest.target_under_test(env).label, ctx.attr.mnemonic))
    return actions

def _fetched_compiler_test_impl(ctx):
    env = analysistest.begin(ctx)
    for action in _actions(ctx, env):
        inputs = [f.path for f in action.inputs.to_list()]
        asserts.true(env, [p for p in inputs if p.endswith("awq_gcc_x86_64/bin/g++")], "{} has no g++ among its inputs".format(action))
        absolute = [a for a in action.argv for prefix in _ABSOLUTE if a.startswith(prefix)]
        asserts.equals(env, [], absolute, "{} names files of the machine".format(action))
    return analysistest.end(env)

_MNEMONIC = {"mnemonic": attr.string(mandatory = True, doc = "The mnemonic of the actions to check.")}

fetched_compiler_test = analysistest.make(
    _fetched_compiler_test_impl,
    config_settings = {str(Label("//config:compiler")): "gcc10"},
    doc = "A target's actions of one mnemonic read the fetched compiler, and name no files of the machine.",
    attrs = _MNEMONIC,
)

def _host_compiler_test_impl(ctx):
    env = analysistest.begin(ctx)
    for action in _actions(ctx, env):
        names = [f.basename for f in action.inputs.to_list()]
        asserts.true(env, "host_compiler.txt" in names, "{} does not read host_compiler.txt".format(action))
    return analysistest.end(env)

host_compiler_test = analysistest.make(
    _host_compiler_test_impl,
    config_settings = {str(Label("//config:compiler")): "local"},
    doc = "With --config=host_gcc a target's actions of one mnemonic read the identity of the machine's compiler.",
    attrs = _MNEMONIC,
)
