"""A module that is imported by its plain name, because its library names its folder in `imports`."""

import pathlib

DATA = pathlib.Path(__file__).parent.parent / "imported_data.txt"
