"""What the benchmark runs on and with: the GPU, the versions, the extension modules."""

from __future__ import annotations

import datetime
import hashlib
import importlib
import platform
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

__all__ = ["Unavailable", "describe", "load_modules", "require_gpu"]

MODULES = ("awq_inference_engine", "ft_attention")
NO_GPU, NO_MODULES = 3, 4  # exit statuses


class Unavailable(Exception):
    """Something that measuring needs is not here; `status` is the exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def require_gpu() -> None:
    """Raises Unavailable if PyTorch or a CUDA device is missing."""
    try:
        import torch
    except ImportError as error:
        raise Unavailable(NO_MODULES, f"cannot import torch: {error}") from error
    if not torch.cuda.is_available():
        raise Unavailable(NO_GPU, "PyTorch finds no CUDA device here, and without one there is nothing to measure")


def load_modules() -> dict[str, ModuleType]:
    """The extension modules by name; raises Unavailable if one cannot be imported."""
    try:
        importlib.import_module("awq_kernels")
        modules = {name: importlib.import_module(name) for name in MODULES}
        for name, module in modules.items():
            # Without the built module, Python takes the folder of its sources for a package.
            if module.__file__ is None:
                raise ImportError(f"No module named {name!r}, only the folder of its sources")
        return modules
    except ImportError as error:
        raise Unavailable(
            NO_MODULES,
            f"cannot import the modules: {error}\n"
            "Run ./bazelw run //bench, which builds them, or build them for this Python (./bazelw build "
            "//:awq_inference_engine //:ft_attention) and set PYTHONPATH=<their folders>:python.",
        ) from error


def describe(modules: dict[str, ModuleType]) -> dict[str, str]:
    """Facts that a reader needs to compare two runs."""
    import torch

    gpu = torch.cuda.get_device_properties(torch.cuda.current_device())
    facts = {
        "GPU": f"{gpu.name}, {gpu.multi_processor_count} SMs, compute capability {gpu.major}.{gpu.minor}, "
        f"L2 {gpu.L2_cache_size / 2**20:.0f} MiB, memory {gpu.total_memory / 2**30:.0f} GiB",
        "driver": _driver(),
        "PyTorch": f"{torch.__version__}, CUDA {torch.version.cuda}",
        "Python": platform.python_version(),
        "host": f"{platform.system()} {platform.machine()}",
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }
    for name, module in modules.items():
        file = Path(module.__file__ or "")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        facts[name] = f"{file.stat().st_size / 1e6:.1f} MB, sha256 {digest[:16]}"
    return facts


def _driver() -> str:
    """PyTorch does not know the driver's version; its command line tool does."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    return result.stdout.split("\n")[0].strip() or "unknown"
