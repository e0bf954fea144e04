"""Unit tests of the architecture logic."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load(":arch_list.bzl", "check_archs", "format_archs", "parse_arch_list")
load(":cuda_versions.bzl", "default_archs", "parse_version", "supported_archs", "toolkits_with")

def _supported_archs_test_impl(ctx):
    env = unittest.begin(ctx)
    ampere = ["70", "75", "80", "86"]
    ada_hopper = ampere + ["87", "89", "90"]
    for version, expected in {
        (10, 2): [],
        (11, 0): ["70", "75", "80"],
        (11, 1): ampere,
        (11, 3): ampere,
        (11, 4): ampere + ["87"],
        (11, 7): ampere + ["87"],
        (11, 8): ada_hopper,
        (12, 0): ada_hopper + ["90a"],
        (12, 7): ada_hopper + ["90a"],
        (12, 8): ada_hopper + ["90a", "100", "100a", "101", "101a", "120", "120a"],
        (12, 9): ada_hopper + ["90a", "100", "100a", "101", "101a", "103", "103a", "120", "120a", "121", "121a"],
        (13, 0): ["75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "103", "103a", "110", "110a", "120", "120a", "121", "121a"],
    }.items():
        asserts.equals(env, expected, supported_archs(version), "CUDA {}.{}".format(*version))
    return unittest.end(env)

def _default_archs_test_impl(ctx):
    env = unittest.begin(ctx)
    for version, expected in {
        (11, 0): "70;80+PTX",
        (11, 8): "70;80;90+PTX",
        (13, 0): "80;90+PTX",
    }.items():
        asserts.equals(env, expected, format_archs(default_archs(version)), "CUDA {}.{}".format(*version))
    return unittest.end(env)

def _toolkits_with_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, "CUDA 11.0 to 12.9", toolkits_with("70"))
    asserts.equals(env, "CUDA 12.8 to 12.9", toolkits_with("101"))
    asserts.equals(env, "CUDA 11.8 and newer", toolkits_with("90"))
    asserts.equals(env, "no CUDA toolkit", toolkits_with("61"))
    return unittest.end(env)

def _parse_arch_list_test_impl(ctx):
    env = unittest.begin(ctx)
    for text, expected in {
        "8.0": "80",
        "8.0;9.0+PTX": "80;90+PTX",
        "8.0 9.0": "80;90",
        "8.0, 8.6": "80;86",
        " 9.0 ; 8.0 ": "80;90",
        "9.0;9.0+PTX": "90+PTX",
        "80;90a": "80;90a",
        "sm_80": "80",
        "9.0a": "90a",
        "10.0a": "100a",
        "12.0+ptx": "120+PTX",
        "Hopper": "90+PTX",
        "ampere": "80;86+PTX",
        "Turing;Ada": "75+PTX;89+PTX",
    }.items():
        archs, error = parse_arch_list(text)
        asserts.equals(env, None, error, text)
        asserts.equals(env, expected, format_archs(archs), text)
    return unittest.end(env)

def _parse_arch_list_error_test_impl(ctx):
    env = unittest.begin(ctx)
    for text in ["", " ; ", "8", "8.0;Fermi", "9.0+PTXX", "6.1", "sm80", "banana", "8.0:9.0"]:
        archs, error = parse_arch_list(text)
        asserts.equals(env, None, archs, text)
        asserts.true(env, "\"8.0;9.0+PTX\"" in error, "the message shows an example: " + error)
        for item in text.replace(" ", ";").split(";"):
            if item and item != "8.0":
                asserts.true(env, "\"{}\"".format(item) in error, "the message names {}: {}".format(item, error))
    return unittest.end(env)

def _check_archs_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, None, check_archs(parse_arch_list("8.0;9.0a")[0], (13, 0)))
    asserts.equals(
        env,
        "CUDA 13.0 cannot build architecture 70: it has 75 80 86 87 88 89 90 90a 100 100a 103 103a 110 110a 120 120a 121 121a; " +
        "CUDA 11.0 to 12.9 has it",
        check_archs(parse_arch_list("7.0;8.0")[0], (13, 0)),
    )
    asserts.equals(
        env,
        "CUDA 11.7 cannot build architecture 90: it has 70 75 80 86 87; CUDA 11.8 and newer has it",
        check_archs(parse_arch_list("Hopper")[0], (11, 7)),
    )
    return unittest.end(env)

def _parse_version_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, (12, 4), parse_version("12.4"))
    asserts.equals(env, (11, 8), parse_version("11.8.89"))
    return unittest.end(env)

supported_archs_test = unittest.make(_supported_archs_test_impl)
default_archs_test = unittest.make(_default_archs_test_impl)
toolkits_with_test = unittest.make(_toolkits_with_test_impl)
parse_arch_list_test = unittest.make(_parse_arch_list_test_impl)
parse_arch_list_error_test = unittest.make(_parse_arch_list_error_test_impl)
check_archs_test = unittest.make(_check_archs_test_impl)
parse_version_test = unittest.make(_parse_version_test_impl)

def settings_test_suite(name):
    """Declares the tests.

    Args:
      name: name of the suite.
    """
    unittest.suite(
        name,
        supported_archs_test,
        default_archs_test,
        toolkits_with_test,
        parse_arch_list_test,
        parse_arch_list_error_test,
        check_archs_test,
        parse_version_test,
    )
