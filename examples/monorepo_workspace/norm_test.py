"""The result is PyTorch's, and the module that is imported was built for this Python and PyTorch."""

import unittest

import torch
from norm import rms_norm

import awq_inference_engine  # isort: skip


class NormTest(unittest.TestCase):
    def check(self, device: str) -> None:
        torch.manual_seed(0)
        x = torch.randn(1, 16, 1024, dtype=torch.float16, device=device)
        gamma = torch.rand(1024, dtype=torch.float16, device=device)
        expected = torch.nn.functional.rms_norm(x.float(), x.shape[-1:], gamma.float(), 1e-6)
        torch.testing.assert_close(rms_norm(x, gamma).float(), expected, rtol=1e-3, atol=1e-3)

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
