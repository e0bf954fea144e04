"""Unit tests of the table of CUDA versions, of architecture lists, and of each check's message."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load(":arch_list.bzl", "code_for", "format_archs", "parse_arch_list")
load(
    ":checks.bzl",
    "check_host_compiler",
    "check_pairing",
    "check_python",
    "check_registered_version",
    "check_toolchain",
    "check_toolkit",
    "check_torch",
    "check_torch_python",
    "select_archs",
    "toolkit_of_torch",
)
load(
    ":cuda_versions.bzl",
    "KNOWN_ARCHS",
    "default_archs",
    "host_compiler_range",
    "nvcc_version",
    "parse_version",
    "supported_archs",
    "toolkits_with",
)
load(":problems.bzl", "archive_failed", "download_failed", "format_problem", "no_pip", "no_python")

# What a build might bring along; the real table may grow without these tests.
_OFFERS = struct(
    cuda = ["12.1", "12.4", "13.0"],
    default_cuda = "13.0",
    pythons = ["3.10", "3.11"],
    torch = {
        "2.3.0": struct(cuda = "12.1", pythons = ["3.10", "3.11"]),
        "2.6.0": struct(cuda = "12.4", pythons = ["3.10", "3.11"]),
        "2.11.0": struct(cuda = "13.0", pythons = ["3.10", "3.11"]),
    },
)

def _supported_archs_test_impl(ctx):
    env = unittest.begin(ctx)
    ampere = ["70", "75", "80", "86"]
    ada_hopper = ampere + ["87", "89", "90"]
    for version, expected in {
        (10, 2): [],
        (11, 1): [],
        (11, 2): ampere,
        (11, 3): ampere,
        (11, 4): ampere + ["87"],
        (11, 7): ampere + ["87"],
        (11, 8): ada_hopper,
        (12, 0): ada_hopper + ["90a"],
        (12, 7): ada_hopper + ["90a"],
        (12, 8): ada_hopper + ["90a", "100", "100a", "101", "101a", "120", "120a"],
        (12, 9): ada_hopper + ["90a", "100", "100a", "101", "101a", "103", "103a", "120", "120a", "121", "121a"],
        (13, 0): ["75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "103", "103a", "110", "110a", "120", "120a", "121", "121a"],
        (13, 4): ["75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "103", "103a", "107", "107a", "110", "110a", "120", "120a", "121", "121a"],
    }.items():
        asserts.equals(env, expected, supported_archs(version), "CUDA {}.{}".format(*version))
    return unittest.end(env)

def _default_archs_test_impl(ctx):
    env = unittest.begin(ctx)
    for version, expected in {
        (11, 2): "70;80+PTX",
        (11, 8): "70;80;90+PTX",
        (13, 0): "80;90+PTX",
    }.items():
        asserts.equals(env, expected, format_archs(default_archs(version)), "CUDA {}.{}".format(*version))
    return unittest.end(env)

def _toolkits_with_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, "CUDA 11.2 to 12.9", toolkits_with("70"))
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
        "Ampere+Tegra": "87",
        "Blackwell": "100;103;120;121+PTX",
        "Blackwell+Tegra": "110",
        "Rubin": "107+PTX",
        "Volta": "70+PTX",
    }.items():
        archs, error = parse_arch_list(text)
        asserts.equals(env, None, error, text)
        asserts.equals(env, expected, format_archs(archs), text)
    return unittest.end(env)

def _parse_arch_list_error_test_impl(ctx):
    env = unittest.begin(ctx)
    for text in ["", " ; ", "8", "8.0;Fermi", "9.0+PTXX", "6.1", "Pascal", "Volta+Tegra", "sm80", "banana", "8.0:9.0", "native"]:
        archs, complaint = parse_arch_list(text)
        asserts.equals(env, None, archs, text)
        asserts.true(env, complaint, "a complaint about " + text)
    asserts.true(env, "\"banana\"" in parse_arch_list("8.0;banana")[1])
    asserts.true(env, "kernels are for 7.0" in parse_arch_list("Pascal")[1])
    asserts.true(env, "machine that builds" in parse_arch_list("native")[1])
    return unittest.end(env)

def _code_for_test_impl(ctx):
    env = unittest.begin(ctx)
    for gpu, archs, expected in [
        (80, "8.0", "machine code"),
        (89, "8.0;9.0", "machine code"),
        (80, "8.6", ""),
        (80, "8.6+PTX", ""),
        (75, "8.0+PTX", ""),
        (120, "8.0;9.0+PTX", "PTX"),
        (120, "8.0;9.0", ""),
        (90, "9.0a", "machine code"),
        (100, "9.0a+PTX", ""),
        (103, "10.0a;10.0", "machine code"),
    ]:
        asserts.equals(env, expected, code_for(gpu, parse_arch_list(archs)[0]), "{} on {}".format(archs, gpu))
    return unittest.end(env)

def _host_compiler_range_test_impl(ctx):
    env = unittest.begin(ctx)
    for version, gcc, clang in [
        ((11, 2), (9, 10), (9, 11)),
        ((11, 8), (9, 11), (9, 14)),
        ((12, 0), (9, 12), (9, 14)),
        ((12, 4), (9, 13), (9, 17)),
        ((12, 8), (9, 14), (9, 19)),
        ((13, 0), (9, 15), (9, 20)),
        ((13, 2), (9, 15), (9, 21)),
        ((13, 4), (9, 16), (9, 21)),
    ]:
        asserts.equals(env, gcc, host_compiler_range("gcc", version), "CUDA {}.{}".format(*version))
        asserts.equals(env, clang, host_compiler_range("clang", version), "CUDA {}.{}".format(*version))
    return unittest.end(env)

def _nvcc_version_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, (12, 4), nvcc_version("nvcc: NVIDIA\nCuda compilation tools, release 12.4, V12.4.131\nBuild x"))
    asserts.equals(env, (9, 2), nvcc_version("Cuda compilation tools, release 9.2, V9.2.88"))
    asserts.equals(env, None, nvcc_version(""))
    asserts.equals(env, None, nvcc_version("release of something else"))
    return unittest.end(env)

def _assert_problem(env, problem, title, parts):
    """All of what a message has to say: what, found, where, expected, the cure."""
    asserts.true(env, problem != None, "no problem where one was expected: " + title)
    if problem == None:
        return
    asserts.equals(env, title, problem.title)
    message = format_problem(problem)
    for part in parts:
        asserts.true(env, part in message, "\"{}\" is not in: {}".format(part, message))

def _check_toolchain_test_impl(ctx):
    env = unittest.begin(ctx)
    for name in ["external/awq_cuda_13_0_x86_64/bin/nvcc", "external/awq_kernels~~dependencies~awq_cuda_local/bin/nvcc"]:
        asserts.equals(env, None, check_toolchain(name, "13.0"))
    asserts.equals(env, None, check_toolchain("external/cuda/bin/nvcc", "registered"))
    _assert_problem(
        env,
        check_toolchain("external/cuda/bin/nvcc", "13.0"),
        "the registered CUDA toolchain is not the one that is asked for",
        ["--//config:cuda=13.0 and a toolchain whose compiler is external/cuda/bin/nvcc", "config:cuda=registered"],
    )
    return unittest.end(env)

def _check_toolkit_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, None, check_toolkit((11, 2), "here", _OFFERS))
    _assert_problem(env, check_toolkit((10, 2), "CUDA_HOME=/opt/cuda", _OFFERS), "the CUDA toolkit is too old", [
        "CUDA 10.2 (CUDA_HOME=/opt/cuda)",
        "CUDA 11.2 or newer is required",
        "--//config:cuda=",
    ])
    return unittest.end(env)

def _check_registered_version_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, None, check_registered_version("12.4"))
    for text in ["", "12", "twelve.four"]:
        _assert_problem(env, check_registered_version(text), "the registered toolchain's CUDA version is not stated", [
            "--//config:registered_cuda_version=" + text,
        ])
    return unittest.end(env)

def _check_host_compiler_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, None, check_host_compiler("gcc", "12.2.0", "/usr/bin/gcc", (12, 4)))
    asserts.equals(env, None, check_host_compiler("clang", "19.1.7", "/usr/bin/clang", (13, 0)))
    _assert_problem(
        env,
        check_host_compiler("gcc", "12.2.0", "/usr/bin/gcc", (11, 8)),
        "the host compiler is too new for the CUDA toolkit",
        ["gcc 12.2.0 (/usr/bin/gcc)", "gcc 9 to 11 with CUDA 11.8", "--repo_env=CC=gcc-11", "apt-get install g++-11"],
    )
    _assert_problem(
        env,
        check_host_compiler("gcc", "8.3.0", "/usr/bin/gcc", (12, 4)),
        "the host compiler is too old for C++17 and PyTorch's headers",
        ["gcc 8.3.0 (/usr/bin/gcc)", "gcc 9 to 13 with CUDA 12.4"],
    )

    # Every toolkit takes the compiler that is fetched.
    for toolkit in [(11, 2), (11, 8), (12, 1), (12, 4), (13, 0), (13, 2), (13, 4)]:
        asserts.equals(env, None, check_host_compiler("gcc", "10.2.1", None, toolkit))
    _assert_problem(
        env,
        check_host_compiler("gcc", "12.2.0", None, (11, 8)),
        "the host compiler is too new for the CUDA toolkit",
        ["gcc 12.2.0 (the compiler the build brings along)", "gcc 9 to 11 with CUDA 11.8", "--config=host_gcc --repo_env=CC=gcc-11"],
    )
    return unittest.end(env)

def _select_archs_test_impl(ctx):
    env = unittest.begin(ctx)
    for setting, environment, version, bf16, expected in [
        ("", "", (13, 0), True, "80;90+PTX"),
        ("", "", (12, 4), True, "70;80;90+PTX"),
        ("", "7.5;8.6", (13, 0), True, "75;86"),
        ("9.0a", "7.5", (13, 0), True, "90a"),
        ("7.5", "", (13, 0), False, "75"),
    ]:
        archs, problem = select_archs(setting, environment, version, "here", bf16, KNOWN_ARCHS)
        asserts.equals(env, None, problem)
        asserts.equals(env, expected, format_archs(archs))
    _assert_problem(
        env,
        select_archs("", "7.0;8.0", (13, 0), "here", True, KNOWN_ARCHS)[1],
        "the CUDA toolkit cannot build architecture 70",
        ["TORCH_CUDA_ARCH_LIST=70;80 and CUDA 13.0 (here)", "has: 75 80 86", "CUDA 11.2 to 12.9 has 70"],
    )
    _assert_problem(
        env,
        select_archs("Hopper", "", (11, 7), "here", True, KNOWN_ARCHS)[1],
        "the CUDA toolkit cannot build architecture 90",
        ["--//config:cuda_archs=90+PTX and CUDA 11.7 (here)", "CUDA 11.8 and newer has 90"],
    )
    _assert_problem(
        env,
        select_archs("", "8.0;Hoper", (13, 0), "here", True, KNOWN_ARCHS)[1],
        "the list of GPU architectures cannot be read",
        ["TORCH_CUDA_ARCH_LIST=8.0;Hoper", "\"Hoper\"", "\"8.0;9.0+PTX\""],
    )
    _assert_problem(
        env,
        select_archs("7.0;7.5", "", (12, 4), "here", True, KNOWN_ARCHS)[1],
        "bfloat16 is on, but no selected GPU architecture has it",
        ["--//config:cuda_archs=70;75", "8.0", "--//config:bf16=false"],
    )
    _assert_problem(
        env,
        select_archs("8.0,11.0,8.8+PTX", "", (13, 0), "here", True, ["50", "80", "90"])[1],
        "rules_cuda does not know architecture 88, 110",
        ["--//config:cuda_archs=80;88+PTX;110", "that it knows: 80 90", "leave 88, 110 out", "after 0.3.0 know 11.0"],
    )
    return unittest.end(env)

def _check_torch_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, None, check_torch("2.3.0", "12.1", "here", _OFFERS))
    _assert_problem(env, check_torch("2.2.2+cu121", "12.1", "/site", _OFFERS), "PyTorch is too old", [
        "PyTorch 2.2.2+cu121 (/site)",
        "PyTorch 2.3 or newer",
        "--//config:torch=",
    ])
    _assert_problem(env, check_torch("2.11.0+cpu", "", "/site", _OFFERS), "PyTorch is built without CUDA", [
        "PyTorch 2.11.0+cpu (/site)",
        "torch.version.cuda is None",
        "--//config:torch=",
    ])
    asserts.equals(env, None, check_torch_python("", "3.11", "here"))
    asserts.equals(env, None, check_torch_python("3.11", "3.11", "here"))
    _assert_problem(env, check_torch_python("3.10", "3.11", "/site"), "PyTorch belongs to another Python", [
        "PyTorch for Python 3.10 (/site)",
        "--//config:python=3.10",
    ])
    return unittest.end(env)

def _toolkit_of_torch_test_impl(ctx):
    env = unittest.begin(ctx)
    for cuda, expected in {
        "": "13.0",
        "12.1": "12.1",
        "12.6": "12.4",
        "13.0": "13.0",
        "14.0": "13.0",
    }.items():
        asserts.equals(env, expected, toolkit_of_torch(cuda, _OFFERS))
    return unittest.end(env)

def _check_pairing_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, (None, None), check_pairing((13, 0), "a", "2.11.0+cu130", "13.0", "b", False, _OFFERS))
    minor = "the CUDA toolkit and PyTorch differ in the minor version of CUDA"
    parts = [
        "CUDA 12.4 (CUDA_HOME=/opt/cuda)",
        "PyTorch 2.3.0 built with CUDA 12.1 (/site)",
        "--//config:cuda=12.1",
        "--//config:torch=2.6.0",
        "--//config:allow_cuda_minor_mismatch",
    ]
    problem, warning = check_pairing((12, 4), "CUDA_HOME=/opt/cuda", "2.3.0", "12.1", "/site", False, _OFFERS)
    asserts.equals(env, None, warning)
    _assert_problem(env, problem, minor, parts)
    problem, warning = check_pairing((12, 4), "CUDA_HOME=/opt/cuda", "2.3.0", "12.1", "/site", True, _OFFERS)
    asserts.equals(env, None, problem)
    _assert_problem(env, warning, minor, parts)
    for allow in [False, True]:
        problem, warning = check_pairing((12, 4), "here", "2.11.0+cu130", "13.0", "there", allow, _OFFERS)
        asserts.equals(env, None, warning)
        _assert_problem(
            env,
            problem,
            "the CUDA toolkit and PyTorch differ in the major version of CUDA",
            ["CUDA 12.4 (here)", "PyTorch 2.11.0+cu130 built with CUDA 13.0 (there)", "--//config:cuda=13.0"],
        )
        asserts.false(env, "allow_cuda_minor_mismatch" in format_problem(problem), "no override for a major difference")
    return unittest.end(env)

def _check_python_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, None, check_python("3.11", _OFFERS))
    _assert_problem(env, check_python("3.9", _OFFERS), "the selected Python is not supported", [
        "a toolchain for Python 3.9",
        "one of 3.10, 3.11",
    ])
    return unittest.end(env)

def _no_python_test_impl(ctx):
    env = unittest.begin(ctx)
    _assert_problem(
        env,
        no_python("3.12", ["/usr/bin/python3 is Python 3.11"], []),
        "Python 3.12 with its C headers was not found on this machine",
        ["/usr/bin/python3 is Python 3.11", "python3.12 or", "the package python3.12-dev"],
    )
    cures = ["--//config:python=3.11, which is here (/usr/bin/python3)", "uv python install 3.12"]
    _assert_problem(env, no_python("3.12", [], cures), "Python 3.12 with its C headers was not found on this machine", cures)
    _assert_problem(env, no_pip("torch", ["/usr/bin/python3 has no pip"]), "no Python with pip was found", [
        "/usr/bin/python3 has no pip",
        "locked wheels (torch)",
        "apt-get install python3-pip",
    ])
    return unittest.end(env)

def _archive_failed_test_impl(ctx):
    env = unittest.begin(ctx)
    _assert_problem(
        env,
        archive_failed("https://host/cuda_nvcc.tar.xz", "0123", "12.4"),
        "the CUDA toolkit could not be downloaded",
        ["https://host/cuda_nvcc.tar.xz", "sha256 0123", "--config=local_cuda", "/usr/local/cuda-12.4"],
    )
    return unittest.end(env)

def _download_failed_test_impl(ctx):
    env = unittest.begin(ctx)
    _assert_problem(
        env,
        download_failed("torch", "//locks:x.txt", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
        "a downloaded wheel is not the one that is locked",
        ["torch", "//locks:x.txt", "do not use that file"],
    )
    _assert_problem(
        env,
        download_failed("torch", "//locks:x.txt", "ERROR: No matching distribution found"),
        "pip could not download wheels",
        ["No matching distribution found", "pip config list"],
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
code_for_test = unittest.make(_code_for_test_impl)
host_compiler_range_test = unittest.make(_host_compiler_range_test_impl)
nvcc_version_test = unittest.make(_nvcc_version_test_impl)
check_toolchain_test = unittest.make(_check_toolchain_test_impl)
check_toolkit_test = unittest.make(_check_toolkit_test_impl)
check_registered_version_test = unittest.make(_check_registered_version_test_impl)
check_host_compiler_test = unittest.make(_check_host_compiler_test_impl)
select_archs_test = unittest.make(_select_archs_test_impl)
check_torch_test = unittest.make(_check_torch_test_impl)
toolkit_of_torch_test = unittest.make(_toolkit_of_torch_test_impl)
check_pairing_test = unittest.make(_check_pairing_test_impl)
check_python_test = unittest.make(_check_python_test_impl)
no_python_test = unittest.make(_no_python_test_impl)
archive_failed_test = unittest.make(_archive_failed_test_impl)
download_failed_test = unittest.make(_download_failed_test_impl)
parse_version_test = unittest.make(_parse_version_test_impl)

def lib_test_suite(name):
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
        code_for_test,
        host_compiler_range_test,
        nvcc_version_test,
        check_toolchain_test,
        check_toolkit_test,
        check_registered_version_test,
        check_host_compiler_test,
        select_archs_test,
        check_torch_test,
        check_pairing_test,
        toolkit_of_torch_test,
        check_python_test,
        no_python_test,
        archive_failed_test,
        download_failed_test,
        parse_version_test,
    )
