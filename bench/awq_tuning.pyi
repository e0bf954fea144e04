"""The configurations of the matrix products, one by one, and plans for GPUs that are not there."""

class Device:
    """What the tables look at; `max_smem_bytes_per_block` is what a block may opt in to."""

    def __init__(self, arch: int, sm_count: int, max_smem_bytes_per_block: int) -> None: ...
    @property
    def arch(self) -> int: ...
    @property
    def sm_count(self) -> int: ...
    @property
    def max_smem_bytes_per_block(self) -> int: ...

class Problem:
    """Sizes and types of a product."""

    def choose(self, device: Device) -> tuple[str, int, int] | None:
        """What the tables choose: configuration, parts or channels, bytes of workspace. None: nothing serves it."""

    def cut(self, configuration: str, waves: int, device: Device) -> tuple[str, int, int] | None:
        """The same for a configuration and number of waves. None: it does not serve the problem."""

    def run(
        self, configuration: str, waves: int, addresses: dict[str, int], stream: int, constant_weights: bool = False
    ) -> None:
        """Launches it. Addresses: in, weights, scales, out, workspace; zeros (4-bit); token_scales (8-bit)."""

def this_device() -> Device:
    """The current one."""

def configurations(family: str) -> list[tuple[str, int, int, int, int]]:
    """Of each: name, only architecture or 0, tokens and channels of a tile, bytes of shared memory."""

def w4a16_v2(m: int, n: int, k: int, group_size: int, bfloat16: bool = False) -> Problem: ...
def w4a16_v1(m: int, n: int, k: int, group_size: int, padded_groups: int) -> Problem: ...
def w8a8(m: int, n: int, k: int) -> Problem: ...
def attention_plan(
    batch: int, heads: int, kv_heads: int, head_dim: int, cache_len: int, timestep: int, device: Device
) -> tuple[int, bool, bool, int]:
    """What decode attention in float16 chooses.

    Pieces of a sequence, merged in a cluster, blocks have multiprocessors of their own, bytes of workspace.
    """
