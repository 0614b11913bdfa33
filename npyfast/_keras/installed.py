"""Keras, where it is installed."""

from __future__ import annotations

import re
from typing import Any

# Keras before it permutes batches in another place, and does not say when an epoch begins.
OLDEST = (3, 8)


def import_keras() -> Any:
    """The module keras, or an ImportError that says what to install."""
    try:
        import keras
    except ImportError as error:
        if error.name in ("keras", None):
            raise ImportError(
                "npyfast.keras_dataset needs Keras 3: pip install 'npyfast[keras]' and a backend "
                "(jax, torch or tensorflow); npyfast.batches does without"
            ) from error
        raise ImportError(
            f"Keras cannot be imported ({error}): install the package of its backend, or name an "
            "installed one in the environment variable KERAS_BACKEND (jax, torch or tensorflow)"
        ) from error
    version = str(getattr(keras, "__version__", "of an unknown version"))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise ImportError(
            f"npyfast.keras_dataset needs Keras 3.8 or later, found keras {version}: "
            "pip install --upgrade 'npyfast[keras]'"
        )
    return keras
