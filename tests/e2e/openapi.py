# SPDX-License-Identifier: Apache-2.0
"""openapi.py check SPEC METHOD PATH STATUS: whether the JSON of stdin is what the description says
of this answer. openapi.py tenants SPEC URL: asks every endpoint with the wrong project's token; the
ids and tokens are in the environment."""
import json
import os
import re
import sys
import time

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name in ("integer", "number"):
        kinds = int if name == "integer" else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


class Spec:
    def __init__(self, path):
        with open(path) as file:
            self.doc = json.load(file)

    def operations(self):
        """(method, path, operation) of all."""
        for path, item in self.doc["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    yield method.upper(), path, operation

    def find(self, method, path):
        """The operation whose path fits best: one without a placeholder before one with."""
        fits = []
        for m, pattern, operation in self.operations():
            regex = re.sub(r"\{\w+\}", "[^/]+", re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}"))
            if m == method and re.fullmatch(regex, path):
                fits.append((pattern.count("{"), pattern, operation))
        if not fits:
            sys.exit("%s %s is not described" % (method, path))
        return min(fits)[2]

    def check(self, value, schema, at):
        if "$ref" in schema:
            schema = self.doc["components"]["schemas"][schema["$ref"].split("/")[-1]]
        for part in schema.get("allOf", []):
            self.check(value, part, at)
        names = schema.get("type", [])
        names = [names] if isinstance(names, str) else names
        if names and not any(is_type(value, name) for name in names):
            sys.exit("%s: %r is no %s" % (at, value, " or ".join(names)))
        if "enum" in schema and value not in schema["enum"]:
            sys.exit("%s: %r is none of %s" % (at, value, schema["enum"]))
        if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
            sys.exit("%s: %r does not fit %s" % (at, value, schema["pattern"]))
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                self.check(item, schema["items"], "%s[%d]" % (at, i))
        if isinstance(value, dict):
            for name in schema.get("required", []):
                if name not in value:
                    sys.exit("%s: there is no %s" % (at, name))
            for name, member in schema.get("properties", {}).items():
                if name in value:
                    self.check(value[name], member, at + "." + name)


def check(spec, method, path, status):
    responses = spec.find(method, path.split("?")[0])["responses"]
    answer = responses.get(status, responses["default"])
    schema = answer["content"].get("application/json", {}).get("schema")
    text = sys.stdin.read()
    if schema is not None:
        spec.check(json.loads(text), schema, "answer")


class Tenants:
    def __init__(self, spec, url):
        self.spec = spec
        self.host = url.split("/")[2]
        self.wrong = 0
        self.asked = 0
        self.body = b"{}"       # of the operation that is asked for: its example, if it has one

    def ask(self, method, path, token):
        """Wrong tokens are accepted at a bounded rate: the rest of them comes later."""
        while True:
            status, body, headers, later = self.ask_once(method, path, token)
            if status != 429:
                return status, body, headers
            time.sleep(float(later))

    def ask_once(self, method, path, token):
        import http.client  # slow to load, and a check of one answer does without it

        connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = "OAuth " + token
        connection.request(method, path, self.body if method in ("POST", "PUT") else None, headers)
        answer = connection.getresponse()
        self.asked += 1
        names = sorted(name for name, _ in answer.getheaders() if name != "Date")
        return answer.status, answer.read(100000), names, answer.getheader("Retry-After")

    def expect(self, what, got, status):
        if got[0] != status:
            self.wrong += 1
            print("%s: %d and not %d: %s" % (what, got[0], status, got[1][:200]))

    def same(self, what, there, nowhere):
        if there != nowhere:
            self.wrong += 1
            print("%s: what is there looks unlike what is not: %s, %s" % (what, there, nowhere))

    def path(self, pattern, project, ids):
        path = pattern.replace("{project_id}", project)
        for name, value in ids.items():
            path = path.replace("{%s}" % name, value)
        # An app or a service of such a name may be there, and is not.
        return re.sub(r"\{\w+\}", "f" * 24, re.sub(r"\{(app|service)\}", "f" * 16, path))

    def run(self):
        env = os.environ
        mine = {"code_id": env["CODE"], "task_id": env["TASK"], "schedule_id": env["SCHEDULE"]}
        none = dict.fromkeys(mine, "f" * 24)
        for method, pattern, operation in self.spec.operations():
            what = "%s %s" % (method, pattern)
            path = self.path(pattern, env["ONE"], mine)
            auth = operation["x-auth"]
            content = operation.get("requestBody", {}).get("content", {})
            self.body = json.dumps(content.get("application/json", {}).get("example", {})).encode()
            if auth == "open":
                continue
            self.expect(what + " without a token", self.ask(method, path, None), 401)
            self.expect(what + " with a token of nobody", self.ask(method, path, "x" * 43), 401)
            if auth == "operator":
                self.expect(what + " with a tenant's token", self.ask(method, path, env["ONE_TOKEN"]), 403)
            if auth != "project":
                continue
            there = self.ask(method, path, env["TWO_TOKEN"])
            self.expect(what + " with another's token", there, 404)
            self.same(what, there, self.ask(method, self.path(pattern, "f" * 24, none), env["TWO_TOKEN"]))
            if pattern.count("{") < 2 or operation.get("x-creates"):
                continue
            there = self.ask(method, self.path(pattern, env["TWO"], mine), env["TWO_TOKEN"])
            self.expect(what + " with another's id", there, 404)
            self.same(what, there, self.ask(method, self.path(pattern, env["TWO"], none), env["TWO_TOKEN"]))
        print("%d requests" % self.asked)
        return 1 if self.wrong or self.asked < 150 else 0


if __name__ == "__main__":
    if sys.argv[1] == "check":
        check(Spec(sys.argv[2]), *sys.argv[3:6])
    else:
        sys.exit(Tenants(Spec(sys.argv[2]), sys.argv[3]).run())
