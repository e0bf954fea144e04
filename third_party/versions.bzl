"""Everything that is fetched, with versions and checksums: the one table that WORKSPACE and the module extension read.

MODULE.bazel names the rules' versions once more, because Bazel lets it load nothing; a test compares the two.
Wheels are named here; their versions and hashes stand in the lock files.
"""

# Rules: archive address and integrity as the Bazel Central Registry publishes them.
RULES = {
    "bazel_features": struct(
        version = "1.50.0",
        url = "https://github.com/bazel-contrib/bazel_features/releases/download/v1.50.0/bazel_features-v1.50.0.tar.gz",
        integrity = "sha256-CUNn5zLs4j8zTq+ECJpyC4YdBTvuumpqaDVtOu4dwys=",
        strip_prefix = "bazel_features-1.50.0",
    ),
    "bazel_skylib": struct(
        version = "1.9.0",
        url = "https://github.com/bazelbuild/bazel-skylib/releases/download/1.9.0/bazel-skylib-1.9.0.tar.gz",
        integrity = "sha256-O1tJAGGB9fj/Ym743c6qlem7itKU97XXsR6p992vjFk=",
        strip_prefix = "",
    ),
    "platforms": struct(
        version = "1.1.0",
        url = "https://github.com/bazelbuild/platforms/releases/download/1.1.0/platforms-1.1.0.tar.gz",
        integrity = "sha256-261KI6vMphceR7ee3FO9akEGejt1+eixBGVrRZ/yUEY=",
        strip_prefix = "",
    ),
    "rules_cc": struct(
        version = "0.2.22",
        url = "https://github.com/bazelbuild/rules_cc/releases/download/0.2.22/rules_cc-0.2.22.tar.gz",
        integrity = "sha256-gcEKlaXCLYOCdu6Q1xJjXWBCQZ/fyl74gygia2Mh5Ts=",
        strip_prefix = "rules_cc-0.2.22",
    ),
    "rules_cuda": struct(
        version = "0.3.0",
        url = "https://github.com/bazel-contrib/rules_cuda/releases/download/v0.3.0/rules_cuda-v0.3.0.tar.gz",
        integrity = "sha256-5nfEC4j3eENYf1tRZn7NQCzH6BP8+HmZaprAw2ng3yQ=",
        strip_prefix = "rules_cuda-v0.3.0",
    ),
    "rules_python": struct(
        version = "2.3.2",
        url = "https://github.com/bazel-contrib/rules_python/releases/download/2.3.2/rules_python-2.3.2.tar.gz",
        integrity = "sha256-JaANVeQ3bvbZ8ok4toA4+soXyVWAya/mlT593gE9AOQ=",
        strip_prefix = "rules_python-2.3.2",
    ),
}

PYTHON_VERSIONS = ["3.10", "3.11", "3.12", "3.13"]

CUDA = struct(
    version = "13.0",
    lock = Label("//third_party/cuda:cuda_13_0.txt"),
)

TORCH_VERSION = "2.11.0"

# What `import torch` needs besides torch itself. Triton is left out: only compiling with inductor uses it.
TORCH_RUNTIME_PACKAGES = [
    "filelock",
    "fsspec",
    "jinja2",
    "markupsafe",
    "mpmath",
    "networkx",
    "numpy",
    "nvidia-cublas",
    "nvidia-cuda-cupti",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-runtime",
    "nvidia-cudnn-cu13",
    "nvidia-cufft",
    "nvidia-cufile",
    "nvidia-curand",
    "nvidia-cusolver",
    "nvidia-cusparse",
    "nvidia-cusparselt-cu13",
    "nvidia-nccl-cu13",
    "nvidia-nvjitlink",
    "nvidia-nvshmem-cu13",
    "nvidia-nvtx",
    "setuptools",
    "sympy",
    "typing-extensions",
]

TEST_PACKAGES = [
    "hypothesis",
    "iniconfig",
    "packaging",
    "pluggy",
    "pygments",
    "pytest",
    "sortedcontainers",
]

BENCH_PACKAGES = [
    "contourpy",
    "cycler",
    "fonttools",
    "kiwisolver",
    "matplotlib",
    "packaging",
    "pillow",
    "pyparsing",
    "python-dateutil",
]

LINT_PACKAGES = [
    "ast-serialize",
    "clang-format",
    "librt",
    "mypy",
    "mypy-extensions",
    "pathspec",
    "ruff",
    "typing-extensions",
]

# From npm.
BUILDIFIER = struct(
    version = "8.2.1",
    sha256 = "b96ea9b13003036c801f52bee6f9b0314738f8432e5cb9d814c89f59292604ee",
)

# Resolves the locks.
LOCK_PACKAGES = ["uv"]

CUDA_BINARY_TOOLS = ["nvidia-cuda-cuobjdump"]

# What the oldest Python needs besides.
EXTRA_PACKAGES = {
    "3.10": ["exceptiongroup", "six", "tomli"],
}

def python_lock(version):
    """The lock file of the wheels for a Python version such as "3.11"."""
    return Label("//third_party/wheels/locks:python_{}.txt".format(version.replace(".", "_")))
