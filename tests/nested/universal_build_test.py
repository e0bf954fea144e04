"""The universal modules and their wheel are built where there is no PyTorch, and none is fetched."""

from __future__ import annotations

from workspace import Checkout, shared_repositories


def test_no_pytorch_is_fetched() -> None:
    with Checkout("fresh") as checkout:
        targets = ["//:wheel", "//:awq_inference_engine_abi3", "//:ft_attention_abi3"]
        result = checkout.bazel("build", "--nobuild", "--noshow_progress", *shared_repositories(), *targets)
        assert result.returncode == 0, result.stdout[-4000:]
        repositories = checkout.repositories()
        assert [name for name in repositories if "awq_cuda_" in name]
        assert [name for name in repositories if "torch" in name] == []
