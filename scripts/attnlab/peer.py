# SPDX-License-Identifier: Apache-2.0
"""What another library must do to be measured beside our variants.

A peer is given a drawn problem and answers it as often as it is asked. Whatever the library wants of layouts, masks and
graphs is made before: the clock sees the library alone. What it does not offer raises Absent, whose text becomes the
reason of a skipped row.
"""

import warnings
from functools import cache
from importlib import import_module, metadata

import numpy as np

from attnlab.drawn import Drawn

MASKS = ("none", "causal=top_left", "lengths=ragged")
"""What the libraries are asked for."""


class Absent(Exception):  # noqa: N818 - an answer as much as an error
    """This library is not installed, or does not offer this problem; the text says which."""


@cache
def library(name: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except Exception as error:  # an installed library may fail to load in many ways
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Absent(f"{name} cannot be imported: {text}") from error


def need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Absent(otherwise)


class Peer:
    """One library on one drawn problem. The drawn arrays are its inputs and stay alive as long as it does."""

    package = ""
    suffix = ""

    @classmethod
    def plain_name(cls) -> str:
        """As a config names it."""
        return f"peer:{cls.package}{cls.suffix}"

    @classmethod
    def version(cls) -> str:
        try:
            return metadata.version(cls.package)
        except metadata.PackageNotFoundError:
            return "absent"

    @classmethod
    def name(cls) -> str:
        """As a plan names it: two places of the version are enough to tell rows apart."""
        return f"peer:{cls.package}-{'.'.join(cls.version().split('+')[0].split('.')[:2])}{cls.suffix}"

    @classmethod
    def facts(cls) -> dict[str, str]:
        """What the provenance says of it, once it has answered."""
        return {f"peer_{cls.package}_version": cls.version()}

    def __init__(self, drawn: Drawn, threads: int):
        """Makes ready, or raises Absent."""
        raise NotImplementedError

    def load(self) -> None:
        """Reads the drawn arrays again, for a library that keeps copies of them."""

    def run(self) -> None:
        """Answers once; this is what is timed."""
        raise NotImplementedError

    def poison(self, drawn: Drawn) -> None:
        """Overwrites what the last run gave with what `drawn` holds for unwritten."""
        raise NotImplementedError

    def answers(self) -> dict[str, np.ndarray]:
        """What the last run gave, by operand."""
        raise NotImplementedError

    def threads_read_back(self) -> int:
        raise NotImplementedError
