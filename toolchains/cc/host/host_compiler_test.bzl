"""The compiler's identity is among the inputs of what the compiler does."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

def _host_compiler_test_impl(ctx):
    env = analysistest.begin(ctx)
    actions = [a for a in analysistest.target_actions(env) if a.mnemonic == ctx.attr.mnemonic]
    asserts.true(env, actions, "{} has no {} action".format(analysistest.target_under_test(env).label, ctx.attr.mnemonic))
    for action in actions:
        names = [f.basename for f in action.inputs.to_list()]
        asserts.true(env, "host_compiler.txt" in names, "{} does not read host_compiler.txt".format(action))
    return analysistest.end(env)

host_compiler_test = analysistest.make(
    _host_compiler_test_impl,
    doc = "Looks at a target's actions of one mnemonic.",
    attrs = {"mnemonic": attr.string(mandatory = True, doc = "Which actions.")},
)
