#!/usr/bin/env python3
"""Checks that the tree keeps its layers, and a few other things that are only seen from above.

Reads the rank table of libfs/ARCHITECTURE.md and every #include "..." of the tree's C++ files, and fails on

  - an include that points to a higher rank, or to another folder of the same rank
  - a file in a folder that is not in the table, or an include of one
  - an include that is not written from the root of the tree ("../base/bytes.h", "bytes.h"), or of a file that is not there
  - a file of more than 600 lines (tests and tests/support included)

With --self-test it builds small trees that break each rule once, and fails unless each is reported.
"""

import argparse
import pathlib
import re
import sys
import tempfile

RANKED_ROOTS = ("libfs", "mkfs", "fsck", "repair", "io")
LENGTH_ROOTS = RANKED_ROOTS + ("tests",)
MAX_LINES = 600
MARK = "<!-- ranks: read by tests/layering_test.py"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]*)"')
# The checker is an oracle for what writes: of the journal it may use the reader only.
READER_ONLY = {"fsck": {"libfs/base", "libfs/format", "libfs/device", "libfs/journal", "libfs/cli"}}


class BrokenTable(Exception):
    pass


def read_ranks(root):
    """Folder to rank, from the first table behind the mark."""
    path = root / "libfs" / "ARCHITECTURE.md"
    ranks = {}
    marked = False
    for line in path.read_text().splitlines():
        if not marked:
            marked = line.startswith(MARK)
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.strip().startswith("|"):
            if ranks:
                break
            continue
        if len(cells) >= 2 and cells[0].isdigit():
            if cells[1] in ranks:
                raise BrokenTable(f"{path}: {cells[1]} has two ranks")
            ranks[cells[1]] = int(cells[0])
    if not ranks:
        raise BrokenTable(f"{path}: no rank table behind the mark '{MARK}'")
    return ranks


def folder_of(relative, ranks):
    """The ranked folder that holds a path: the longest that matches, or None."""
    parts = pathlib.PurePosixPath(relative).parts[:-1]
    for length in range(len(parts), 0, -1):
        folder = "/".join(parts[:length])
        if folder in ranks:
            return folder
    return None


def sources(root, tops):
    for top in tops:
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".h", ".cc") and path.is_file():
                yield path


def check_include(root, ranks, where, folder, target):
    if "/" not in target or any(part in ("..", ".") for part in target.split("/")):
        return f"{where}: include \"{target}\" is not written from the root of the tree"
    if not (root / target).is_file():
        return f"{where}: include \"{target}\" is not a file of the tree"
    goal = folder_of(target, ranks)
    if goal is None:
        return f"{where}: include \"{target}\" lies in no folder of the rank table"
    if goal == folder:
        return None
    if ranks[goal] > ranks[folder]:
        return f"{where}: {folder} (rank {ranks[folder]}) includes upwards: {goal} (rank {ranks[goal]})"
    if ranks[goal] == ranks[folder]:
        return f"{where}: {folder} includes sideways: {goal} has the same rank {ranks[goal]}"
    if folder in READER_ONLY and goal not in READER_ONLY[folder]:
        return f"{where}: {folder} shares no code with {goal}, which it checks"
    return None


def check(root):
    """All violations, as lines; and how many files and includes were looked at."""
    ranks = read_ranks(root)
    problems = []
    files = 0
    includes = 0
    for path in sources(root, RANKED_ROOTS):
        relative = path.relative_to(root).as_posix()
        files += 1
        folder = folder_of(relative, ranks)
        if folder is None:
            problems.append(f"{relative}: its folder is not in the rank table of libfs/ARCHITECTURE.md")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if found:
                includes += 1
                problem = check_include(root, ranks, f"{relative}:{number}", folder, found.group(1))
                if problem:
                    problems.append(problem)
    for path in sources(root, LENGTH_ROOTS):
        lines = len(path.read_text().splitlines())
        if lines > MAX_LINES:
            problems.append(f"{path.relative_to(root).as_posix()}: {lines} lines, more than {MAX_LINES}; split it")
    return problems, files, includes


TABLE = f"""# ranks
{MARK}; one folder a row -->
| rank | folder       | knows |
|------|--------------|-------|
| 0    | libfs/base   | x |
| 1    | libfs/format | x |
| 1    | libfs/device | x |
| 5    | libfs/space  | x |
| 13   | fsck         | x |
| 14   | mkfs         | x |
"""

# Name, the file that is added to a good tree, its text, and what the report must contain (None: nothing is reported).
CASES = (
    ("good", "mkfs/good.cc", '#include "libfs/format/agf.h"\n#include "fsck/check.h"\n#include <vector>\n', None),
    ("same folder", "libfs/base/two.h", '#include "libfs/base/bytes.h"\n', None),
    ("upwards", "libfs/base/bad.cc", '#include "libfs/format/agf.h"\n', "upwards"),
    ("upwards, spaced", "fsck/bad.h", '  #  include "mkfs/format.h"\n', "upwards"),
    ("sideways", "libfs/format/bad.cc", '#include "libfs/device/device.h"\n', "sideways"),
    ("relative", "libfs/format/bad.cc", '#include "../base/bytes.h"\n', "not written from the root"),
    ("bare", "libfs/format/bad.cc", '#include "agf.h"\n', "not written from the root"),
    ("missing", "libfs/format/bad.cc", '#include "libfs/base/nothing.h"\n', "not a file"),
    ("unknown folder", "libfs/wild/bad.cc", "\n", "not in the rank table"),
    ("unknown goal", "mkfs/bad.cc", '#include "tests/support.h"\n', "no folder of the rank table"),
    ("checker and writer", "fsck/bad.cc", '#include "libfs/space/space.h"\n', "shares no code"),
    ("too long", "libfs/base/long.cc", "\n" * (MAX_LINES + 1), "more than"),
    ("long test", "tests/unit/long.cc", "\n" * (MAX_LINES + 1), "more than"),
    ("just fits", "libfs/base/long.cc", "\n" * MAX_LINES, None),
)

GOOD_FILES = ("libfs/base/bytes.h", "libfs/format/agf.h", "libfs/device/device.h", "libfs/space/space.h", "fsck/check.h",
              "mkfs/format.h", "tests/support.h")


def put(root, relative, text):
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def self_test():
    failures = []
    for name, relative, text, expected in CASES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            put(root, "libfs/ARCHITECTURE.md", TABLE)
            for good in GOOD_FILES:
                put(root, good, "#pragma once\n")
            put(root, relative, text)
            problems, _, _ = check(root)
            right = not problems if expected is None else len(problems) == 1 and expected in problems[0]
            if not right:
                failures.append(f"{name}: expected {expected!r}, got {problems}")
    for name, table in (("no table", "# nothing\n"), ("two ranks", TABLE + "| 3 | mkfs | x |\n")):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            put(root, "libfs/ARCHITECTURE.md", table)
            try:
                check(root)
                failures.append(f"{name}: accepted")
            except BrokenTable:
                pass
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"self-test: {len(CASES) + 2} cases, {len(failures)} failed")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true", help="prove that every rule can fail")
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    try:
        problems, files, includes = check(options.root)
    except BrokenTable as error:
        problems, files, includes = [str(error)], 0, 0
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{files} files, {includes} includes, {len(problems)} problems")
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
