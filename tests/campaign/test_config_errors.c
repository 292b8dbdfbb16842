/* SPDX-License-Identifier: Apache-2.0 */
/* Every way in which a config can be wrong, with the exact complaint and its place. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_fixture.h"

TestSuite(config_errors, .init = fixture_open, .fini = fixture_close);

Test(config_errors, keys) {
    expect_only(refused(WITH_MATRIX("{variant: naive}") "mesure: {seed: 1}\n"),
                "c.yaml:3:1: unknown key 'mesure'; did you mean 'measure'?");
    expect_only(refused(WITH_MATRIX("{variant: naive, thread: 2}")),
                "c.yaml:2:26: unknown factor 'thread'; did you mean 'threads'?");
    expect_only(refused("problem: {query_len: 8, head_dim: 8, value_dims: 8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:38: unknown key 'value_dims'; did you mean 'value_dim'?");
    expect_only(refused("inputs: {patern: normal}\n" WITH_MATRIX("{variant: naive}")),
                "c.yaml:1:10: unknown key 'patern'; did you mean 'pattern'?");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "measure: {invocation: 1}\n"),
                "c.yaml:3:11: unknown key 'invocation'; did you mean 'invocations'?");
    expect_only(refused("problem: {query_len: 8, head_dim: 8, mask: {cuasal: none}}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:45: unknown mask key 'cuasal'; did you mean 'causal'?");
    expect_only(
        refused("cases: [{input: {seed: 1}, problem: {query_len: 8, head_dim: 8}}]\nmatrix: {variant: naive}\n"),
        "c.yaml:1:10: unknown key 'input'; did you mean 'inputs'?");
    expect_only(refused("query_len: 8\n" WITH_MATRIX("{variant: naive}")),
                "c.yaml:1:1: key 'query_len' belongs in problem, or in matrix as an axis");
    expect_only(refused("inputs: {query_len: 8}\n" WITH_MATRIX("{variant: naive}")),
                "c.yaml:1:10: key 'query_len' does not belong in inputs; put it in problem");
}

Test(config_errors, variants_and_parameters) {
    expect_only(refused(WITH_MATRIX("{variant: [nave, tiled]}")),
                "c.yaml:2:20: unknown variant 'nave'; did you mean 'naive'?");
    expect_only(refused(WITH_MATRIX("{variant: \"serial_*\"}")),
                "c.yaml:2:20: no variant matches 'serial_*'; 'attnbench list variants' prints their names");
    expect_only(refused(WITH_MATRIX("{variant: tiled, tiled.block_key: 8}")),
                "c.yaml:2:32: unknown tiled parameter 'block_key'; did you mean 'block_keys'?");
    expect_only(refused(WITH_MATRIX("{variant: tiled, tield.block_keys: 8}")),
                "c.yaml:2:26: unknown variant 'tield'; did you mean 'tiled'?");
    expect_only(refused(WITH_MATRIX("{variant: naive, naive.block_keys: 8}")),
                "c.yaml:2:26: variant 'naive' has no parameters");
    expect_only(refused(WITH_MATRIX("{variant: tiled, tiled.block_keys: [0, 8192]}")),
                "c.yaml:2:48: tiled.block_keys is 8192; it must be in 1..4096, or 0 for automatic");
    cr_expect_eq(planned(WITH_MATRIX("{variant: tiled, \"*.block_keys\": 4000}"))->point_count, 1,
                 "what a variant refuses that is not asked for is nobody's business");
    cr_expect_not_null(strstr(refused(WITH_MATRIX("{variant: [tiled, online_tiled], \"*.block_keys\": 4000}")),
                              "online_tiled.block_keys is 4000; it must be in 1..2048, or 0 for automatic"));
    cr_expect_not_null(strstr(refused(WITH_MATRIX("{variant: tiled, \"*.block_keys\": 9000}")),
                              "tiled.block_keys is 9000; it must be in 1..4096, or 0 for automatic"));
    expect_only(refused(WITH_MATRIX("{variant: naive}") "baseline: nave\n"),
                "c.yaml:3:11: unknown variant 'nave'; did you mean 'naive'?");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "exclude: [{variant: tled}]\n"),
                "c.yaml:3:21: unknown variant 'tled'; did you mean 'tiled'?");
    expect_only(refused("problem: {query_len: 8, head_dim: 8}\n"),
                "c.yaml:1:1: no variant is named; write matrix: {variant: [...]}, names or globs such as \"*\"");
}

Test(config_errors, names) {
    expect_only(refused("inputs: {pattern: nedles}\n" WITH_MATRIX("{variant: naive}")),
                "c.yaml:1:19: unknown pattern 'nedles'; did you mean 'needles'?");
    expect_only(refused(WITH_MATRIX("{variant: naive, type: [f32, bf6]}")),
                "c.yaml:2:38: unknown type 'bf6'; did you mean 'bf16'?");
    expect_only(refused(WITH_MATRIX("{variant: naive, isa: baseline2}")),
                "c.yaml:2:31: unknown ISA level 'baseline2'; did you mean 'baseline'?");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "cache: hot\n"),
                "c.yaml:3:8: unknown cache 'hot'; known: warm, cold");
    expect_only(refused(WITH_MATRIX("{variant: naive, placement: compct}")),
                "c.yaml:2:37: unknown placement 'compct'; did you mean 'compact'?");
    expect_only(refused(WITH_MATRIX("{variant: naive, causal: topleft}")),
                "c.yaml:2:34: unknown causal 'topleft'; did you mean 'top_left'?");
    expect_only(refused(WITH_MATRIX("{variant: naive, mask: [none, casual=top_left]}")),
                "c.yaml:2:39: unknown mask term 'casual'; did you mean 'causal'?");
    expect_only(refused("name: a/b\n" WITH_MATRIX("{variant: naive}")),
                "c.yaml:1:7: name is 'a/b'; run directories carry it: letters, digits, '.', '_' and '-' only");
    char yaml[1024] = "question: ";
    memset(yaml + strlen(yaml), 'q', 300);
    strcat(yaml, "\n" WITH_MATRIX("{variant: naive}"));
    expect_only(refused(yaml), "c.yaml:1:11: question has 300 bytes; at most 255");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "only: \"naive(\"\n"),
                "c.yaml:3:8: 'naive(' is no extended regular expression: Unmatched ( or \\(");
}

Test(config_errors, numbers) {
    expect_only(refused("problem: {query_len: 0, head_dim: 8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:22: query_len is 0; it must be in 1..2147483647");
    expect_only(refused("problem: {query_len: 8, head_dim: -8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:35: head_dim is -8; it must be in 1..2147483647");
    expect_only(refused("problem: {query_len: 2147483648, head_dim: 8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:22: query_len is 2147483648; it must be in 1..2147483647");
    expect_only(refused("problem: {query_len: 99999999999999999999, head_dim: 8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:22: query_len is beyond 64 bits; it must be in 1..2147483647");
    expect_only(refused("problem: {query_len: 2k, head_dim: 8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:22: query_len is '2k'; write whole numbers: 4, 1-8, 1-16*2, 64-512+64, max (allowed cores)");
    expect_only(refused("problem: {query_len: 8, head_dim: 8, scale: 0}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:45: scale is '0'; write a finite number other than 0, or leave it out for 1/sqrt(head_dim)");
    expect_only(refused("problem: {query_len: 8, head_dim: 8, mask: {softcap: nan}}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:54: softcap is 'nan'; write a positive number, or 0 for none");
    expect_only(refused("problem: {query_len: 8, head_dim: 8, lse: yes}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:43: lse is 'yes'; write true or false");
    expect_only(refused("problem: {query_len: 8, head_dim: 8, mask: {window: [1]}}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:45: window as a list is [LEFT, RIGHT]");
    expect_only(refused(WITH_MATRIX("{variant: naive, window: [8]}")),
                "c.yaml:2:35: window is '8'; write LEFT:RIGHT, counts from 0 or 'inf', or none");
    expect_only(refused(WITH_MATRIX("{variant: naive, threads: 1025}")),
                "c.yaml:2:35: threads is 1025; it must be in 1..1024");
}

Test(config_errors, ranges) {
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: 1-8*1}")),
                "c.yaml:2:33: range '1-8*1' never ends; the factor must be 2 or more");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: 1-8+0}")),
                "c.yaml:2:33: range '1-8+0' never ends; the step must be 1 or more");
    expect_only(refused(WITH_MATRIX("{variant: tiled, tiled.block_keys: 0-8*2}")),
                "c.yaml:2:44: range '0-8*2' never ends; multiplying must start at 1 or more");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: 8-1}")),
                "c.yaml:2:33: range '8-1' is empty: it runs from 8 down to 1");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: \"1, ,2\"}")), "c.yaml:2:37: batch has an empty value");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: []}")),
                "c.yaml:2:26: batch has an empty list; give it a value or drop it");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: 1-200000}")),
                "c.yaml:2:33: batch takes more than 100000 values; make the list shorter");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: 1-2000, seed: 1-2000}")),
                "c.yaml:2:1: the axes make more than 1000000 points; shorten some lists");
    expect_only(refused("problem: {query_len: [8, 16], head_dim: 8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:11: query_len takes one value here; a list of values belongs in matrix");
}

Test(config_errors, measure) {
    const struct {
        const char *measure, *complaint;
    } refusals[] = {
        {"min_time: 200", "c.yaml:3:21: min_time is '200'; write a time with its unit, such as 200 ms"},
        {"min_time: soon", "c.yaml:3:21: min_time is 'soon'; write a time with its unit, such as 200 ms"},
        {"min_time: 2 mins", "c.yaml:3:21: unknown unit 'mins'; did you mean 'min'?"},
        {"min_time: -1 ms", "c.yaml:3:21: min_time is '-1 ms'; it must be greater than 0"},
        {"min_time: 6 s", "c.yaml:3:1: max_time, 5000 ms, is less than min_time, 6000 ms; give both"},
        {"timeout: 5 s", "c.yaml:3:20: timeout, 5 s, is not greater than max_time, 5 s; every point would run into it"},
        {"target_ci: 2", "c.yaml:3:22: target_ci is '2'; write a fraction between 0 and 1, such as 0.02"},
        {"invocations: 0", "c.yaml:3:24: invocations is '0'; it must be a whole number in 1..1000"},
        {"max_iterations: 1e3", "c.yaml:3:27: max_iterations is '1e3'; it must be a whole number in 1..10000"},
        {"seed: [1]", "c.yaml:3:11: seed is a list; it takes one value"},
        {"peaks: perhaps", "c.yaml:3:18: peaks is 'perhaps'; write true or false"},
    };
    char yaml[512];
    for (size_t n = 0; n < sizeof refusals / sizeof *refusals; ++n) {
        snprintf(yaml, sizeof yaml, "%smeasure: {%s}\n", WITH_MATRIX("{variant: naive}"), refusals[n].measure);
        expect_only(refused(yaml), refusals[n].complaint);
    }
}

Test(config_errors, types) {
    expect_only(refused("matrix: 3\nproblem: {query_len: 8, head_dim: 8}\n"),
                "c.yaml:1:9: matrix is text; it must be a map of keys");
    expect_line(refused("problem: [1]\nmatrix: {variant: naive}\n"),
                "c.yaml:1:1: problem is a list; it must be a map of keys");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: {a: 1}}")),
                "c.yaml:2:26: batch is a map; write a value, or a list of values");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch:}")),
                "c.yaml:2:26: batch is nothing; write a value, or a list of values");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "exclude: 3\n"),
                "c.yaml:3:10: exclude is text; it must be a list of maps");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "exclude: [3]\n"),
                "c.yaml:3:11: an exclude rule is a map such as {variant: naive, query_len: \">2048\"}; this is text");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "exclude: {type: \">f32\"}\n"),
                "c.yaml:3:18: type has no order; compare it with a value, != or a list");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "exclude: {batch: \">1,2\"}\n"),
                "c.yaml:3:19: batch is compared with several values; '<' and '>' take one");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "measure: fast\n"),
                "c.yaml:3:10: measure is text; it must be a map of keys");
    expect_only(refused("cases: {problem: {query_len: 8}}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:1: cases is a map; it must be a list of {inputs, problem}");
    expect_only(refused("- a\n- b\n"), "c.yaml:1:3: a config is a map of keys; this is a list");
}

Test(config_errors, twice) {
    expect_only(refused(WITH_MATRIX("{variant: naive}") "cache: warm\ncache: cold\n"),
                "c.yaml:4:1: key 'cache' is already given at c.yaml:3:1; keep one");
    expect_only(refused(WITH_MATRIX("{variant: naive, query_len: [8, 16]}")),
                "c.yaml:2:26: query_len is given twice, also at c.yaml:1:27; keep one");
    expect_only(refused(WITH_MATRIX("{variant: naive, batch: [1, 2]}") "zip: {batch: [1, 2], seed: [1, 2]}\n"),
                "c.yaml:3:7: batch is given twice, also at c.yaml:2:26; keep one");
    expect_only(refused(WITH_MATRIX("{variant: naive, placement: spread}") "placement: compact\n"),
                "c.yaml:2:26: placement is given twice, also at c.yaml:3:1; keep one");
    expect_only(refused("problem: {query_len: 8, head_dim: 8}\ncases: [{problem: {query_len: 8, head_dim: 8}}]\n"
                        "matrix: {variant: naive}\n"),
                "c.yaml:1:1: problem stands beside cases; put it into each case");
}

Test(config_errors, zip_lengths) {
    expect_only(refused(WITH_MATRIX("{variant: naive}") "zip: {batch: [1, 2], key_heads: [1, 2, 4]}\n"),
                "c.yaml:3:22: zip walks its lists together: key_heads has 3 values, batch has 2");
}

Test(config_errors, problems) {
    expect_only(refused("problem: {head_dim: 8}\nmatrix: {variant: naive}\n"),
                "c.yaml:1:1: the problem has no query_len; give one, such as query_len: 1024");
    expect_only(refused(WITH_MATRIX("{variant: naive, key_heads: 3}")),
                "c.yaml:1:24: query_heads 4 is not a multiple of key_heads 3; each KV head serves the same number of "
                "query heads");
    expect_only(refused("problem: {query_len: 2147483647, head_dim: 64, batch: 2000000}\nmatrix: {variant: tiled}\n"),
                "c.yaml:1:22: q would have 2000000 x 1 x 2147483647 x 64 elements, more than 2^48 bytes; make the "
                "problem smaller");
    expect_only(
        refused("problem: {query_len: 8, head_dim: 8, batch: 2, mask: {packed: 3}}\nmatrix: {variant: naive}\n"),
        "c.yaml:1:48: packed sequences need batch 1, not 2");
    expect_only(
        refused(WITH_MATRIX("{variant: naive}") "only: tiled\n"),
        "c.yaml:3:7: no point is left: 1 left out by exclude and only 'tiled', 0 because a serial variant keeps "
        "one thread");
    expect_only(refused(WITH_MATRIX("{variant: naive, threads: [2, 4]}")),
                "c.yaml:1:1: no point is left: 0 left out by exclude and only, 2 because a serial variant keeps one "
                "thread");
}

Test(config_errors, memory_is_refused_with_the_estimate) {
    expect_begins(refused("problem: {query_len: 10000000, head_dim: 64}\nmatrix: {variant: naive}\n"),
                  "c.yaml:1:22: naive takes 400010.2 GB of memory for operands and workspace, ");
    expect_begins(refused("problem: {query_len: 2000000000, head_dim: 64}\nmatrix: {variant: tiled}\n"),
                  "c.yaml:1:22: the operands take 2048.0 GB of memory, ");
}

Test(config_errors, yaml) {
    expect_only(refused(""), "c.yaml:1:1: the file is empty; see experiments/README.md for what a config holds");
    expect_only(refused("# later\n"),
                "c.yaml:1:1: nothing but blanks and comments; see experiments/README.md for what a config holds");
    /* What follows is libfyaml's own text. */
    expect_begins(refused("name: x\nproblem: {query_len: 8\n"), "c.yaml:3:1: not valid YAML: ");
    expect_begins(refused("name:\n\tproblem: 3\n"), "c.yaml:2:1: not valid YAML: ");
    const char *const star = refused("matrix:\n  variant: *\n");
    expect_begins(star, "c.yaml:2:13: not valid YAML: ");
    cr_expect_not_null(strstr(star, "; quote a text that begins with '*'"));
    expect_only(refused("name: f\xC3\xA9\nquestion: \xE9\n"),
                "c.yaml:2:11: byte 0xe9 is not UTF-8 text; save the file as UTF-8");
    expect_only(refused("\xFF\xFEn\n"), "c.yaml:1:1: byte 0xff is not UTF-8 text; save the file as UTF-8");
    expect_only(refused(WITH_MATRIX("{variant: &v naive}") "baseline: *v\n"),
                "c.yaml:3:12: anchors and aliases are not part of this grammar; write the value out, and quote a text "
                "that begins with '*'");
    expect_only(refused(WITH_MATRIX("{variant: naive}") "---\nname: y\n"),
                "c.yaml:4:1: a second document; a file holds one config");
}

Test(config_errors, files) {
    struct campaign_plan *plan;
    struct attn_error error;
    cr_expect_eq(campaign_config_plan("absent.yaml", NULL, &fake_registry, fake_topology, &plan, &error), ATTN_INVALID);
    expect_only(error.message, "absent.yaml: cannot read the config: No such file or directory");
    cr_assert_eq(mkdir("folder.yaml", 0700), 0);
    cr_expect_eq(campaign_config_plan("folder.yaml", NULL, &fake_registry, fake_topology, &plan, &error), ATTN_INVALID);
    rmdir("folder.yaml");
    expect_only(error.message, "folder.yaml: cannot read the config: Is a directory");
}

Test(config_errors, captures) {
    const char *const matrix = "matrix: {variant: naive}\n";
    char yaml[8192];
    snprintf(yaml, sizeof yaml, "inputs: {capture: none.h5, tensor: a/b}\n%s", matrix);
    expect_only(refused(yaml),
                "c.yaml:1:19: cannot find the capture './none.h5': No such file or directory; paths in a "
                "config are relative to it");
    snprintf(yaml, sizeof yaml, "inputs: {capture: %s}\n%s", CAPTURE, matrix);
    expect_only(refused(yaml),
                "c.yaml:1:10: capture needs tensor, the group that holds q, k and v, such as paragraph/layer3");
    expect_only(refused("inputs: {tensor: paragraph/layer3}\n" WITH_MATRIX("{variant: naive}")),
                "c.yaml:1:10: tensor needs capture, the file that holds it");
    snprintf(yaml, sizeof yaml,
             "problem: {query_len: 8, type: bf16}\ninputs: {capture: %s, tensor: paragraph/layer3, pattern: normal}\n"
             "matrix: {variant: naive, batch: 2}\n",
             CAPTURE);
    const char *const beside = refused(yaml);
    expect_line(beside, "c.yaml:1:11: query_len stands beside a capture, which brings its own; remove it");
    expect_line(beside, "c.yaml:3:26: batch stands beside a capture, which brings its own; remove it");
    cr_expect_not_null(strstr(beside, "pattern stands beside a capture, which brings its own; remove it"));
    snprintf(yaml, sizeof yaml, "inputs:\n  capture: %s\n  tensor: [paragraph/layer3, paragraf/layer3]\n%s", CAPTURE,
             matrix);
    const char *const tensor = refused(yaml);
    expect_begins(tensor, "c.yaml:3:30: ");
    cr_expect_not_null(strstr(tensor, "paragraph/layer3"), "%s", tensor);
    snprintf(yaml, sizeof yaml, "inputs: {capture: %s, tensor: paragraf/layer3}\nproblem: {query_len: 8}\n%smore: 1\n",
             CAPTURE, matrix);
    const char *const both = refused(yaml);
    cr_expect(strstr(both, "did you mean 'paragraph/layer3'?") && strstr(both, "unknown key 'more'"), "%s", both);
    expect_begins(refused("inputs: {capture: /tmp, tensor: a/b}\nmatrix: {variant: naive}\n"),
                  "c.yaml:1:33: cannot read /tmp: Is a directory");
}

Test(config_errors, all_at_once_and_in_order) {
    const char *const all = refused("question: q\nproblem: {query_len: 0, head_dim: x}\nmatrix: {variant: nave}\n"
                                    "measure: {seed: -1}\nbaseline: nave\nfoo: 1\n");
    expect_only(all,
                "c.yaml:2:22: query_len is 0; it must be in 1..2147483647\n"
                "c.yaml:2:35: head_dim is 'x'; write whole numbers: 4, 1-8, 1-16*2, 64-512+64, max (allowed cores)\n"
                "c.yaml:3:19: unknown variant 'nave'; did you mean 'naive'?\n"
                "c.yaml:4:17: seed is '-1'; it must be a whole number in 0..9223372036854775807\n"
                "c.yaml:5:11: unknown variant 'nave'; did you mean 'naive'?\n"
                "c.yaml:6:1: unknown key 'foo'; known: name, question, inputs, problem, cases, matrix, zip, "
                "exclude, measure, baseline, only, variant, isa, threads, placement, cache");
}

Test(config_errors, what_does_not_fit_is_counted) {
    char yaml[4096] = "matrix:\n  variant: naive\n";
    for (int n = 0; n < 60; ++n)
        snprintf(yaml + strlen(yaml), sizeof yaml - strlen(yaml), "  quite_unknown_key_%d: 1\n", n);
    const char *const message = refused(yaml);
    size_t lines = 1;
    for (const char *at = message; (at = strchr(at, '\n')); ++at)
        ++lines;
    size_t more = 0;
    const char *const last = strrchr(message, '\n');
    cr_assert_not_null(last);
    cr_expect_eq(sscanf(last, "\n(and %zu more problems)", &more), 1, "%s", last);
    cr_expect_eq(lines - 1 + more, 60);
}
