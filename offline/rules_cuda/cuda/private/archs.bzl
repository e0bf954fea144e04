"""rules_cuda's grammar of architecture lists."""

def _code(value, spec):
    value = value.strip()
    prefix, _, number = value.partition("_")
    if prefix not in ["sm", "compute"] or not number or not number[0].isdigit():
        fail("{} is not a supported cuda arch in \"{}\": expected sm_NN or compute_NN".format(value, spec))
    return value

def _order(code):
    """The number in sm_90a or compute_80, as a key for comparison."""
    number = code.partition("_")[2]
    digits = "".join([c for c in number.elems() if c.isdigit()])
    return (int(digits), number[len(digits):])

def gencodes(specs):
    """Translates an architecture list into nvcc's `-gencode` values.

    Args:
      specs: `[VIRTUAL:]CODE[,CODE...]` items separated by `;`, such as "compute_80:sm_80;compute_90:compute_90,sm_90".
        Without the virtual architecture the smallest code's own is taken.

    Returns:
      A list such as `["arch=compute_80,code=sm_80", ...]`.
    """
    values = []
    for spec in specs.split(";"):
        spec = spec.strip()
        if not spec:
            continue
        virtual, colon, codes = spec.rpartition(":")
        codes = [_code(c, spec) for c in codes.split(",")]
        if colon:
            virtual = _code(virtual, spec)
            if not virtual.startswith("compute_"):
                fail("expect a virtual architecture, got " + virtual)
        else:
            virtual = "compute_" + sorted(codes, key = _order)[0].partition("_")[2]
        values += ["arch={},code={}".format(virtual, c) for c in codes]
    return values
