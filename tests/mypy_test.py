"""The Python sources pass mypy with the settings in pyproject.toml.

This test needs the types of PyTorch, which the other static checks do without.
"""

from __future__ import annotations

import tools


def test_mypy() -> None:
    command, environment = tools.mypy()
    result = tools.run(command, environment)
    assert result.returncode == 0, result.stdout + result.stderr
