# SPDX-License-Identifier: Apache-2.0
"""The program as its users meet it: verbs, exit codes, streams, the check."""

import re
import signal
import subprocess
import time

from program import ATTNBENCH, SABOTEURS, Program, call, main


class Words(Program):
    def test_version_names_what_it_was_built_with(self):
        result = call(ATTNBENCH, "--version")
        self.assertEqual(result.returncode, 0)
        for name in ("attnbench", "compiler", "openmp", "hdf5", "isa_levels"):
            self.assertRegex(result.stdout, rf"(?m)^{name} +\S")

    def test_names_come_one_a_line(self):
        names = call(ATTNBENCH, "list").stdout.split("\n")[:-1]
        self.assertEqual(names[0], "naive")
        self.assertTrue(all(re.fullmatch(r"[a-z0-9_]+", name) for name in names), names)
        self.assertIn("avx2", call(ATTNBENCH, "list", "isa").stdout.split("\n"))
        self.assertIn("improves on", call(ATTNBENCH, "list", "--long").stdout)

    def test_every_variant_is_described(self):
        for name in call(ATTNBENCH, "list").stdout.split():
            result = call(ATTNBENCH, "describe", name)
            self.assertEqual(result.returncode, 0)
            for part in ("idea", "improves on", "traits", "parameters", "isa levels"):
                self.assertIn(part, result.stdout)

    def test_the_machine_is_described(self):
        result = call(ATTNBENCH, "machine")
        self.assertEqual(result.returncode, 0, result.stderr)
        for part in ("cores", "caches of a core", "baseline", "one reading takes", "kernel"):
            self.assertIn(part, result.stdout)

    def test_wrong_words_exit_2_and_offer_the_nearest(self):
        for words, offer in (
            (["lst"], "did you mean 'list'?"),
            (["list", "varians"], "did you mean 'variants'?"),
            (["describe", "naiv"], "did you mean 'naive'?"),
            (["check", "--quik"], "did you mean '--quick'?"),
            (["export", "nowhere", "--format", "jsnl"], "did you mean 'jsonl'?"),
            (["time", "naiv", "query_len=8", "head_dim=8"], "naive"),
            (["time", "naive", "query_len=8", "head_dim=8", "isa=avx3"], "avx2"),
            (["time", "naive", "query_len=8", "head_dim=8", "zz=1"], "split_keys, schedule"),  # the whole list
            (["run"], "usage: attnbench run CONFIG"),
            (["run", "a", "b"], "usage: attnbench run CONFIG"),
            (["time", "naive", "query_len=8,16", "head_dim=8", "--loop", "1"], "take one point; these words make 2"),
            (["check", "--timeout", "soon"], "soon"),
            (["check", "--only"], "needs a value"),
            (["check", "--only", "("], "regular expression"),
            (["check", "--only", "nothing is called so"], "matches none"),
            (["run", "/nonexistent.yaml"], "/nonexistent.yaml"),
            *(([verb, "/nonexistent"], "no run directory") for verb in ("resume", "show", "export", "rebuild")),
        ):
            with self.subTest(words=words):
                result = call(ATTNBENCH, *words)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(offer, result.stderr)
                self.assertEqual(result.stdout, "")
        self.assertEqual(call(ATTNBENCH).returncode, 2)

    def test_help_exits_0(self):
        self.assertEqual(call(ATTNBENCH, "--help").returncode, 0)
        result = call(ATTNBENCH, "run", "--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--set KEY=VALUE", result.stdout)

    def test_a_full_standard_output_is_no_success(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([ATTNBENCH, "list"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("standard output", result.stderr)


class Checks(Program):
    def test_saboteurs_are_found_and_the_honest_passes(self):
        result = call(SABOTEURS, "check", "--quick", "--only", "^(honest|zeros|crashes)/.*q(7|13|16)k")
        self.assertEqual(result.returncode, 4, result.stderr)
        counts = {row.split()[0]: [int(cell) for cell in row.split()[1:]]
                  for row in result.stdout.splitlines() if re.match(r"\w+( +\d+){5}$", row)}  # fmt: skip
        accepted, weak, skipped, rejected, failed = range(5)
        self.assertGreater(counts["honest"][accepted], 0)
        self.assertEqual(counts["honest"][rejected] + counts["honest"][failed], 0)
        self.assertGreater(counts["zeros"][rejected], 0)
        self.assertGreater(counts["crashes"][failed], 0)
        self.assertEqual(counts["crashes"][accepted], 0)
        self.assertIn("signal 6 (Aborted)", result.stdout)
        command = re.search(r"REJECTED zeros.*\n +reproduce: attnbench (check --only .*)", result.stdout).group(1)
        again = subprocess.run(f"{SABOTEURS} {command}", shell=True, capture_output=True, text=True)
        self.assertEqual(again.returncode, 4)
        self.assertRegex(again.stdout, r"(?m)^all +0 +0 +0 +1 +0$")

    def test_a_hang_is_a_failure_of_its_own_case(self):
        result = call(SABOTEURS, "check", "--timeout", "0.3", "--only",
                      "^(honest|hangs)/.*f32/b1h1g1q1k1d1v1/(none|alibi|sinks)/needles")  # fmt: skip
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertRegex(result.stdout, r"(?m)^hangs +0 +0 +0 +0 +3$")
        self.assertRegex(result.stdout, r"(?m)^honest +\d+ +\d+ +0 +0 +0$")

    def test_the_program_passes_its_own_check(self):
        result = call(ATTNBENCH, "check", "--only", "^naive/.*b1h3g1q13k31")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_sigint_ends_it_with_its_counts(self):
        for wait_s in (1, 4, 16):  # a loaded machine may have no case done after the first
            process = subprocess.Popen([SABOTEURS, "check", "--only", "^honest/"], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)  # fmt: skip
            time.sleep(wait_s)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, errors)
            self.assertIn("interrupted after", errors)
            if output:
                break
        self.assertRegex(output, r"(?m)^honest +\d+ +\d+ +\d+ +0 +0$")


if __name__ == "__main__":
    main()
