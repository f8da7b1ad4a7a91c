# SPDX-License-Identifier: Apache-2.0
import os

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/raise"):
            raise ValueError("as it was asked to")
        if request.url.endswith("/die"):
            os._exit(3)
        return Response("hello")
