"""Whole programs with atasker: the text's examples, the end of the main thread, and every way to stop."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

from atasker_rig import MODULES, program

# The examples of the text, each with what has to stand before it and what it prints.
EXAMPLES = {
    "plain": ('''
# with annotation - function becomes worker executor
from atasker import background_worker

@background_worker
def myfunc(*args, **kwargs):
    print('I am background worker')

# with class
from atasker import BackgroundWorker

class MyWorker(BackgroundWorker):

    def run(self, *args, **kwargs):
        print('I am a worker too')

myfunc.start()

myworker2 = MyWorker()
myworker2.start()

# ............

# stop first worker
myfunc.stop()
# stop 2nd worker, don't wait until it is really stopped
myworker2.stop(wait=False)
''', None),
    "async": ('''
# with annotation - function becomes worker executor
from atasker import background_worker

@background_worker
async def async_worker(**kwargs):
    print('I am async worker')

async_worker.start()

# with class
from atasker import BackgroundAsyncWorker

class MyWorker(BackgroundAsyncWorker):

    async def run(self, *args, **kwargs):
        print('I am async worker too')

worker = MyWorker()
worker.start()
''', ["I am async worker", "I am async worker too"]),
    "queue": ('''import asyncio
# with annotation - function becomes worker executor
from atasker import background_worker

@background_worker(q=True)
def f(task, **kwargs):
    print('Got task from queue: {}'.format(task))

@background_worker(q=asyncio.queues.PriorityQueue)
def f2(task, **kwargs):
    print('Got task from queue too: {}'.format(task))

# with class
from atasker import BackgroundQueueWorker

class MyWorker(BackgroundQueueWorker):

    def run(self, task, *args, **kwargs):
        print('my task is {}'.format(task))


f.start()
f2.start()
worker3 = MyWorker()
worker3.start()
f.put_threadsafe('task 1')
f2.put_threadsafe('task 2')
worker3.put_threadsafe('task 3')
''', ["Got task from queue: task 1", "Got task from queue too: task 2", "my task is task 3"]),
    "event": ('''
# with annotation - function becomes worker executor
from atasker import background_worker

@background_worker(e=True)
def f(task, **kwargs):
    print('happened')

# with class
from atasker import BackgroundEventWorker

class MyWorker(BackgroundEventWorker):

    def run(self, *args, **kwargs):
        print('happened')


f.start()
worker3 = MyWorker()
worker3.start()
f.trigger_threadsafe()
worker3.trigger_threadsafe()
''', ["happened", "happened"]),
    "interval": ('''from atasker import background_worker
@background_worker(interval=1)
def myfunc(**kwargs):
    print('I run every second!')

@background_worker(interval=1)
async def myfunc2(**kwargs):
    print('I run every second and I am async!')

myfunc.start()
myfunc2.start()
''', ["I run every second!", "I run every second and I am async!", "I run every second!"]),
}

PROCESSES = {
    "myworker.py": '''from atasker import BackgroundQueueWorker
class MyWorker(BackgroundQueueWorker):

    # executed in another process via task_supervisor
    @staticmethod
    def run(task, *args, **kwargs):
        # .. process task
        return '<task result>'

    def process_result(self, result):
        print(result)
        # process result
''',
    "main.py": '''
from atasker import task_supervisor
task_supervisor.set_mp_pool(1)
from myworker import MyWorker

worker = MyWorker()
worker.start()
# .....
worker.put_threadsafe('task')
# .....
import time
while worker.get_queue_obj().qsize():
    time.sleep(0.01)
worker.stop()
''',
}

# What every form of stop() is tried with: workers of all kinds, async and not.
BUSY = '''
import asyncio, os, signal, sys, threading, time
import atasker
from atasker import *
task_supervisor.create_aloop("a", default=True)
def sync(*args, **kwargs): time.sleep(0.001)
async def other(*args, **kwargs): await asyncio.sleep(0.001)
workers = [background_worker(f, **kwargs) for f in (sync, other)
           for kwargs in ({}, {"q": True}, {"e": True}, {"interval": 0.01}, {"delay_before": 60})]
for worker in workers:
    worker.start()
workers[1].put(1)
def end_of(f):
    return lambda *args, **kwargs: (f(), time.sleep(0.01))[0]
'''

STOPS = {
    "stop": "task_supervisor.stop()",
    "at once": "task_supervisor.stop(wait=False)",
    "seconds": "task_supervisor.stop(wait=0.5)",
    "cancel": "task_supervisor.stop(cancel_tasks=True)",
    "schedulers go on": "task_supervisor.stop(stop_schedulers=False)",
    "twice": "task_supervisor.stop(); task_supervisor.stop(wait=False)",
    "a sleeping coroutine": "background_task(asyncio.sleep)(3600); task_supervisor.stop(wait=False)",
    "a waiting task": "task_supervisor.set_thread_pool(pool_size=1)\n"
                      "for n in range(50): background_task(time.sleep, delay=0.001)(0.01)\n"
                      "task_supervisor.stop(wait=0.01)",
    "thread": "threading.Thread(target=task_supervisor.stop).start()",
    "timer, and main has ended": "threading.Timer(0.05, task_supervisor.stop).start()",
    "task": "background_task(task_supervisor.stop)()",
    "coroutine": "async def f(): task_supervisor.stop()\nbackground_task(f)()",
    "executor": "background_worker(lambda **kwargs: task_supervisor.stop(), e=True, name='x').start()\n"
                "[w for w in task_supervisor.get_schedulers() if w.name.endswith('_x')][0].trigger()",
    "workers, and no stop": "for worker in workers: worker.stop()",
    "workers return": "for worker in workers: worker.stop(wait=False)",
    "signal": "signal.signal(signal.SIGTERM, lambda *_: task_supervisor.stop())\nos.kill(os.getpid(), signal.SIGTERM)",
    "signal, and main has ended": "signal.signal(signal.SIGTERM, lambda *_: task_supervisor.stop())\n"
                                  "threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()",
    "signal that leaves, and main has ended":
        "signal.signal(signal.SIGTERM, lambda *_: (task_supervisor.stop(), sys.exit(0)))\n"
        "threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()",
    "started by hand": "task_supervisor.start()\ntask_supervisor.start()\nthreading.Timer(0.05, task_supervisor.stop).start()\n"
                       "task_supervisor.block()",
    "with processes": "task_supervisor.create_mp_pool(1)\nbackground_task(abs, tt=TT_MP)(1)\ntask_supervisor.stop()",
}


class Examples(unittest.TestCase):

    def test_each_runs_unchanged(self):
        for name, (source, lines) in EXAMPLES.items():
            with self.subTest(name=name):
                if lines is None:
                    status, out, err = program(source)
                    self.assertEqual((status, err), (0, ""))
                    # Two threads print at the same time, a line's end by itself.
                    for words in "I am background worker", "I am a worker too", "\n":
                        out = out.replace(words, "")
                    self.assertEqual(out, "")
                else:
                    self.goes_on(source, lines)

    def goes_on(self, source, lines):
        """The program prints that, and goes on after its main thread has ended."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "main.py")
            with open(path, "w") as out:
                out.write(source)
            process = subprocess.Popen([sys.executable, "-u", "-B", path], env=dict(os.environ, PYTHONPATH=MODULES),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                got = ""
                while any(got.count(line) < lines.count(line) for line in lines):
                    piece = os.read(process.stdout.fileno(), 65536).decode()
                    self.assertTrue(piece, "it has ended, and printed %r" % got)
                    got += piece
                self.assertIsNone(process.poll())
            finally:
                process.kill()
                _, err = process.communicate()
            n_async = source.count("async def")
            warnings = err.decode().splitlines()
            self.assertEqual([line for line in warnings if "runs in the supervisor's loop" not in line], [])
            self.assertEqual(len(warnings), n_async)

    def test_processes(self):
        main = PROCESSES["main.py"]
        status, out, err = program(main, files={"myworker.py": PROCESSES["myworker.py"]})
        self.assertEqual((status, out, err), (0, "<task result>\n", ""))


class Ends(unittest.TestCase):

    def check(self, source, out="", status=0, err="", **kwargs):
        self.assertEqual(program(textwrap.dedent(source), **kwargs), (status, out, err))

    def test_every_form_of_stop(self):
        for name, stop in STOPS.items():
            with self.subTest(stop=name):
                self.check(BUSY + stop + "\n")

    def test_the_exit_status_of_a_handler(self):
        for code, status, err in ("7", 7, ""), ("'words'", 1, "words\n"):
            self.check(BUSY + textwrap.dedent('''
                import atexit
                atexit.register(print, "at exit")
                signal.signal(signal.SIGTERM, lambda *_: (task_supervisor.stop(), sys.exit(%s)))
                threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
            ''' % code), "at exit\n", status, err)

    def test_executors_outlive_main(self):
        self.check('''
            import asyncio, threading
            from atasker import background_worker, task_supervisor
            main = threading.main_thread()
            async def other(item, **kwargs):
                while main.is_alive() and not task_supervisor_sees_the_end():
                    await asyncio.sleep(0.001)
                print(await asyncio.to_thread(lambda: ("thread", item)))
                print(await asyncio.get_running_loop().run_in_executor(None, abs, -3))
                f.put("last")
                return False
            def task_supervisor_sees_the_end():
                from atasker import ending
                return ending.main_is_over()
            aloop = task_supervisor.create_aloop("a", default=True)
            @background_worker(q=True)
            def f(item, **kwargs):
                print("sync", item)
                if item == "last":
                    return False
                g.put(item)
            g = background_worker(other, q=True, name="g")
            f.start()
            g.start()
            f.put("first")
        ''', "sync first\n('thread', 'first')\n3\nsync last\n")

    def test_a_worker_that_is_started_after_main(self):
        self.check('''
            from atasker import background_worker, ending
            import time
            runs = []
            @background_worker
            def second(**kwargs):
                print("second")
                return False
            @background_worker(interval=0.001)
            def first(**kwargs):
                if ending.main_is_over():
                    second.start()
                    return False
            first.start()
        ''', "second\n")

    def test_tasks_hold_the_process(self):
        self.check('''
            import time
            from atasker import background_task, task_supervisor, TASK_LOW
            task_supervisor.set_thread_pool(pool_size=1)
            for n in range(3):
                background_task(lambda n: (time.sleep(0.02), print(n)), priority=TASK_LOW)(n)
        ''', "0\n1\n2\n")

    def test_one_that_is_started_by_hand(self):
        self.check('''
            import threading
            from atasker import TaskSupervisor
            supervisor = TaskSupervisor()
            supervisor.start()
            def stop():
                print("stop")
                supervisor.stop()
            threading.Timer(0.1, stop).start()
        ''', "stop\n")
        self.check('''
            from atasker import *
            supervisor = TaskSupervisor()
            supervisor.start(daemon=True)
            background_worker(lambda **kwargs: None, interval=0.01, supervisor=supervisor).start()
            print("end")
        ''', "end\n")

    def test_stopped_is_stopped(self):
        self.check('''
            from atasker import *
            worker = background_worker(lambda **kwargs: False, e=True)
            task_supervisor.stop()
            worker.start()
            task_supervisor.stop()
            for f in worker.start, background_task(len):
                try:
                    f()
                except RuntimeError as error:
                    print(error)
            print(task_supervisor.put_task(len))
            task_supervisor.start()
            print(worker.start())
            task_supervisor.stop()
        ''', "supervisor default is not started\n" * 2 + "None\nTrue\n")

    def test_a_traceback_of_main_is_as_ever(self):
        status, out, err = program('''
from atasker import background_worker
@background_worker(interval=0.01)
def f(**kwargs):
    print("ran")
    return False
f.start()
1 / 0
''')
        self.assertEqual((status, out), (1, "ran\n"))
        self.assertIn("ZeroDivisionError", err)

    def test_an_unguarded_main_with_processes(self):
        self.check('''
            from atasker import *
            def f(a): return a + 1
            task_supervisor.create_mp_pool(2)
            print(wait_completed([background_task(f, tt=TT_MP)(n) for n in range(3)]))
            task_supervisor.stop()
        ''', "[1, 2, 3]\n")

    def test_a_start_method_of_the_programs_own(self):
        self.check('''
            import multiprocessing
            from atasker import *
            if __name__ == "__main__":
                multiprocessing.set_start_method("spawn")
                task_supervisor.set_mp_pool(1)
                print(type(task_supervisor.mp_pool._ctx).__name__, wait_completed(background_task(abs, tt=TT_MP)(-1)))
                task_supervisor.stop()
        ''', "SpawnContext 1\n")


class Imports(unittest.TestCase):

    def check(self, source, out, **kwargs):
        self.assertEqual(program(textwrap.dedent(source), **kwargs), (0, out, ""))

    def test_it_starts_nothing(self):
        self.check('''
            import os, sys, threading
            before = set(os.listdir("/proc/self/fd"))
            import asyncio
            asyncio.new_event_loop = asyncio.events.new_event_loop = None
            from atasker import *
            @background_worker(q=True)
            def f(item, **kwargs): pass
            @background_worker(q=asyncio.PriorityQueue)
            async def g(item, **kwargs): pass
            @background_worker(e=True)
            def h(**kwargs): pass
            f.put(1)
            task_supervisor.create_aloop("a")
            task_supervisor.set_thread_pool(min_size=3)
            print(threading.active_count(), len(os.listdir("/proc/self/task")), set(os.listdir("/proc/self/fd")) == before)
            print("multiprocessing" in sys.modules)
        ''', "1 1 True\nFalse\n")

    def test_a_clone_after_the_import(self):
        """As a template: many children of one process that has imported it, and has workers defined."""
        self.check('''
            import os
            from atasker import *
            @background_worker(q=True)
            def f(item, **kwargs):
                print(item, flush=True)
                return item != "last"
            for n in range(3):
                pid = os.fork()
                if pid == 0:
                    break
                os.waitpid(pid, 0)
            else:
                raise SystemExit
            f.start()
            f.put(n)
            f.put("last")
        ''', "".join("%d\nlast\n" % n for n in range(3)))

    def test_a_project_has_its_own(self):
        self.check("import atasker; print(atasker.OWN)", "own\n", files={"atasker.py": "OWN = 'own'"})


if __name__ == "__main__":
    unittest.main()
