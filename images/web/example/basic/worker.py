"""Greets whoever the address names: /?name=Ada."""
from js import URL, Response
from workers import WorkerEntrypoint


def greeting(word, url):
    return "%s %s!\n" % (word, URL.new(url).searchParams.get("name") or "world")


class Default(WorkerEntrypoint):
    def fetch(self, request):
        return Response.new(greeting(self.env.GREETING, request.url))

    def test(self):
        assert greeting("Hi", "http://host/") == "Hi world!\n"
        assert greeting("Hi", "http://host/?name=Ada%20L.") == "Hi Ada L.!\n"
