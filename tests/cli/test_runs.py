# SPDX-License-Identifier: Apache-2.0
"""Runs of configs as their users meet them: results, bad input, interruptions, resuming."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

from program import ATTNBENCH, LONG, PROBLEM, QUICK, SABOTEURS, Program, call, lines_of, main


class Runs(Program):
    def test_one_invocation_has_no_interval(self):
        result = call(ATTNBENCH, "time", "naive", "query_len=8", "head_dim=8", "--quick")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"(?m)^naive +MEASURED +\S+ [mu]?s +- +- +1 ")

    def test_a_run_ends_in_its_table(self):
        result = self.run_config(self.matrix("[honest]", "baseline: honest\n"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"honest +MEASURED +\S+ [num]?s +\[.*\] +50 % +2 ")
        self.assertIn("1 points: 1 measured", result.stdout)
        self.assertEqual(call(SABOTEURS, "show", self.run_directory).stdout, result.stdout)
        self.assertEqual(call(SABOTEURS, "resume", self.run_directory).returncode, 0)
        names = {path.name for path in self.run_directory.iterdir()}
        self.assertEqual(
            names,
            {"config.yaml", "config.resolved.yaml", "journal.jsonl", "lock", "plan.json", "provenance.json",
             "results.h5", "topology.xml"},
        )  # fmt: skip
        self.assertEqual((self.run_directory / "config.yaml").read_text(), self.config_text())
        provenance = json.loads((self.run_directory / "provenance.json").read_text())
        self.assertIn(f"run {self.folder}/c.yaml", provenance["command_line"])
        self.assertGreater(provenance["clock_overhead_ns"], 0)

    def config_text(self):
        return (self.folder / "c.yaml").read_text()

    def test_rejected_points_exit_4_and_can_be_reproduced(self):
        result = self.run_config(self.matrix("[honest, zeros, drops_last_key, modifies_input]"))
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn("1 measured", result.stdout)
        self.assertIn("3 rejected", result.stdout)
        self.assertIn("modifies an input: q", result.stdout)
        commands = re.findall(r"reproduce: attnbench (time zeros .*)", result.stdout)
        self.assertEqual(len(commands), 1)
        again = subprocess.run(f"{SABOTEURS} {commands[0]} measure.min_time='1 ms'", shell=True, capture_output=True,
                               text=True)  # fmt: skip
        self.assertEqual(again.returncode, 4, again.stderr)
        first = re.search(r"out\[.*?;", result.stdout).group()
        self.assertIn(first, again.stdout)

    def test_failed_points_exit_3_and_the_others_are_measured(self):
        result = self.run_config(self.matrix("[crashes, honest, hangs]"))
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("signal 6 (Aborted)", result.stdout)
        self.assertIn("no result within 2 s", result.stdout)
        self.assertIn("1 measured", result.stdout)
        statuses = [(line["status"], line["invocation"]) for line in lines_of(self.run_directory)]
        self.assertEqual(sorted(statuses), [("FAILED", 0), ("FAILED", 0), ("MEASURED", 0), ("MEASURED", 1)])

    def test_nothing_measured_exits_2(self):
        config = self.config(f"name: t\n{PROBLEM}matrix: {{variant: [honest], type: [bf16]}}\n{QUICK}")
        result = self.run_config(config)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("nothing could be measured", result.stderr)
        self.assertIn("1 skipped", result.stdout)
        self.assertIn("f32 only", result.stdout)

    def test_nothing_matched_exits_2_and_makes_nothing(self):
        result = self.run_config(self.matrix("[honest]"), "--only", "nothing is called so")
        self.assertEqual(result.returncode, 2)
        self.assertFalse(self.run_directory.exists())

    def test_an_isa_level_the_cpu_lacks_is_skipped(self):
        lacking = [
            line.split()[0]
            for line in call(ATTNBENCH, "list", "isa", "--long").stdout.splitlines()
            if "lacks" in line
        ]
        if not lacking:
            self.skipTest("this CPU runs every level that was compiled")
        result = call(ATTNBENCH, "time", "naive", "query_len=8", "head_dim=8", f"isa={lacking[0]}")
        self.assertEqual(result.returncode, 2)
        self.assertIn(f"isa {lacking[0]}: the CPU lacks", result.stdout)

    def test_time_needs_no_config_and_leaves_nothing(self):
        result = call(
            ATTNBENCH, "time", "naive", "query_len=8", "head_dim=8", "--quick",
            env={**os.environ, "TMPDIR": str(self.folder)},
        )  # fmt: skip
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("MEASURED", result.stdout)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_cold_cache_takes_longer(self):
        result = call(ATTNBENCH, "time", "naive", "query_len=16", "head_dim=64", "cache=[warm, cold]", "--quick")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"naive +warm +MEASURED")
        self.assertRegex(result.stdout, r"naive +cold +MEASURED")

    def test_rows_record_the_roof_they_stand_under(self):
        words = ("query_len=40", "head_dim=16", "cache=[warm, cold]", "--quick", "-o", self.run_directory)
        result = call(ATTNBENCH, "time", "naive,flash", *words, "peaks=true")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("of roof", result.stdout)
        lines = lines_of(self.run_directory)
        self.assertEqual(len(lines), 4)
        for line in lines:
            roof, summary = line["roof"], line["summary"]
            least = max(summary["flops"] / roof["gflops"], summary["min_bytes"] / roof["gbs"])
            self.assertAlmostEqual(roof["ns"], least, delta=1e-9 * least)
            self.assertAlmostEqual(roof["fraction"], least / summary["median_ns"], delta=1e-9)
        self.assertEqual(len({line["roof"]["gflops"] for line in lines}), 1, "measured once, not for each point")
        self.assertEqual(sorted(line["roof"]["memory"] == "DRAM" for line in lines), [False, False, True, True])
        shutil.rmtree(self.run_directory)
        result = call(ATTNBENCH, "time", "naive,flash", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("of roof", result.stdout)
        self.assertFalse(any("roof" in line for line in lines_of(self.run_directory)))

    def test_the_backward_pass_is_timed_and_checked(self):
        words = ("query_len=40", "head_dim=16", "pass=[forward, backward]", "cache=[warm, cold]", "--quick")
        result = call(ATTNBENCH, "time", "naive,flash", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(re.findall("MEASURED", result.stdout)), 8, result.stdout)
        result = call(ATTNBENCH, "time", "online", "query_len=40", "head_dim=16", "pass=backward", "--quick")
        self.assertEqual(result.returncode, 2)
        self.assertIn("online offers no backward pass", result.stdout + result.stderr)

    def test_a_loop_judges_its_answers_too(self):
        words = ("query_len=8", "head_dim=8", "--loop", "0.1 s")
        result = call(SABOTEURS, "time", "honest", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^\d+ calls, the fastest \S+ us$")
        result = call(SABOTEURS, "time", "zeros", *words)
        self.assertEqual(result.returncode, 4)
        self.assertIn("REJECTED", result.stderr)

    def test_a_profile_splits_the_time(self):
        result = call(ATTNBENCH, "time", "flash", "query_len=512", "head_dim=64", "--profile", "--loop", "0.2")
        self.assertEqual(result.returncode, 0, result.stderr)
        shares = dict(re.findall(r"(?m)^(\w+) +[\d.-]+ +([\d.-]+)%$", result.stdout))
        self.assertEqual(list(shares), ["packing", "scores", "softmax", "values", "merging", "waiting"])
        shares = {name: float(share) for name, share in shares.items()}
        self.assertAlmostEqual(sum(shares.values()), 100, delta=0.5)
        for part in ("packing", "scores", "values"):
            self.assertGreater(shares[part], 0)
        self.assertGreaterEqual(shares["waiting"], 0)

    def test_a_profile_of_a_backward_pass(self):
        words = ("query_len=256", "head_dim=64", "pass=backward", "causal=top_left", "--profile", "--loop", "0.2")
        result = call(ATTNBENCH, "time", "flash", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        shares = {part: float(share) for part, share in re.findall(r"(?m)^(\w+) +[\d.-]+ +([\d.-]+)%$", result.stdout)}
        self.assertGreater(min(shares[part] for part in ("packing", "scores", "values", "merging")), 0)

    def test_a_variant_that_tells_nothing_has_no_profile(self):
        result = call(ATTNBENCH, "time", "online", "query_len=64", "head_dim=16", "--profile", "--loop", "0.1")
        self.assertEqual(result.returncode, 2)
        self.assertIn("online does not tell where its time goes", result.stderr)

    def test_plan_tells_what_will_be_done(self):
        result = call(SABOTEURS, "plan", self.matrix("[honest, zeros]"))
        self.assertEqual(result.returncode, 0)
        self.assertIn("2 points in 1 blocks of shared inputs, 2 invocations: 4 trials", result.stdout)
        self.assertRegex(result.stdout, r"(?m)^memory +\S+ MB at most")

    def test_a_planned_run_directory_waits_for_resume(self):
        config = self.matrix("[honest]")
        made = call(SABOTEURS, "plan", config, "-o", self.run_directory)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(lines_of(self.run_directory), [])
        self.assertEqual(call(SABOTEURS, "plan", config, "-o", self.run_directory).returncode, 2)
        self.assertEqual(call(SABOTEURS, "resume", self.run_directory).returncode, 0)
        self.assertIn("MEASURED", [line["status"] for line in lines_of(self.run_directory)])

    def test_the_plan_comes_out_in_rows(self):
        self.run_config(self.matrix("[honest, crashes]"))
        rows = [
            json.loads(line)
            for line in call(SABOTEURS, "export", self.run_directory, "--format", "jsonl").stdout.splitlines()
        ]
        self.assertEqual([row["variant"] for row in rows], ["honest", "crashes"])
        self.assertEqual([row["status"] for row in rows], ["MEASURED", "FAILED"])
        self.assertEqual(rows[1]["median_ns"], "nan")
        self.assertAlmostEqual(rows[0]["scale"], 8**-0.5, places=7, msg="what was used, though nobody asked")
        header, *lines = call(SABOTEURS, "export", self.run_directory).stdout.splitlines()
        self.assertEqual(header.split(",")[0], "point")
        self.assertEqual(lines[0].split(",")[0], rows[0]["point"])
        samples = call(SABOTEURS, "export", self.run_directory, "--samples").stdout.splitlines()[1:]
        self.assertEqual(len(samples), sum(len(line["samples_ns"]) for line in lines_of(self.run_directory)))


class Interruptions(Program):
    def begin(self, config, lines):
        """A run that has written `lines` lines."""
        process = subprocess.Popen(
            [SABOTEURS, "run", config, "-o", self.run_directory], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        journal = self.run_directory / "journal.jsonl"
        for _ in range(3000):
            if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                return process
            self.assertIsNone(process.poll(), "it ended before it could be interrupted")
            time.sleep(0.01)
        process.kill()
        raise AssertionError("no progress")

    def finish(self):
        self.assertEqual(call(SABOTEURS, "resume", self.run_directory).returncode, 0)
        lines = lines_of(self.run_directory)
        self.assertEqual(len(lines), 60)
        self.assertEqual(len({(line["point"], line["invocation"]) for line in lines}), 60)

    def test_sigint_and_sigterm_finish_the_point_and_resume(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number):
                process = self.begin(self.config(LONG), 5)
                process.send_signal(number)
                _, errors = process.communicate(timeout=60)
                self.assertEqual(process.returncode, code, errors)
                self.assertIn("resume", errors)
                held = len(lines_of(self.run_directory))
                self.assertTrue(5 <= held < 60)
                self.assertFalse((self.run_directory / "results.h5").exists())
                self.assertIn("pending", call(SABOTEURS, "show", self.run_directory).stdout)
                self.finish()
                shutil.rmtree(self.run_directory)

    def test_a_signal_to_the_whole_group_spares_the_worker(self):
        process = subprocess.Popen(
            [SABOTEURS, "run", self.config(LONG), "-o", self.run_directory], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        journal = self.run_directory / "journal.jsonl"
        while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143)
        self.assertTrue(all(line["status"] == "MEASURED" for line in lines_of(self.run_directory)))
        self.finish()

    def test_a_second_process_is_refused(self):
        process = self.begin(self.config(LONG), 1)
        second = call(SABOTEURS, "resume", self.run_directory)
        self.assertEqual(second.returncode, 2)
        self.assertIn("another process", second.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)

    def test_another_build_is_refused_unless_accepted(self):
        process = self.begin(self.config(LONG), 3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        other = self.folder / "other"
        shutil.copy(SABOTEURS, other)
        with open(other, "ab") as file:
            file.write(b"another build")
        refused = call(other, "resume", self.run_directory)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--accept-changes", refused.stderr)
        self.assertEqual(call(other, "resume", self.run_directory, "--accept-changes").returncode, 0)
        self.assertEqual(len(lines_of(self.run_directory)), 60)

    def test_what_exists_is_not_overwritten(self):
        self.run_directory.mkdir()
        result = self.run_config(self.matrix("[honest]"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("exists", result.stderr)
        self.assertEqual(list(self.run_directory.iterdir()), [])

    def test_where_nothing_can_be_written_exits_1(self):
        result = call(SABOTEURS, "run", self.matrix("[honest]"), "-o", "/proc/attnbench/run")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/proc/attnbench", result.stderr)

    def test_a_full_disk_exits_1_and_the_run_resumes(self):
        """A file-size limit stands for the full disk: first met by the journal."""
        config = self.config(LONG)
        limit = 64 << 10
        result = self.run_config(
            config, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        )
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("journal.jsonl", result.stderr)
        held = (self.run_directory / "journal.jsonl").read_bytes()
        self.assertLessEqual(len(held), limit)
        self.assertTrue(held.endswith(b"\n"), "nothing of the line that did not fit stays")
        self.finish()
        self.assertTrue((self.run_directory / "journal.jsonl").read_bytes().startswith(held))

    def test_a_full_disk_at_the_start_leaves_nothing(self):
        """The plan does not fit; a small file that some OpenMP runtimes write before main() does."""
        result = self.run_config(
            self.config(LONG), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        )
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["c.yaml"])


if __name__ == "__main__":
    main()
