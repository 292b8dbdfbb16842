# SPDX-License-Identifier: Apache-2.0
"""Looks at what attnbench measured, and calls its variants from Python. Nothing here measures."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout this package runs from."""
