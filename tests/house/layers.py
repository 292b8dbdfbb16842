# SPDX-License-Identifier: Apache-2.0
"""Holds every include to the table in core/README.md. Usage: layers.py REPOSITORY"""

import re
import sys
from collections import defaultdict
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
PRIVATE = re.compile(r"\A(?:/\*.*?\*/\s*){0,2}", re.S)  # licence and opening comment, which may say "private"
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", re.M)


def read_table(readme: str) -> tuple[dict[str, set[str]], dict[str, str]]:
    """The layers with what each may see, and the system headers reserved to one layer."""
    sees, reserved = {}, {}
    for layer, seen, headers in ROW.findall(readme):
        sees[layer] = {layer, *seen.split()}
        reserved |= {header: layer for header in re.findall(r"`([^`]+)`", headers)}
    return sees, reserved


def is_private(header: Path) -> bool:
    return header.is_file() and "rivate to" in PRIVATE.match(header.read_text()).group()


def complaints(root: Path) -> list[str]:
    sees, reserved = read_table((root / "core/README.md").read_text())
    found = [] if len(sees) >= 10 else ["core/README.md: the table of layers was not found"]
    sources = [p for top in ("core", "variants", "experiments") for p in sorted((root / top).rglob("*.[ch]"))]
    places = defaultdict(list)
    for source in sources:
        path = source.relative_to(root)
        places[source.name].append(str(path))
        layer = path.parts[1] if path.parts[0] == "core" else path.parts[0]
        allowed = {"variants": {"contract", "kernels"}, "experiments": sees.get("study", set()) | {"study"}}.get(
            layer, sees.get(layer, set())
        )
        for line, (kind, name) in ((m.string[: m.start(2)].count("\n") + 1, m.groups()) for m in
                                   INCLUDE.finditer(source.read_text())):
            owner = reserved.get(Path(name).name)
            if owner and owner != layer:
                found.append(f"{path}:{line}: {name} belongs to core/{owner} alone")
            beside = path.parts[0] == "experiments" and "/" not in name and (source.parent / name).exists()
            if kind == '"' and not beside and name.split("/")[0] not in allowed:
                found.append(f"{path}:{line}: {layer} may not include {name}; it sees {', '.join(sorted(allowed))}")
            elif kind == '"' and name.split("/")[0] != layer and is_private(root / "core" / name):
                found.append(f"{path}:{line}: {name} is private to its layer")
    found += [f"{' and '.join(p)}: file names are unique in the repository" for p in places.values() if len(p) > 1]
    return found


if __name__ == "__main__":
    problems = complaints(Path(sys.argv[1]))
    print("\n".join(problems) or "every include follows core/README.md")
    sys.exit(1 if problems else 0)
