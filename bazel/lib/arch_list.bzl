"""Lists of GPU architectures as users write them. Python executes this file too, like cuda_versions.bzl."""

load(":cuda_versions.bzl", "KNOWN_ARCHS", "arch_number")

# The names that PyTorch's TORCH_CUDA_ARCH_LIST accepts.
_NAMES = {
    "kepler": ["35+PTX"],
    "kepler+tesla": ["37"],
    "maxwell": ["50", "52+PTX"],
    "maxwell+tegra": ["53"],
    "pascal": ["60", "61+PTX"],
    "volta": ["70+PTX"],
    "volta+tegra": ["72"],
    "turing": ["75+PTX"],
    "ampere": ["80", "86+PTX"],
    "ampere+tegra": ["87"],
    "ada": ["89+PTX"],
    "hopper": ["90+PTX"],
    "blackwell": ["100", "103", "120", "121+PTX"],
    "blackwell+tegra": ["110"],
    "rubin": ["107+PTX"],
}

# Architectures that PyTorch's syntax allows and these kernels do not support.
_UNSUPPORTED = ["35", "37", "50", "52", "53", "60", "61", "62", "72"]

ARCH_LIST_GRAMMAR = "write architectures as 8.0, 80 or sm_80, an appended +PTX for PTX, or names such as Ampere or Hopper, " + \
                    "separated by ';', ',' or blanks: \"8.0;9.0+PTX\""

def _number(item):
    """Converts "8.0" to "80", "9.0a" to "90a" and "sm_80" to "80". Returns any other item unchanged."""
    for prefix in ["sm_", "compute_"]:
        if item.startswith(prefix):
            return item[len(prefix):]
    major, dot, minor = item.partition(".")
    return major + minor if dot else item

def parse_arch_list(text):
    """Parses an architecture list in the syntax of PyTorch's TORCH_CUDA_ARCH_LIST or in plain numbers.

    Args:
      text: such as "8.0;9.0+PTX", "80 90a" or "Hopper".

    Returns:
      `(archs, complaint)`, one of which is None. `archs` is a list of structs without repetition, oldest first. Each
      has `arch` (such as "90a") and `ptx` (whether PTX is wanted in addition to machine code). `complaint` is a string
      that says what is wrong with the list.
    """
    items = []
    for item in text.replace(",", ";").replace(" ", ";").split(";"):
        item = item.strip()
        if item:
            items += _NAMES.get(item.lower(), [item])
    if not items:
        return None, "the list is empty"

    wanted = {}
    for item in items:
        ptx = item.upper().endswith("+PTX")
        arch = _number(item[:-len("+PTX")] if ptx else item)
        if arch in _UNSUPPORTED:
            return None, "\"{}\" is not supported: the kernels are for 7.0 and 7.5 and newer".format(item)
        if arch == "native":
            return None, "\"native\" would make the result depend on the machine that builds; name its architecture"
        if arch not in KNOWN_ARCHS:
            return None, "\"{}\" is no known architecture (known: {})".format(item, " ".join(KNOWN_ARCHS))
        wanted[arch] = wanted.get(arch, False) or ptx
    return [struct(arch = a, ptx = wanted[a]) for a in KNOWN_ARCHS if a in wanted], None

def format_archs(archs):
    """Writes a parsed list back, such as "80;90+PTX"."""
    return ";".join([a.arch + ("+PTX" if a.ptx else "") for a in archs])

def code_for(gpu, archs):
    """Says which part of the built code a GPU runs. The modules follow the same rule.

    Args:
      gpu: its architecture as a number, such as 86.
      archs: as parse_arch_list returns.

    Returns:
      "machine code", "PTX" (the driver compiles it at its first use), or "" for none.
    """
    ptx = False
    for a in archs:
        number = arch_number(a.arch)

        # Machine code runs on its own generation, from its own minor version up. Code for 90a runs on exactly that GPU.
        if not a.arch.isdigit():
            if number == gpu:
                return "machine code"
        elif number <= gpu:
            if number // 10 == gpu // 10:
                return "machine code"
            ptx = ptx or a.ptx
    return "PTX" if ptx else ""
