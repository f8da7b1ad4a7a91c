from urllib.parse import unquote

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/", 3)[3]
        if path.startswith("count"):
            self.env.seen = getattr(self.env, "seen", 0) + 1
            return Response(str(self.env.seen))
        if path.startswith("say?"):
            print(unquote(path[4:]))
        # As many workers do: what a client has written is a key.
        if path.startswith("key?"):
            try:
                return Response("found: %s" % await self.env.KV.get(unquote(path[4:])))
            except Exception as error:
                return Response(str(error))
        return Response("hello of victim")
