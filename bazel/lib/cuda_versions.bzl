"""The architectures and host compilers of each CUDA toolkit, for the build, its errors, the doctor and the tests.

The architectures are those that `nvcc --list-gpu-arch` of the toolkits prints, from 70 up, and the a-variants. An
a-variant is code that uses features of exactly one architecture, such as wgmma on 90a. The host compilers are those
that the toolkits' own crt/host_config.h accepts. A test compares both with the selected toolkit.

Python executes this file too (see //doctor), so it uses only what the two languages share.
"""

# The oldest toolkit that is accepted. 11.2.2 does not compile the kernels: __grid_constant__ came with 11.7.
OLDEST_CUDA = (11, 8)

# A row holds from version `since` on; the rows are in that order. `add` and `drop` change the architectures of the row
# before. `gcc` and `clang` are the newest accepted host compilers.
_ROWS = [
    struct(since = (11, 8), add = ["70", "75", "80", "86", "87", "89", "90"], drop = [], gcc = 11, clang = 14),
    struct(since = (12, 0), add = ["90a"], drop = [], gcc = 12, clang = 14),
    struct(since = (12, 1), add = [], drop = [], gcc = 12, clang = 15),
    struct(since = (12, 3), add = [], drop = [], gcc = 12, clang = 16),
    struct(since = (12, 4), add = [], drop = [], gcc = 13, clang = 17),
    struct(since = (12, 6), add = [], drop = [], gcc = 13, clang = 18),
    struct(since = (12, 8), add = ["100", "100a", "101", "101a", "120", "120a"], drop = [], gcc = 14, clang = 19),
    struct(since = (12, 9), add = ["103", "103a", "121", "121a"], drop = [], gcc = 14, clang = 19),
    struct(since = (13, 0), add = ["88", "110", "110a"], drop = ["70", "101", "101a"], gcc = 15, clang = 20),
    struct(since = (13, 1), add = [], drop = [], gcc = 15, clang = 21),
    struct(since = (13, 4), add = ["107", "107a"], drop = [], gcc = 16, clang = 21),
]

# The oldest host compilers. The kernels need C++17, and PyTorch's headers refuse older compilers.
_OLDEST_HOST_COMPILER = {"clang": 9, "gcc": 9}

# The default architectures, as far as the toolkit has them. The newest is also built as PTX.
_DEFAULT_ARCHS = ["70", "80", "90"]

def parse_version(text):
    """Turns "12.4" or "12.4.131" into (12, 4)."""
    parts = text.split(".")
    return (int(parts[0]), int(parts[1]))

def format_version(version):
    """Turns (12, 4) into "12.4"."""
    return "{}.{}".format(version[0], version[1])

def nvcc_version(text):
    """Reads the version from the output of `nvcc --version`.

    Args:
      text: its output, with a line such as "Cuda compilation tools, release 12.4, V12.4.131".

    Returns:
      (12, 4), or None if there is no such line.
    """
    _, found, rest = text.partition("release ")
    release = rest.partition(",")[0].strip()
    parts = release.split(".")
    if not found or len(parts) != 2 or not (parts[0] + parts[1]).isdigit():
        return None
    return parse_version(release)

def arch_number(arch):
    """The architecture as a number: 90 for "90" and "90a"."""
    return int(arch.rstrip("af"))

# Every architecture that some toolkit can build, oldest first.
KNOWN_ARCHS = sorted([arch for row in _ROWS for arch in row.add], key = lambda arch: (arch_number(arch), arch))

def supported_archs(version):
    """The architectures a toolkit can build.

    Args:
      version: (major, minor) of the toolkit.

    Returns:
      A list such as ["75", "80", ...], oldest first.
    """
    archs = []
    for row in _ROWS:
        if version >= row.since:
            archs = [a for a in archs if a not in row.drop] + row.add
    return [a for a in KNOWN_ARCHS if a in archs]

def toolkits_with(arch):
    """Says which toolkits can build an architecture, as text for messages.

    Args:
      arch: such as "70".

    Returns:
      A phrase such as "CUDA 11.8 to 12.9" or "CUDA 13.0 and newer".
    """
    first = [row.since for row in _ROWS if arch in row.add]
    last = [row.since for row in _ROWS if arch in row.drop]
    if not first:
        return "no CUDA toolkit"
    start = "CUDA {}.{}".format(*first[0])
    if not last:
        return start + " and newer"
    before = [row.since for row in _ROWS if row.since < last[0]][-1]
    return "{} to {}.{}".format(start, before[0], before[1])

def host_compiler_range(kind, version):
    """The host compilers that a toolkit and PyTorch's headers both accept.

    Args:
      kind: "gcc" or "clang".
      version: (major, minor) of the toolkit.

    Returns:
      (oldest, newest), two major versions.
    """
    newest = [{"clang": row.clang, "gcc": row.gcc}[kind] for row in _ROWS if version >= row.since][-1]
    return (_OLDEST_HOST_COMPILER[kind], newest)

def default_archs(version):
    """The architectures that are built by default.

    Args:
      version: (major, minor) of the toolkit.

    Returns:
      A list of structs as `parse_arch_list` returns.
    """
    archs = [a for a in _DEFAULT_ARCHS if a in supported_archs(version)]
    return [struct(arch = a, ptx = a == archs[-1]) for a in archs]
