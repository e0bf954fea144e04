"""Writes a file: what its library's data says, and its other arguments."""

import pathlib
import sys

import imported

pathlib.Path(sys.argv[1]).write_text(imported.DATA.read_text() + " ".join(sys.argv[2:]) + "\n")
