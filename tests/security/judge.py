#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Judges what probes printed.

judge.py sandbox FILE        every result is one that is wanted inside a sandbox
judge.py control FILE        every result is one that only an unconfined process can get
judge.py same FILE FILE...   start modes do not differ

Prints each line that is wrong; the exit status is 1 when there is one, or when a
file has no results at all (a probe that did not run proves nothing).
"""
import json
import sys


def load(path):
    """The results of one file, by probe; None when a line is not JSON."""
    results = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            entry = json.loads(line)
            results[entry["probe"]] = entry
    return results


def matches(result, pattern):
    """Whether the result is what the pattern ("*", words, or !words) wants."""
    words = pattern.split(" ")
    if words == ["*"]:
        return True
    if all(w.startswith("!") for w in words):
        return result not in [w[1:] for w in words]
    return result in words


def judge(path, key):
    """Prints the results of a file that its key ("want", "control") does not have."""
    results = load(path)
    wrong = 0
    for name, entry in results.items():
        if not matches(entry["result"], entry[key]):
            print("%s: got %s, wanted %s" % (name, entry["result"], entry[key]))
            wrong += 1
    if not results:
        print("%s: no results" % path)
    return wrong or not results


def same(paths):
    """Prints the probes whose results differ between files, or are missing in one."""
    all_results = [load(p) for p in paths]
    names = {n for r in all_results for n in r}
    wrong = 0
    for name in sorted(names):
        seen = [r[name]["result"] if name in r else "(missing)" for r in all_results]
        if len(set(seen)) > 1:
            print("%s: modes differ: %s" % (name, " / ".join(seen)))
            wrong += 1
    return wrong or not names


def main():
    verb, *paths = sys.argv[1:]
    if verb == "same":
        return int(bool(same(paths)))
    key = {"sandbox": "want", "control": "control"}[verb]
    return int(any([judge(p, key) for p in paths]))


if __name__ == "__main__":
    sys.exit(main())
