"""What every function promises besides its result: streams, CUDA graphs, threads, repeatability, zero rows.

Each case is a function and a set of sizes; the sizes reach every kind of kernel a function chooses from (few rows,
many rows, work split over blocks with scratch memory). Results are compared with an ordinary call, bit for bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from testing.contract import FUNCTIONS, make_arguments
from testing.numeric import assert_same_bits

pytestmark = pytest.mark.gpu

Arguments = dict[str, Any]
CASES: list[tuple[str, dict[str, int]]] = [
    *((name, {}) for name in FUNCTIONS),
    *(
        (name, {"M": rows, "N": 1024, "K": 4096, "P": 32})
        for name in ("gemv_forward_cuda_new", "gemm_forward_cuda_new", "gemv_forward_cuda", "gemm_forward_cuda")
        for rows in (1, 16, 200)
    ),
    *(("w8a8_gemm_fuse_bias_forward_cuda", {"M": rows, "N": 1024, "K": 4096}) for rows in (1, 64, 300)),
    *((name, {"S": 300, "C": 4096}) for name in ("layernorm_forward_cuda", "fused_add_rms_norm", "rms_norm_general")),
    *((name, {"S": 300, "C": 4096}) for name in ("invoke_quant", "silu_and_mul", "gelu_and_quant")),
    ("single_query_attention", {"B": 1, "H": 8, "D": 128, "L": 4096}),
    ("single_query_attention", {"B": 16, "H": 8, "D": 128, "L": 1024}),
]
IDS = ["-".join([name, *(f"{key}{value}" for key, value in sizes.items())]) for name, sizes in CASES]
every_case = pytest.mark.parametrize(("name", "sizes"), CASES, ids=IDS)


def results(name: str, function: Callable[..., Any], arguments: Arguments) -> list[torch.Tensor]:
    """Calls and returns what came back and what was written; written arguments are not copied."""
    returned = function(**arguments)
    written = [arguments[a.name] for a in FUNCTIONS[name].arguments if a.written]
    return written if returned is None else [returned, *written]


def copied(arguments: Arguments) -> Arguments:
    return {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}


def refill(name: str, target: Arguments, source: Arguments) -> None:
    for argument in FUNCTIONS[name].tensors:
        target[argument.name].copy_(source[argument.name])


@every_case
def test_repeated_calls_give_the_same_bits(
    name: str, sizes: dict[str, int], engine: ModuleType, device: torch.device
) -> None:
    arguments, function = make_arguments(name, device=device, **sizes), getattr(engine, name)
    first = results(name, function, copied(arguments))
    for _ in range(4):
        for one, other in zip(first, results(name, function, copied(arguments))):
            assert_same_bits(one, other)


@every_case
def test_a_graph_replays_with_changed_inputs(
    name: str, sizes: dict[str, int], engine: ModuleType, device: torch.device
) -> None:
    function = getattr(engine, name)
    captured = make_arguments(name, device=device, **sizes)
    inputs = [make_arguments(name, device=device, **sizes) for _ in range(3)]
    expected = [results(name, function, copied(each)) for each in inputs]
    # As PyTorch asks for: one call on a side stream first, so that nothing is set up for the first time in the capture.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        function(**captured)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = results(name, function, captured)
    for each, wanted in zip(inputs, expected):
        refill(name, captured, each)
        graph.replay()
        torch.cuda.synchronize()
        for one, other in zip(outputs, wanted):
            assert_same_bits(one, other)


@every_case
def test_work_is_queued_on_the_current_stream(
    name: str, sizes: dict[str, int], engine: ModuleType, device: torch.device
) -> None:
    """Inputs appear on a side stream behind a long delay: a kernel on another stream would read the old ones."""
    function = getattr(engine, name)
    source = make_arguments(name, device=device, **sizes)
    expected = results(name, function, copied(source))
    target = make_arguments(name, device=device, **sizes)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(20_000_000)  # about 10 ms
        refill(name, target, source)
        outputs = results(name, function, target)
    side.synchronize()
    for one, other in zip(outputs, expected):
        assert_same_bits(one, other)


@every_case
def test_calls_do_not_synchronize(name: str, sizes: dict[str, int], engine: ModuleType, device: torch.device) -> None:
    """The call returns while the stream is still busy with what was queued before it."""
    function, arguments = getattr(engine, name), make_arguments(name, device=device, **sizes)
    function(**arguments)
    torch.cuda.synchronize()
    torch.cuda._sleep(200_000_000)  # about 100 ms
    function(**arguments)
    busy = not torch.cuda.current_stream().query()
    torch.cuda.synchronize()
    assert busy


def test_several_threads_on_their_own_streams(engine: ModuleType, ft: ModuleType, device: torch.device) -> None:
    jobs = []
    for name, sizes in CASES:
        arguments, function = make_arguments(name, device=device, **sizes), getattr(engine, name)
        jobs.append((name, function, arguments, results(name, function, copied(arguments))))
    torch.cuda.synchronize()
    failures: list[BaseException] = []

    def work(offset: int) -> None:
        try:
            with torch.cuda.stream(torch.cuda.Stream()):
                for turn in range(3 * len(jobs)):
                    name, function, arguments, expected = jobs[(turn + 5 * offset) % len(jobs)]
                    outputs = results(name, function, copied(arguments))
                    torch.cuda.current_stream().synchronize()
                    for one, other in zip(outputs, expected):
                        assert_same_bits(one, other)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


ZERO_ROWS = {
    "gemv_forward_cuda_new": {"M": 0},
    "gemm_forward_cuda_new": {"M": 0},
    "gemv_forward_cuda": {"M": 0},
    "gemm_forward_cuda": {"M": 0},
    "w8a8_gemm_forward_cuda": {"M": 0},
    "w8a8_gemm_fuse_bias_forward_cuda": {"M": 0},
    "single_query_attention": {"B": 0},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zero_rows(name: str, engine: ModuleType, device: torch.device) -> None:
    for sizes in [ZERO_ROWS[name]] if name in ZERO_ROWS else [{"S": 0}, {"B": 0}]:
        for result in results(name, getattr(engine, name), make_arguments(name, device=device, **sizes)):
            assert result.numel() == 0
    torch.cuda.synchronize()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_tensors_device_is_used_not_the_current_one(name: str, engine: ModuleType, device: torch.device) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    arguments, function = make_arguments(name, device="cuda:0"), getattr(engine, name)
    expected = results(name, function, copied(arguments))
    elsewhere = {
        key: value.to("cuda:1") if isinstance(value, torch.Tensor) else value for key, value in arguments.items()
    }
    with torch.cuda.device(0):
        outputs = results(name, function, elsewhere)
        assert torch.cuda.current_device() == 0
    for one, other in zip(outputs, expected):
        assert one.device.index == 1
        assert_same_bits(one.cpu(), other.cpu())
    mixed = make_arguments(name, device="cuda:0")
    last = FUNCTIONS[name].tensors[-1].name
    if len(FUNCTIONS[name].tensors) > 1:
        mixed[last] = mixed[last].to("cuda:1")
        with pytest.raises(ValueError, match=last):
            function(**mixed)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
