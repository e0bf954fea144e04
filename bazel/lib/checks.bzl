"""Checks of the environment that a build needs. A problem says what was found, where, what was expected, and the cure.

The build's rules call these functions with the facts that they found. //doctor calls them too; it executes this file as
Python. The file therefore uses only what Starlark and Python share. Each check returns None or a problem. `offers` is
always OFFERS of //third_party:versions.bzl, the versions that the build can fetch.
"""

load(":arch_list.bzl", "ARCH_LIST_GRAMMAR", "format_archs", "parse_arch_list")
load(
    ":cuda_versions.bzl",
    "KNOWN_ARCHS",
    "OLDEST_CUDA",
    "arch_number",
    "default_archs",
    "format_version",
    "host_compiler_range",
    "parse_version",
    "supported_archs",
    "toolkits_with",
)
load(":problems.bzl", "problem")

# The oldest PyTorch that the modules were built with.
OLDEST_TORCH = (2, 3)

# The origin of a compiler, for messages.
FETCHED_COMPILER = "the compiler the build brings along"

_LOCAL_CUDA = "--//config:cuda=local --repo_env=CUDA_HOME=/usr/local/cuda-X.Y"
_DEVEL_IMAGES = "in containers, only images tagged 'devel' hold nvcc ('base' and 'runtime' do not)"

def _fetched_cuda(offers):
    return "use one the build brings along: --//config:cuda=" + " or ".join(offers.cuda)

def _fetched_torch(offers):
    return "use one the build brings along: --//config:torch=" + " or ".join(offers.torch.keys())

def toolkit_of_torch(cuda, offers):
    """The toolkit that //config:cuda=auto selects.

    Args:
      cuda: the CUDA version PyTorch is built with, such as "13.0"; "" for none.
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      That version, if it is offered. Otherwise the newest offered version with the same major number, or else the
      default. The check of the pair then reports the difference.
    """
    same_major = [v for v in offers.cuda if cuda and v.split(".")[0] == cuda.split(".")[0]]
    if cuda in offers.cuda:
        return cuda
    return same_major[-1] if same_major else offers.default_cuda

# ---- the CUDA toolkit -----------------------------------------------------------------------------------------------

def no_cuda_home(cuda_home, usual_place, offers):
    """The problem that CUDA_HOME names no folder.

    Args:
      cuda_home: its value, or "" if neither CUDA_HOME nor CUDA_PATH is set.
      usual_place: the folder of a toolkit that exists although no variable names it, or "".
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      The problem.
    """
    return problem(
        title = "CUDA_HOME is not a CUDA toolkit" if cuda_home else "CUDA_HOME is not set",
        found = "CUDA_HOME={}, which is no folder".format(cuda_home) if cuda_home else "--//config:cuda=local, and neither CUDA_HOME nor CUDA_PATH in the environment",
        expected = "the folder of a CUDA toolkit, with bin/nvcc below it",
        cure = "--repo_env=CUDA_HOME={}, or the toolkit the build brings along: --//config:cuda={}".format(
            usual_place or "/usr/local/cuda",
            offers.default_cuda,
        ),
    )

def no_nvcc(cuda_home, offers):
    """The problem that the folder in CUDA_HOME has no nvcc."""
    return problem(
        title = "nvcc is missing",
        found = "no {}/bin/nvcc".format(cuda_home),
        expected = "a CUDA toolkit with its compiler",
        cure = "install the toolkit's compiler (cuda-nvcc-X-Y and cuda-cudart-dev-X-Y of NVIDIA's packages; {}), or let CUDA_HOME\n".format(_DEVEL_IMAGES) +
               "name a whole toolkit, or use the one the build brings along: --//config:cuda={}".format(offers.default_cuda),
    )

def nvcc_does_not_run(nvcc, output):
    """The problem that nvcc exists, but cannot be executed or prints no version.

    Args:
      nvcc: its path.
      output: the text that it printed.

    Returns:
      The problem.
    """
    return problem(
        title = "nvcc does not run",
        found = "`{} --version` printed: {}".format(nvcc, output.strip() or "nothing"),
        expected = "a line with \"release X.Y\"",
        cure = "check that the toolkit is made for this processor, whole and executable; {}".format(_DEVEL_IMAGES),
    )

def incomplete_toolkit(cuda_home, missing):
    """The problem that a part of the toolkit other than nvcc is missing.

    Args:
      cuda_home: the toolkit's folder.
      missing: the missing file, relative to that folder.

    Returns:
      The problem.
    """
    return problem(
        title = "the CUDA toolkit is incomplete",
        found = "no {} in {}".format(missing, cuda_home),
        expected = "a toolkit with compiler, headers and the static runtime",
        cure = "install the development parts (cuda-nvcc-X-Y, cuda-cudart-dev-X-Y and cuda-cccl-X-Y of NVIDIA's packages; {})".format(_DEVEL_IMAGES),
    )

def check_registered_version(text):
    """Checks that the version of a registered toolchain is stated.

    Args:
      text: value of //config:registered_cuda_version.

    Returns:
      None or a problem.
    """
    parts = text.split(".")
    if len(parts) >= 2 and (parts[0] + parts[1]).isdigit():
        return None
    return problem(
        title = "the registered toolchain's CUDA version is not stated",
        found = "--//config:cuda=registered and --//config:registered_cuda_version={}".format(text),
        expected = "the version of CUDA that the toolchain compiles with, as rules_cuda does not tell",
        cure = "--//config:registered_cuda_version=13.0, or whichever it is",
    )

def check_toolchain(compiler, setting):
    """Checks that the toolchain that compiles is the one that //config:cuda selects.

    A workspace that includes this one may register its own toolchain, which then comes first.

    Args:
      compiler: path of the nvcc that toolchain resolution selects.
      setting: value of //config:cuda.

    Returns:
      None or a problem.
    """
    if setting == "registered" or "awq_cuda_" in compiler:
        return None
    return problem(
        title = "the registered CUDA toolchain is not the one that is asked for",
        found = "--//config:cuda={} and a toolchain whose compiler is {}".format(setting, compiler),
        expected = "one toolkit for kernels, headers and runtime",
        cure = "--@awq_kernels//config:cuda=registered and --@awq_kernels//config:registered_cuda_version=X.Y for that toolchain,\n" +
               "or register it with `target_settings` that leave these modules out",
    )

def check_toolkit(version, where, offers):
    """Checks that a toolkit is new enough.

    Args:
      version: (major, minor).
      where: where it was found, as text for messages.
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      None or a problem.
    """
    if version >= OLDEST_CUDA:
        return None
    return problem(
        title = "the CUDA toolkit is too old",
        found = "CUDA {} ({})".format(format_version(version), where),
        expected = "CUDA {} or newer is required".format(format_version(OLDEST_CUDA)),
        cure = "let CUDA_HOME name a newer toolkit, or " + _fetched_cuda(offers),
    )

def check_host_compiler(kind, compiler_version, path, cuda):
    """Checks that nvcc and PyTorch's headers accept the host compiler.

    Args:
      kind: "gcc" or "clang".
      compiler_version: its version, such as "12.2.0".
      path: its path; None for the compiler that the build fetches.
      cuda: (major, minor) of the toolkit.

    Returns:
      None or a problem.
    """
    oldest, newest = host_compiler_range(kind, cuda)
    major = int(compiler_version.split(".")[0])
    if major >= oldest and major <= newest:
        return None
    return problem(
        title = "the host compiler is too {}".format("old for C++17 and PyTorch's headers" if major < oldest else "new for the CUDA toolkit"),
        found = "{} {} ({})".format(kind, compiler_version, path or FETCHED_COMPILER),
        expected = "{} {} to {} with CUDA {}".format(kind, oldest, newest, format_version(cuda)),
        cure = "install a compiler of that range and name it: --config=host_gcc --repo_env=CC={} (Debian, Ubuntu: apt-get install {})".format(
            {"clang": "clang-{}", "gcc": "gcc-{}"}[kind].format(newest),
            {"clang": "clang-{}", "gcc": "g++-{}"}[kind].format(newest),
        ),
    )

# ---- architectures --------------------------------------------------------------------------------------------------

def arch_list_source(setting, environment):
    """Selects the list of architectures: the setting, or else the environment variable.

    Args:
      setting: value of //config:cuda_archs.
      environment: value of TORCH_CUDA_ARCH_LIST.

    Returns:
      (list, where it comes from). Both are empty if the toolkit's default applies.
    """
    if setting:
        return setting, "--//config:cuda_archs"
    return (environment, "TORCH_CUDA_ARCH_LIST") if environment else ("", "")

def check_arch_list(text, source):
    """Checks that a list of architectures can be read.

    Args:
      text: the list.
      source: the setting or variable it comes from.

    Returns:
      `(archs, problem)`, one of which is None; `archs` is as parse_arch_list returns.
    """
    archs, complaint = parse_arch_list(text)
    if complaint == None:
        return archs, None
    return None, problem(
        title = "the list of GPU architectures cannot be read",
        found = "{}={}: {}".format(source, text, complaint),
        expected = ARCH_LIST_GRAMMAR,
        cure = "--//config:cuda_archs=\"8.0;9.0+PTX\", or leave both unset for the toolkit's default",
    )

def check_archs(archs, source, version, where):
    """Checks that a toolkit can build the architectures.

    Args:
      archs: as parse_arch_list returns.
      source: the setting or variable they come from.
      version: (major, minor) of the toolkit.
      where: where it was found, as text for messages.

    Returns:
      None or a problem.
    """
    has = supported_archs(version)
    unknown = [a.arch for a in archs if a.arch not in has]
    if not unknown:
        return None
    return problem(
        title = "the CUDA toolkit cannot build architecture {}".format(", ".join(unknown)),
        found = "{}={} and CUDA {} ({})".format(source, format_archs(archs), format_version(version), where),
        expected = "architectures that CUDA {} has: {}".format(format_version(version), " ".join(has)),
        cure = "leave {} out, or choose another toolkit: {}".format(
            ", ".join(unknown),
            "; ".join(["{} has {}".format(toolkits_with(a), a) for a in unknown]),
        ),
    )

def check_archs_of_rules(archs, source, known):
    """Checks that the rules that compile CUDA accept the architectures.

    Args:
      archs: as parse_arch_list returns.
      source: the setting or variable they come from.
      known: the architectures that rules_cuda knows, such as ["80", "90a"].

    Returns:
      None or a problem.
    """
    unknown = [a.arch for a in archs if a.arch not in known]
    if not unknown:
        return None
    return problem(
        title = "rules_cuda does not know architecture {}".format(", ".join(unknown)),
        found = "{}={}, and the rules_cuda of this build".format(source, format_archs(archs)),
        expected = "architectures that it knows: {}".format(" ".join([a for a in KNOWN_ARCHS if a in known])),
        cure = "leave {} out (PTX of an older one, such as 9.0+PTX, runs there too), or use a rules_cuda that knows it; ".format(
            ", ".join(unknown),
        ) + "versions after 0.3.0 know 11.0",
    )

def check_bf16(archs, source):
    """Checks that at least one selected architecture has bfloat16.

    Args:
      archs: as parse_arch_list returns.
      source: the setting or variable they come from.

    Returns:
      None or a problem.
    """
    if [a for a in archs if arch_number(a.arch) >= 80]:
        return None
    return problem(
        title = "bfloat16 is on, but no selected GPU architecture has it",
        found = "--//config:bf16=true (the default) and {}={}".format(source or "the default", format_archs(archs)),
        expected = "an architecture from 8.0 up in the list",
        cure = "--//config:bf16=false for GPUs before Ampere, or add 8.0 or a newer architecture",
    )

def select_archs(setting, environment, version, where, bf16, rules_archs):
    """Runs all checks of architectures in their order.

    Args:
      setting: value of //config:cuda_archs.
      environment: value of TORCH_CUDA_ARCH_LIST.
      version: (major, minor) of the toolkit.
      where: where it was found, as text for messages.
      bf16: whether bfloat16 kernels are compiled.
      rules_archs: the architectures that rules_cuda knows.

    Returns:
      `(archs, problem)`, one of which is None.
    """
    text, source = arch_list_source(setting, environment)
    archs = default_archs(version)
    if text:
        archs, unreadable = check_arch_list(text, source)
        if unreadable:
            return None, unreadable
    found = check_archs(archs, source, version, where) or check_archs_of_rules(archs, source, rules_archs)
    if not found and bf16:
        found = check_bf16(archs, source)
    return (None, found) if found else (archs, None)

# ---- PyTorch --------------------------------------------------------------------------------------------------------

def no_torch(where, offers):
    """The problem that no installed PyTorch was found.

    Args:
      where: the places that were searched, one per line.
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      The problem.
    """
    return problem(
        title = "PyTorch is not installed",
        found = where,
        expected = "with --//config:torch=local: a Python that can import torch, or a folder that holds torch/",
        cure = "install PyTorch for that Python, or name it: --repo_env=AWQ_TORCH_PATH=/path/to/site-packages, or\n" +
               _fetched_torch(offers),
    )

def check_torch(version, cuda, where, offers):
    """Checks that the modules can be built against a PyTorch.

    Args:
      version: such as "2.11.0+cu130".
      cuda: the CUDA version it is built with, such as "13.0"; "" for none.
      where: where it was found, as text for messages.
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      None or a problem.
    """
    if parse_version(version) < OLDEST_TORCH:
        return problem(
            title = "PyTorch is too old",
            found = "PyTorch {} ({})".format(version, where),
            expected = "PyTorch {} or newer".format(format_version(OLDEST_TORCH)),
            cure = "upgrade it, or " + _fetched_torch(offers),
        )
    if not cuda:
        return problem(
            title = "PyTorch is built without CUDA",
            found = "PyTorch {} ({}), whose torch.version.cuda is None".format(version, where),
            expected = "a PyTorch built with CUDA",
            cure = "install a CUDA build (not one marked +cpu or +rocm), or " + _fetched_torch(offers),
        )
    return None

def check_pairing(cuda, cuda_where, torch, torch_cuda, torch_where, allow_minor_mismatch, offers):
    """Checks that the toolkit and PyTorch have the same version of CUDA, major and minor.

    Args:
      cuda: (major, minor) of the toolkit.
      cuda_where: where it was found, as text for messages.
      torch: version of PyTorch.
      torch_cuda: the CUDA version it is built with, such as "13.0".
      torch_where: where it was found, as text for messages.
      allow_minor_mismatch: value of //config:allow_cuda_minor_mismatch.
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      `(problem, warning)`. Each is None or a problem. A minor difference that is allowed is a warning.
    """
    wanted = parse_version(torch_cuda)
    if cuda == wanted:
        return None, None
    cures = []
    if torch_cuda in offers.cuda:
        cures.append("--//config:cuda=" + torch_cuda)
    cures.append(_LOCAL_CUDA.replace("X.Y", torch_cuda))
    for version in offers.torch:
        if parse_version(offers.torch[version].cuda) == cuda:
            cures.append("--//config:torch=" + version)
    minor = cuda[0] == wanted[0]
    if minor:
        cures.append("--//config:allow_cuda_minor_mismatch, if no toolkit of that version is to be had")
    result = problem(
        title = "the CUDA toolkit and PyTorch differ in the {} version of CUDA".format("minor" if minor else "major"),
        found = "CUDA {} ({})\nPyTorch {} built with CUDA {} ({})".format(format_version(cuda), cuda_where, torch, torch_cuda, torch_where),
        expected = "the same version of CUDA in both",
        cure = "one of\n" + "\n".join(cures),
    )
    return (None, result) if minor and allow_minor_mismatch else (result, None)

def no_torch_for_python(torch, python, offers):
    """The problem that PyTorch has no wheel for the selected Python."""
    return problem(
        title = "PyTorch {} has no wheel for Python {}".format(torch, python),
        found = "--//config:torch={} and --//config:python={}".format(torch, python),
        expected = "Python " + ", ".join(offers.torch[torch].pythons),
        cure = "choose one of these by --//config:python, or another PyTorch",
    )

def check_torch_python(torch_python, python, where):
    """Checks that an installed PyTorch belongs to the selected Python.

    Args:
      torch_python: the Python it is for, such as "3.11"; "" for any.
      python: value of //config:python.
      where: where it was found, as text for messages.

    Returns:
      None or a problem.
    """
    if torch_python in ["", python]:
        return None
    return problem(
        title = "PyTorch belongs to another Python",
        found = "PyTorch for Python {} ({}) and --//config:python={}".format(torch_python, where, python),
        expected = "both the same",
        cure = "--//config:python={}, or --repo_env=AWQ_TORCH_PATH=/path/to/site-packages of Python {}".format(torch_python, python),
    )

# ---- Python ---------------------------------------------------------------------------------------------------------

def check_python(version, offers):
    """Checks that the modules can be built for a Python version.

    Args:
      version: such as "3.11".
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      None or a problem.
    """
    if version in offers.pythons:
        return None
    return problem(
        title = "the selected Python is not supported",
        found = "a toolchain for Python " + version,
        expected = "one of " + ", ".join(offers.pythons),
        cure = "register a toolchain of one of these, or choose it: --//config:python",
    )
