"""The layer computes what its weights say, and the module that it imports was built for this Python and PyTorch."""

import unittest

import torch
from linear import QuantizedLinear

import awq_inference_engine  # isort: skip


class LinearTest(unittest.TestCase):
    def check(self, device: str) -> None:
        torch.manual_seed(0)
        weight = torch.randn(256, 512, dtype=torch.float16, device=device)
        x = torch.randn(16, 512, dtype=torch.float16, device=device)
        exact = x.float() @ weight.float().T
        error = (QuantizedLinear(weight)(x).float() - exact).norm() / exact.norm()
        self.assertGreater(error, 0.0)
        self.assertLess(error, 0.15)  # 4 bits

    def test_on_the_cpu(self) -> None:
        self.check("cpu")

    @unittest.skipUnless(torch.cuda.is_available(), "there is no GPU")
    def test_on_the_gpu(self) -> None:
        self.check("cuda")

    def test_wrong_arguments_are_named(self) -> None:
        x = torch.zeros(1, 16, 512, dtype=torch.float16)
        with self.assertRaisesRegex(ValueError, "layernorm_forward_cuda: .* must be on a CUDA device"):
            awq_inference_engine.layernorm_forward_cuda(x, x[0, 0], x.clone(), 1e-6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
