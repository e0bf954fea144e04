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


def test_modules_for_several_pytorches_and_pythons_share_their_kernels() -> None:
    with Checkout("actions") as checkout:

        def compiled(target: str) -> list[str]:
            query = f"mnemonic('CudaCompile', deps({target}))"
            result = checkout.bazel("aquery", "--noshow_progress", *shared_repositories(), query)
            assert result.returncode == 0, result.stdout[-4000:]
            return sorted(re.findall(r"Outputs: (.+)", result.stdout))

        several = compiled("//tests:bindings_for_several")
        assert len(several) >= 5
        assert several == compiled("//csrc/w4a16")
