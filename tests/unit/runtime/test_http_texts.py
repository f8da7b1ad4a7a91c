"""The examples that Cloudflare's and workerd's descriptions of Python Workers give, run as they stand there."""

import http.server
import threading
import unittest

from http_instance import Instance

KV = {"bindings": [{"name": "MY_KV_NAMESPACE", "type": "kv_namespace"}]}
# What a piece that is no whole worker in the text stands in.
BEGIN = "from js import Response\nfrom workers import WorkerEntrypoint\n"

ON_FETCH = """
from js import Response

async def on_fetch(request, env):
    return Response.new("Hello world!")
"""

HELLO = """
from js import Response
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    def fetch(self, request):
        return Response.new("Hello from Python!")
"""

HEADERS = """
from workers import WorkerEntrypoint
from js import Response, Headers
class Default(WorkerEntrypoint):
    def fetch(self, request):
        # Access request properties
        method = request.method
        url = request.url
        headers = request.headers
        # Create response with headers
        response_headers = Headers.new()
        response_headers.set("Content-Type", "application/json")
        return Response.new(
            '{"message": "Hello"}',
            headers=response_headers,
            status=200
        )
"""

BINDINGS = BEGIN + """
class Default(WorkerEntrypoint):
    def fetch(self, request):
        # Access environment bindings
        kv = self.env.MY_KV_NAMESPACE
        # Use KV store
        value = kv.get("key")
        kv.put("key", "value")
        return Response.new(f"Stored value: {value}")
"""

# The text's own "does not work" does here: files and threads are there.
FILES = BEGIN + """
from js import fetch
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        with open("file.txt", "r") as f:
            data = f.read()
        response = await fetch(self.env.URL)
        data += await response.text()
        return Response.new(data)
"""

THREADS = BEGIN + """
done = []
def worker_function():
    done.append("thread")
async def task1():
    done.append("task1")
async def task2():
    done.append("task2")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        import threading
        t = threading.Thread(target=worker_function)
        t.start()
        import asyncio
        await asyncio.gather(task1(), task2())
        t.join()
        return Response.new(" ".join(sorted(done)))
"""

ENTROPY = BEGIN + """
# During import: deterministic entropy
import random # Uses patched RNG
# During request: real entropy
class Default(WorkerEntrypoint):
    def fetch(self, request):
        # Real random values during request handling
        value = random.random()
        return Response.new(str(value))
"""

WORKFLOW = """
from workers.workflows import Workflow, Step
class MyWorkflow(Workflow):
    @step
    async def process_data(self, data):
        # Process data in a durable workflow step
        result = await expensive_operation(data)
        return result
"""

MEMORY = BEGIN + """
class Default(WorkerEntrypoint):
    def fetch(self, request):
        large_object = bytearray(1 << 20)
        # Monitor memory usage
        import sys
        size = sys.getsizeof(large_object)
        # Clean up explicitly if needed
        del large_object
        import gc
        gc.collect()
        return Response.new(str(size > 1 << 20))
"""

ERRORS = BEGIN + """
import traceback
class Default(WorkerEntrypoint):
    def fetch(self, request):
        try:
            result = risky_operation()
        except Exception as e:
            # Get full traceback
            error_msg = traceback.format_exc()
            return Response.new(error_msg, status=500)
"""


class Page(http.server.BaseHTTPRequestHandler):
    """A server with one file."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"of the network")

    def log_message(self, *_):
        pass


class TextsTest(unittest.TestCase):

    def begin(self, source, config=None, **files):
        instance = Instance(dict(files, **{"worker.py": source}),
                            dict({"main": "worker", "main_file": "worker.py"}, **config or {}))
        self.addCleanup(instance.close)
        instance.front.wait("ready")
        return instance

    def test_first_workers(self):
        self.assertEqual(self.begin(ON_FETCH).text(), "Hello world!")
        instance = self.begin(HELLO)
        status, headers, body = instance.ask()
        self.assertEqual((status, headers["content-type"], body),
                         (200, "text/plain;charset=UTF-8", b"Hello from Python!"))

    def test_headers(self):
        status, headers, body = self.begin(HEADERS).ask()
        self.assertEqual((status, headers["content-type"], body), (200, "application/json", b'{"message": "Hello"}'))

    def test_binding_calls_that_nobody_awaits(self):
        instance = self.begin(BINDINGS, KV)
        self.assertEqual(instance.text(), "Stored value: None")
        # What the put has not done yet when the answer is sent is done before the next request.
        self.assertEqual(instance.text(), "Stored value: value")
        self.assertEqual(instance.front.store["key"][0], b"value")

    def test_files_and_fetch(self):
        server = http.server.HTTPServer(("127.0.0.1", 0), Page)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = "http://127.0.0.1:%d/file.txt" % server.server_port
        instance = self.begin(FILES, {"bindings": [{"name": "URL", "type": "plain_text", "text": url}]},
                              **{"file.txt": "of the disk, "})
        self.assertEqual(instance.text(), "of the disk, of the network")

    def test_threads_and_tasks(self):
        self.assertEqual(self.begin(THREADS).text(), "task1 task2 thread")

    def test_random_numbers(self):
        instance = self.begin(ENTROPY)
        self.assertNotEqual(float(instance.text()), float(instance.text()))

    def test_memory(self):
        self.assertEqual(self.begin(MEMORY).text(), "True")

    def test_errors(self):
        status, _, body = self.begin(ERRORS).ask()
        self.assertEqual(status, 500)
        self.assertIn(b'worker.py", line 8, in fetch\n    result = risky_operation()', body)

    def test_workflows_are_refused_in_words(self):
        instance = Instance({"entry.py": WORKFLOW})
        failed = instance.front.wait("failed")
        self.assertEqual((failed["message"], failed["file"], failed["line"]),
                         ("ImportError: Workflow: workflows are not there yet", "entry.py", 2))
        self.assertEqual(instance.wait(), 1)


if __name__ == "__main__":
    unittest.main()
