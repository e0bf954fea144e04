"""Every configuration of the matrix products is right, whatever the tables choose."""

from __future__ import annotations

import pytest
from tuning_data import ragged_shapes
from tuning_measure import wrong_results

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("kind", ["v2", "v2_bf16", "v1", "w8a8"])
def test_ragged_shapes(kind: str) -> None:
    selected = [shape for shape in ragged_shapes() if shape.kind == kind]
    assert selected
    assert not list(wrong_results(selected))
