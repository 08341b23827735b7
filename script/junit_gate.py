#!/usr/bin/env python3
"""Counts what ctest's JUnit report says, and decides whether it is good enough.

Fails on a failed test and on a report without tests. With --all-ran also on a test that was skipped, disabled or not
run, each by its name; with --kinds unit,oracle also when there is no test of a kind (the first part of its name).
"""

import argparse
import sys
import xml.etree.ElementTree


def outcome(case):
    """One of ran, failed, or why it did not run."""
    if case.get("status") == "fail" or case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is not None:
        return "skipped: " + (skipped.get("message") or "no reason given")
    if case.get("status") != "run":
        return case.get("status") or "no status"
    return "ran"


def reason_of(case):
    """The line in which a skipped GoogleTest says why, if there is one."""
    lines = (case.findtext("system-out") or "").splitlines()
    for number, line in enumerate(lines):
        if line.endswith(": Skipped") and number + 1 < len(lines):
            return lines[number + 1].strip()
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all-ran", action="store_true")
    parser.add_argument("--kinds", default="")
    parser.add_argument("report")
    options = parser.parse_args()
    try:
        cases = list(xml.etree.ElementTree.parse(options.report).getroot().iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        print(f"tests: no report: {error}", file=sys.stderr)
        return 1

    # A list: parameterised tests may share a name, and none of them may hide another.
    outcomes = [(case, outcome(case)) for case in cases]
    ran = [case.get("name") for case, what in outcomes if what == "ran"]
    failed = [case.get("name") for case, what in outcomes if what == "failed"]
    idle = [(case, what) for case, what in outcomes if what not in ("ran", "failed")]
    for name in failed:
        print(f"tests: FAILED {name}", file=sys.stderr)
    for case, what in idle:
        print(f"tests: did not run: {case.get('name')} ({reason_of(case) or what})", file=sys.stderr)
    present = {name.split(".")[0] for name in ran}
    absent = [kind for kind in options.kinds.split(",") if kind and kind not in present]
    for kind in absent:
        print(f"tests: no test of kind {kind} ran", file=sys.stderr)
    print(f"tests: {len(ran)} passed, {len(failed)} failed, {len(idle)} did not run")
    if idle and options.all_ran:
        print("tests: every test has to run here (--all-ran)", file=sys.stderr)
    return 1 if failed or not cases or absent or (idle and options.all_ran) else 0


if __name__ == "__main__":
    sys.exit(main())
