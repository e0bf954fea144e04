"""Which GPU architectures each CUDA toolkit can build: the one table that the build, its errors and its tests read.

The architectures are what `nvcc --list-gpu-arch` of the toolkits prints, from 70 up, plus the a-variants (code that uses
features of exactly one architecture, such as wgmma on 90a).
"""

# In order of the version from which on a row holds; `add` and `drop` change what the row before has.
_ROWS = [
    struct(since = (11, 0), add = ["70", "75", "80"], drop = []),
    struct(since = (11, 1), add = ["86"], drop = []),
    struct(since = (11, 4), add = ["87"], drop = []),
    struct(since = (11, 8), add = ["89", "90"], drop = []),
    struct(since = (12, 0), add = ["90a"], drop = []),
    struct(since = (12, 8), add = ["100", "100a", "101", "101a", "120", "120a"], drop = []),
    struct(since = (12, 9), add = ["103", "103a", "121", "121a"], drop = []),
    struct(since = (13, 0), add = ["88", "110", "110a"], drop = ["70", "101", "101a"]),
]

# Every architecture that some toolkit can build.
KNOWN_ARCHS = ["70", "75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "101", "101a", "103", "103a", "110", "110a", "120", "120a", "121", "121a"]

# Built where nothing else is asked for, as far as the toolkit has them; the newest also as PTX.
_DEFAULT_ARCHS = ["70", "80", "90"]

def parse_version(text):
    """Turns "12.4" or "12.4.131" into (12, 4)."""
    parts = text.split(".")
    return (int(parts[0]), int(parts[1]))

def arch_number(arch):
    """The architecture as a number: 90 for "90" and "90a"."""
    return int(arch.rstrip("af"))

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
    """Says which toolkits can build an architecture, in words.

    Args:
      arch: such as "70".

    Returns:
      A phrase such as "CUDA 11.0 to 12.9" or "CUDA 13.0 and newer".
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

def default_archs(version):
    """The architectures built where nothing else is asked for.

    Args:
      version: (major, minor) of the toolkit.

    Returns:
      A list of structs as `parse_arch_list` returns.
    """
    archs = [a for a in _DEFAULT_ARCHS if a in supported_archs(version)]
    return [struct(arch = a, ptx = a == archs[-1]) for a in archs]
