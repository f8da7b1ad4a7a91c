# SPDX-License-Identifier: Apache-2.0
"""Requests with one thing wrong: a type, a name that is a path, an end too early, a task's field."""
import json

from clients.wire import CASES, IMAGE, TASK, ask, case, verdict

# Every op with values of a wrong type, and names that are paths.
WRONG = [None, True, -1, 1.5, "", "x", "../../etc", "a\u0000b", [], {}, [[]], 1 << 62, "%2e%2e/"]
OPS = {
    "inspect": ["id"],
    "wait": ["id"],
    "cancel": ["id"],
    "logs": ["id"],
    "rm": ["id"],
    # For each of its other keys one of these values is right, and would warm the image.
    "warm": ["image"],
    "run": ["image", "task", "start", "wait", "detach", "package", "log"],
}


def wrong_types(op, key):
    def run():
        results = set()
        for value in WRONG:
            request = {"op": op}
            if op == "run":
                request.update(image=IMAGE, task={})  # never a task that could run
            request[key] = value
            results.add(verdict(ask(request)))
        return ",".join(sorted(results))

    return run


for _op, _keys in OPS.items():
    for _key in _keys:
        CASES.append(("types:%s.%s" % (_op, _key), "refused", wrong_types(_op, _key)))


@case("truncation-of-a-run", "refused")
def truncation():
    """A run request cut at each byte is refused at each, and starts nothing."""
    text = json.dumps({"op": "run", "image": IMAGE, "task": TASK, "detach": True}).encode()
    return ",".join(sorted({verdict(ask(text[:n])) for n in range(1, len(text))}))


TASK_ERRORS = {
    "no-kind": {},
    "two-kinds": {"code": "1", "exec": "x.py"},
    "unknown-key": {"code": "1", "cod": "2"},
    "exec-absolute": {"exec": "/etc/passwd"},
    "exec-dotdot": {"exec": "../x.py"},
    "exec-empty": {"exec": ""},
    "entry-bad": {"entry": "no colon"},
    "code-number": {"code": 1},
    "args-string": {"code": "1", "args": "x"},
    "args-nul": {"code": "1", "args": ["a\u0000b"]},
    "args-many": {"code": "1", "args": ["x"] * 90000},
    "env-list": {"code": "1", "env": ["A=1"]},
    "env-name": {"code": "1", "env": {"A=B": "1"}},
    "env-empty": {"code": "1", "env": {"": "1"}},
    "env-nul": {"code": "1", "env": {"A": "a\u0000b"}},
    "env-number": {"code": "1", "env": {"A": 1}},
    "policy-path": {"code": "1", "policy": "../default"},
    "policy-missing": {"code": "1", "policy": "no-such-policy"},
    "memory-negative": {"code": "1", "limits": {"memory": -1}},
    "memory-zero": {"code": "1", "limits": {"memory": "0"}},
    "memory-overflow": {"code": "1", "limits": {"memory": "99999999999999999999G"}},
    "memory-wrap": {"code": "1", "limits": {"memory": "17179869184G"}},
    "memory-list": {"code": "1", "limits": {"memory": ["64M"]}},
    "memory-unit": {"code": "1", "limits": {"memory": "64X"}},
    "cpus-negative": {"code": "1", "limits": {"cpus": -1}},
    "cpus-zero": {"code": "1", "limits": {"cpus": 0}},
    "cpus-huge": {"code": "1", "limits": {"cpus": 1e300}},
    "pids-zero": {"code": "1", "limits": {"pids": 0}},
    "pids-negative": {"code": "1", "limits": {"pids": -5}},
    "pids-real": {"code": "1", "limits": {"pids": 1.5}},
    "pids-wrap": {"code": "1", "limits": {"pids": (1 << 32) + 8}},
    "disk-zero": {"code": "1", "limits": {"disk": "0"}},
    "disk-huge": {"code": "1", "limits": {"disk": "1000000G"}},
    "timeout-zero": {"code": "1", "limits": {"timeout": 0}},
    "timeout-wrap": {"code": "1", "limits": {"timeout": 1 << 32}},
    "limits-unknown": {"code": "1", "limits": {"ram": "1G"}},
    "limits-array": {"code": "1", "limits": []},
    "start-unknown": {"code": "1", "start": "warm"},
    "start-number": {"code": "1", "start": 1},
    "warm-string": {"code": "1", "warm": "numpy"},
    "warm-code": {"code": "1", "warm": {"imports": ["os;print(1)"]}},
    "warm-newline": {"code": "1", "warm": {"imports": ["os\nsys"]}},
    "warm-long": {"code": "1", "warm": {"imports": ["a" * 100000]}},
    "priority-string": {"code": "1", "priority": "high"},
    "label-object": {"code": "1", "label": {}},
    "label-long": {"code": "1", "label": "x" * 1000000},
    "dir-number": {"exec": "x.py", "dir": 1},
}


def task_error(name, task):
    """The request must be refused with a message that names the field after which the case is called."""

    def run():
        reply = ask({"op": "run", "image": IMAGE, "task": task, "detach": True})
        result = verdict(reply)
        keys = [k for k in task if k != "code"] or ["code"]
        field = keys[-1]
        # A NUL is refused by the JSON reader already, which names line and column.
        named = field in reply["error"] or "line 1, column" in reply["error"]
        if result == "refused" and not named and len(task) > 1:
            return "refused without the field's name: " + reply["error"][:200]
        return result

    return run


for _name, _task in TASK_ERRORS.items():
    CASES.append(("task:" + _name, "refused", task_error(_name, _task)))
