"""Assets in dev mode: the answers that miniflare gives, which the edge is held to as well."""

import json
import os
import unittest

from deploy import TOP, DeployTest

from _sandboxd_deploy import files, static
from http_instance import Instance

SITE = os.path.join(TOP, "tests/assets")


def site():
    """The files of the package that a build makes of the site."""
    def read(name):
        with open(os.path.join(SITE, "site", name), encoding="utf-8") as text:
            return name, text.read()

    there, _ = files.asset_files(SITE, "site")
    made = {}
    for path, source in there.items():
        with open(os.path.join(SITE, source), encoding="utf-8") as text:
            made[".sandboxd/assets/files/" + path] = text.read()
    made[".sandboxd/assets/rules.json"] = static.rules(read("_headers"), read("_redirects"), []).decode()
    return made


class AssetsTest(DeployTest):

    def test_all_that_miniflare_answers(self):
        from _sandboxd_http.dev_assets import Answer, Assets
        with open(os.path.join(SITE, "cases.json"), encoding="utf-8") as cases:
            names = json.load(cases)["headers"]
        top, kept = self.folder(site()), {}
        with open(os.path.join(SITE, "expected.jsonl"), encoding="utf-8") as lines:
            cases = [json.loads(line) for line in lines]
        for expected in cases:
            html, missing, target = expected[:3]
            if (html, missing) not in kept:
                kept[html, missing] = Assets(top, {"directory": ".sandboxd/assets", "html_handling": html,
                                                   "not_found_handling": missing, "only": True})
            assets = kept[html, missing]
            path, mark, query = target.partition("?")
            answer = assets.outside("GET", "site.example", path, mark + query, False) or Answer(404)
            status, fields, body = assets.whole(answer, "site.example", path)
            told = {name: ", ".join(value for key, value in fields if key == name) for name, _ in fields if name in names}
            found = [html, missing, target, status, dict(fields).get("location"), body.decode().strip(), told]
            self.assertEqual(found, expected)
        self.assertGreater(len(cases), 100)


class InstanceTest(unittest.TestCase):

    ENTRY = """
from js import Response
async def on_fetch(request, env):
    path = request.url.split("/", 3)[3]
    if path.startswith("asset/"):
        answer = await env.FILES.fetch("http://any.test/" + path[6:])
        return Response.new("%d %s" % (answer.status, (await answer.text()).strip()))
    return Response.new("worker " + path)
"""

    def instance(self, **assets):
        assets.update(directory=".sandboxd/assets", binding="FILES")
        instance = Instance(dict(site(), **{"entry.py": self.ENTRY}), {"dev": True, "assets": assets, "bindings": [
            {"name": "FILES", "type": "assets"}]})
        self.addCleanup(instance.close)
        instance.front.wait("ready")
        return instance

    def test_files_win_over_the_worker(self):
        instance = self.instance()
        self.assertEqual(instance.text("/about").strip(), "about.html")
        self.assertEqual(instance.text("/none"), "worker none")
        self.assertEqual(instance.text("/about", method="POST", body=b"x"), "worker about")
        self.assertEqual(instance.text("/asset/about"), "200 about.html")
        self.assertEqual(instance.text("/asset/none"), "404 ")

    def test_the_worker_may_be_asked_first(self):
        instance = self.instance(run_worker_first=["/a*", "!/about"])
        self.assertEqual(instance.text("/about").strip(), "about.html")
        self.assertEqual(instance.text("/app.js"), "worker app.js")


if __name__ == "__main__":
    unittest.main()
