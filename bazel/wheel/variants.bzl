"""The configurations of wheels, if one build makes several wheels."""

load("@awq_environment//:environment.bzl", "DEFAULT_PYTHON")
load("//third_party:versions.bzl", "DEFAULT_CUDA", "DEFAULT_TORCH", "TORCH_RELEASES")

_CUDA = str(Label("//config:cuda"))
_MISMATCH = str(Label("//config:allow_cuda_minor_mismatch"))
_PYTHON = str(Label("//config:python"))
_TORCH = str(Label("//config:torch"))
_SETTINGS = [_CUDA, _MISMATCH, _PYTHON, _TORCH]

def _settings(cuda, torch = DEFAULT_TORCH, python = DEFAULT_PYTHON):
    return {
        _CUDA: "auto" if cuda == DEFAULT_CUDA and torch == DEFAULT_TORCH else cuda,
        _MISMATCH: TORCH_RELEASES[torch].cuda != cuda and torch != DEFAULT_TORCH,
        _PYTHON: python,
        _TORCH: torch,
    }

# One configuration for each of attr.toolkits, such as 12.4. PyTorch and Python do not matter.
def _by_toolkit_impl(_, attr):
    return {cuda: _settings(cuda) for cuda in attr.toolkits}

by_toolkit = transition(implementation = _by_toolkit_impl, inputs = [], outputs = _SETTINGS)

# One configuration for each of attr.pairings: PyTorch, Python and toolkit, such as 2.6.0/3.13/12.4.
def _by_pairing_impl(_, attr):
    variants = {}
    for pairing in attr.pairings:
        torch, python, cuda = pairing.split("/")
        variants[pairing] = _settings(cuda, torch, python)
    return variants

by_pairing = transition(implementation = _by_pairing_impl, inputs = [], outputs = _SETTINGS)
