# SPDX-License-Identifier: Apache-2.0
"""The program under test, for test_cli.py and test_runs.py.

usage: test_*.py ATTNBENCH SABOTEURS
SABOTEURS is the same program with variants that are wrong on purpose.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ATTNBENCH, SABOTEURS = (os.path.abspath(path) for path in sys.argv[1:3])

QUICK = "measure: {invocations: 2, min_time: 1 ms, max_time: 5 ms, timeout: 2 s, seed: 7}\n"
PROBLEM = "problem: {query_heads: 2, query_len: 16, head_dim: 8}\n"
# Some seconds of work: long enough to be interrupted, whatever the machine.
LONG = (
    "name: long\nproblem: {query_heads: 2, head_dim: 8}\n"
    "matrix: {variant: [honest], query_len: 1-30}\n"
    "measure: {invocations: 2, min_time: 20 ms, max_time: 20 ms, timeout: 5 s, seed: 7}\n"
)


def call(program, *words, **options):
    """Runs the program; what it printed and its exit code."""
    return subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, timeout=120, **options
    )


def lines_of(run):
    """The journal's whole lines."""
    text = (run / "journal.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="attnbench-cli-"))
        self.run_directory = self.folder / "run"

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def config(self, text):
        path = self.folder / "c.yaml"
        path.write_text(text)
        return path

    def matrix(self, variants, more=""):
        return self.config(f"name: test\n{PROBLEM}matrix: {{variant: {variants}}}\n{QUICK}{more}")

    def run_config(self, config, *options, program=SABOTEURS, **more):
        return call(program, "run", config, "-o", self.run_directory, *options, **more)


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
