# SPDX-License-Identifier: Apache-2.0
"""What several test files stand on."""

import numpy as np
import pytest

from attnlab import encode


@pytest.fixture(scope="session")
def model():
    """MiniLM-L6; tests that ask for it are skipped without it."""
    for package in ("tokenizers", "safetensors"):
        pytest.importorskip(package, reason="scripts/setup --model installs it")
    try:
        return encode.Model()
    except encode.Refused as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def weights(model):
    """Its tensors in float64, for a reference."""
    return {name: array.astype(np.float64) for name, array in model.weights.items() if array.dtype == np.float32}
