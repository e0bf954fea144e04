"""Lists of GPU architectures as users write them."""

load(":cuda_versions.bzl", "KNOWN_ARCHS", "supported_archs", "toolkits_with")

# The names PyTorch's TORCH_CUDA_ARCH_LIST knows, from Volta on.
_NAMES = {
    "volta": ["70+PTX"],
    "xavier": ["72"],
    "turing": ["75+PTX"],
    "ampere": ["80", "86+PTX"],
    "ampere+tegra": ["87"],
    "orin": ["87"],
    "ada": ["89+PTX"],
    "hopper": ["90+PTX"],
    "blackwell": ["100", "103", "120", "121+PTX"],
    "blackwell+tegra": ["110"],
}

_GRAMMAR = "write architectures as 8.0, 80 or sm_80, an appended +PTX for PTX, or names such as Ampere or Hopper, " + \
           "separated by ';', ',' or blanks: \"8.0;9.0+PTX\""

def _number(item):
    """"8.0" -> "80", "9.0a" -> "90a", "sm_80" -> "80", else the item itself."""
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
      `(archs, error)`: a list of structs with `arch` (such as "90a") and `ptx` (whether PTX is wanted besides machine
      code), without repetition and oldest first, and None; or None and a message.
    """
    items = []
    for item in text.replace(",", ";").replace(" ", ";").split(";"):
        item = item.strip()
        if item:
            items += _NAMES.get(item.lower(), [item])
    if not items:
        return None, "the architecture list \"{}\" is empty: {}".format(text, _GRAMMAR)

    wanted = {}
    for item in items:
        ptx = item.upper().endswith("+PTX")
        arch = _number(item[:-len("+PTX")] if ptx else item)
        if arch not in KNOWN_ARCHS:
            return None, "\"{}\" in the architecture list \"{}\" is no known architecture (known: {}): {}".format(
                item,
                text,
                " ".join(KNOWN_ARCHS),
                _GRAMMAR,
            )
        wanted[arch] = wanted.get(arch, False) or ptx
    return [struct(arch = a, ptx = wanted[a]) for a in KNOWN_ARCHS if a in wanted], None

def check_archs(archs, version):
    """Checks that a toolkit can build what is wanted.

    Args:
      archs: as `parse_arch_list` returns.
      version: (major, minor) of the toolkit.

    Returns:
      None, or a message that names the architecture, what the toolkit has and which toolkits have it.
    """
    has = supported_archs(version)
    for wanted in archs:
        if wanted.arch not in has:
            return "CUDA {}.{} cannot build architecture {}: it has {}; {} has it".format(
                version[0],
                version[1],
                wanted.arch,
                " ".join(has),
                toolkits_with(wanted.arch),
            )
    return None

def format_archs(archs):
    """Writes a parsed list back, such as "80;90+PTX"."""
    return ";".join([a.arch + ("+PTX" if a.ptx else "") for a in archs])
