"""Loads a 4-bit checkpoint as a model of the package transformers.

    model = awq_kernels.transformers.load("folder", device="cuda")
    model.generate(...)

The folder (or GGUF file) is what `awq_kernels.checkpoint.open` reads. Linear layers become
`awq_kernels.nn.W4A16Linear`, everything else is loaded as it is. The package transformers is imported by the first
call.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from awq_kernels import checkpoint
from awq_kernels._files import CheckpointError, optional
from awq_kernels.nn import replace_linears

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    model_class: Any = None,
    progress: bool | None = None,
    **config_changes: Any,
) -> Any:
    """A model with the checkpoint's weights, in evaluation mode.

    Args:
        path: what `awq_kernels.checkpoint.open` takes; with config.json unless it is a GGUF file.
        device: where the model goes.
        dtype: float16 or bfloat16; the checkpoint's by default.
        model_class: a class with `from_config`; `transformers.AutoModelForCausalLM` by default.
        progress: whether to draw a bar on stderr; by default only on a terminal.
        **config_changes: attributes of the model's configuration to set, such as `attn_implementation`.

    Returns:
        A `transformers.PreTrainedModel`.

    Raises:
        CheckpointError: the checkpoint cannot be read, or lacks a tensor of the model.
        ValueError: a linear layer of the checkpoint does not fit the model.
        ModuleNotFoundError: transformers, or what reads the format, is not installed.
    """
    transformers = optional("transformers")
    opened = checkpoint.open(path)
    if "model_type" not in opened.config:
        raise CheckpointError(f"{path}: config.json: found no model_type, expected that of a model of transformers")
    dtype = dtype or opened.dtype
    values = {key: value for key, value in opened.config.items() if key not in ("model_type", "rope_interleaved")}
    config = transformers.AutoConfig.for_model(opened.config["model_type"], **values)
    for name, value in config_changes.items():
        setattr(config, name, value)
    with _parameters_on_meta():
        model = (model_class or transformers.AutoModelForCausalLM).from_config(config, dtype=dtype)
    replaced = set(replace_linears(model, opened, device=device, dtype=dtype, progress=progress))

    biases = {f"{name}.bias" for name in replaced}
    wanted = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    names = [name for name in opened.tensors if name not in biases]
    # Frequencies are computed from the configuration; checkpoints of old versions have them all the same.
    unknown = [name for name in names if name not in wanted and not name.endswith(".inv_freq")]
    if unknown:
        warnings.warn(
            f"{path}: the model has no place for {', '.join(unknown[:5])} ({len(unknown)} tensors)", stacklevel=2
        )
    for name, value in opened.read(device, dtype, [name for name in names if name in wanted], progress):
        assert isinstance(value, Tensor)
        if value.shape != wanted[name].shape:
            found, expected = list(value.shape), list(wanted[name].shape)
            raise CheckpointError(f"{opened.tensors[name].file}: {name}: found shape {found}, expected {expected}")
        _put(model, name, value)
    model.tie_weights()
    missing = [name for name, value in model.named_parameters() if value.is_meta]
    if missing:
        raise CheckpointError(
            f"{path}: found no {missing[0]} (of {len(missing)} that are missing), expected all of the model"
        )
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    folder = pathlib.Path(path)
    if (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    return model.eval()


def _put(model: nn.Module, name: str, value: Tensor) -> None:
    """Replaces a parameter or a buffer."""
    parent, _, last = name.rpartition(".")
    module = model.get_submodule(parent)
    if last in module._parameters:
        setattr(module, last, nn.Parameter(value, requires_grad=False))
    else:
        setattr(module, last, value)


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Makes every parameter that is registered an empty one; buffers, which hold computed tables, stay real."""
    register = nn.Module.register_parameter

    def register_empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        empty = None if parameter is None else nn.Parameter(parameter.to("meta"), requires_grad=False)
        register(module, name, empty)

    nn.Module.register_parameter = register_empty  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
