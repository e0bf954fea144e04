"""The universal modules are built where no PyTorch is fetched; kernels are compiled once for several modules."""

from __future__ import annotations

import re

from workspace import Checkout, shared_repositories


def test_no_pytorch_is_fetched() -> None:
    with Checkout("fresh") as checkout:
        targets = ["//:wheel", "//:awq_inference_engine_abi3", "//:ft_attention_abi3"]
        result = checkout.bazel("build", "--nobuild", "--noshow_progress", *shared_repositories(), *targets)
        assert result.returncode == 0, result.stdout[-4000:]
        repositories = checkout.repositories()
        assert [name for name in repositories if "awq_cuda_" in name]
        assert [name for name in repositories if "torch" in name] == []


def test_another_python_or_pytorch_compiles_no_kernel_again() -> None:
    """The actions of nvcc are the same ones, with the same outputs."""
    with Checkout("actions") as checkout:
        actions = []
        for options in ([], ["--//config:python=3.13"], ["--//config:cuda=13.0", "--//config:torch=2.15.0"]):
            query = "mnemonic('CudaCompile', deps(//csrc/bindings:w4a16))"
            result = checkout.bazel("aquery", "--noshow_progress", *shared_repositories(), *options, query)
            assert result.returncode == 0, result.stdout[-4000:]
            actions.append(sorted(re.findall(r"(?:ActionKey|Outputs): (.+)", result.stdout)))
        assert len(actions[0]) >= 10
        assert actions[0] == actions[1] == actions[2]
