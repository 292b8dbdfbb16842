# SPDX-License-Identifier: Apache-2.0
"""A new rung of the ladder: one file copied from a rung that works, one line in the list."""

import re
from pathlib import Path

LADDER = "variants/meson.build"
TEXT = r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*'  # a C string, possibly in pieces


class Refused(Exception):  # noqa: N818 - the text says what is wrong and what would be right
    """The variant can't be made as asked; nothing was changed."""


def read_ladder(root: Path) -> list[str]:
    listing = root / LADDER
    if not listing.is_file():
        raise Refused(f"there is no {LADDER} here; go to the top of a checkout of attnbench")
    ladder = re.search(r"^ladder = \[(.*?)^\]", listing.read_text(), re.M | re.S)
    if not ladder:
        raise Refused(f"{LADDER} holds no list 'ladder = [...]'")
    return re.findall(r"^\s*'(\w+)',", ladder[1], re.M)


def _replace_once(source: str, pattern: str, text: str, what: str) -> str:
    changed, count = re.subn(pattern, lambda _: text, source, flags=re.M)
    if count != 1:
        raise Refused(f"the source has {count} places that look like {what}; it must have one")
    return changed


def renamed(source: str, name: str, origin: str) -> str:
    """The source of `origin` as a variant of its own: its name, its place in the ladder, an idea to be written."""
    idea = f"a copy of {origin} that waits for an idea of its own"
    source = _replace_once(source, rf"\bATTN_VARIANT\({origin}\)", f"ATTN_VARIANT({name})", f"ATTN_VARIANT({origin})")
    source = _replace_once(source, rf'\.name = "{origin}"', f'.name = "{name}"', f'.name = "{origin}"')
    source = re.sub(r"^\s*\.improves_on = [^\n]*\n", "", source, flags=re.M)
    source = _replace_once(
        source, rf"\.idea =\s*{TEXT},", f'.idea = "{idea}",\n    .improves_on = "{origin}",', 'one .idea = "..."'
    )
    opening = re.compile(r"\A(/\* SPDX[^\n]*\n)?/\*.*?\*/\n", re.S)
    return opening.sub(lambda found: f"{found[1] or ''}/* {idea[0].upper()}{idea[1:]}. */\n", source, count=1)


def make(root: Path, name: str, origin: str) -> list[Path]:
    """Writes variants/NAME.c and its line in the ladder, after its origin. Returns both paths."""
    ladder = read_ladder(root)
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or name.endswith("_") or "__" in name:
        raise Refused(f"'{name}' is not a variant's name; use lower-case words joined by _, such as 'tiled_wide'")
    if name in ladder:
        raise Refused(f"'{name}' is in the ladder already; choose another name")
    if origin not in ladder:
        raise Refused(f"'{origin}' is not in the ladder; choose one of: {', '.join(ladder)}")
    taken = sorted(p for top in ("core", "variants", "experiments", "tests") for p in (root / top).rglob(f"{name}.c"))
    if taken:
        raise Refused(f"{taken[0].relative_to(root)} exists already; file names are unique in the repository")
    target, listing = root / f"variants/{name}.c", root / LADDER
    source = renamed((root / f"variants/{origin}.c").read_text(), name, origin)
    lines = _replace_once(
        listing.read_text(), rf"^(\s*)'{origin}',", f"  '{origin}',\n  '{name}',", f"the line '{origin}',"
    )
    target.write_text(source)
    listing.write_text(lines)
    return [target, listing]
