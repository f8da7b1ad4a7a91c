#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ask.py ADDRESS FILE: asks the edge for each of FILE's cases, as oracle.mjs has written them, of the worker whose
host begins with HTML-MISSING.  A line for each answer that is another one."""

import http.client
import json
import sys

HEADERS = json.load(open(__file__.rsplit("/", 1)[0] + "/cases.json", encoding="utf-8"))["headers"]


def ask(connection, html, missing, path):
    connection.request("GET", path, headers={"Host": "%s-%s.default.localhost" % (html, missing)})
    answer = connection.getresponse()
    body = answer.read().decode().strip()
    headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    for name in headers:
        headers[name] = ", ".join(answer.headers.get_all(name))
    return [html, missing, path, answer.status, answer.headers["location"], body, headers]


def main(address, file):
    connection = http.client.HTTPConnection(address, timeout=60)
    count = wrong = 0
    for line in open(file, encoding="utf-8"):
        expected = json.loads(line)
        found = ask(connection, *expected[:3])
        count += 1
        if found != expected:
            wrong += 1
            print("expected %s\nfound    %s" % (json.dumps(expected), json.dumps(found)))
    print("%d cases, %d wrong" % (count, wrong))
    return count < 100 or wrong


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
