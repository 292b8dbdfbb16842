# SPDX-License-Identifier: Apache-2.0
"""The include test must be able to fail: each forbidden include, planted in a copy, is found."""

import shutil
import sys
import tempfile
from pathlib import Path

from layers import complaints

PLANTED = {
    "core/contract/planted.c": '#include "machine/clock.h"\n',
    "core/check/planted.c": "#include <hwloc.h>\n",
    "core/record/planted.c": '#include "check/form.h"\n',
    "core/campaign/planted.c": '#include "check/arrays.h"\n',
    "core/cli/planted.c": "#include <jansson.h>\n",
    "variants/planted.c": '#include "check/oracle.h"\n',
    "experiments/studies/planted.c": '#include "campaign/plan.h"\n',
    "core/measure/problem.h": "/* a second file of that name */\n",
}

root = Path(sys.argv[1])
missed = []
for name, text in PLANTED.items():
    with tempfile.TemporaryDirectory() as copy:
        for top in ("core", "variants", "experiments"):
            shutil.copytree(root / top, Path(copy) / top)
        (Path(copy) / name).write_text(text)
        if not any(Path(name).name in line for line in complaints(Path(copy))):
            missed.append(name)
print("\n".join(f"not found: {name}" for name in missed) or f"{len(PLANTED)} planted violations found")
sys.exit(1 if missed else 0)
