"""background_task, processes, collections, and what else atasker has for programs."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
import unittest
from concurrent.futures import Future

from atasker_rig import PATIENCE, Rig, open_files, wait_until

import atasker
from atasker import (TASK_HIGH, TASK_LOW, TT_MP, BackgroundIntervalWorker, BackgroundQueueWorker, BackgroundWorker,
                     FunctionCollection, LocalProxy, Locker, TaskCollection, background_task, co_mp_apply, wait_completed)


def add(a, b=0, **kwargs):
    return a + b


def own_pid():
    return os.getpid()


def fail(*args, **kwargs):
    raise ValueError("in the process")


def leave(*args, **kwargs):
    os._exit(3)


def be_killed(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def told(**kwargs):
    return sorted(kwargs)


class Odd(Exception):
    """Cannot be unpickled."""

    def __init__(self, a, b):
        Exception.__init__(self, "odd")


def raise_odd():
    raise Odd(1, 2)


class Fragile:
    """A value that cannot be unpickled where it comes back."""

    def __reduce__(self):
        return only_in, (os.getpid(),)


def only_in(pid):
    if os.getpid() != pid:
        raise TypeError("not here")
    return Fragile()


def make_fragile(**kwargs):
    return Fragile()


class Tasks(Rig):

    def task(self, f=None, **kwargs):
        return background_task(f, supervisor=self.supervisor, **kwargs)

    def test_in_a_thread(self):
        def f(a, b=0):
            "words"
            return a + b, threading.current_thread().name

        begin = self.task(f)
        self.assertEqual((begin.__name__, begin.__doc__), ("f", "words"))
        task = begin(1, b=2)
        self.assertEqual(wait_completed(task, PATIENCE), (3, task.id))
        self.assertEqual((task.status, task.priority), (200, 100))

        @self.task(priority=TASK_HIGH, name="own", delay=0.001)
        def g(_task_id):
            return _task_id, threading.current_thread().name

        task = g()
        self.assertEqual((wait_completed(task, PATIENCE), task.priority, task.delay), ((task.id, "own"), TASK_HIGH, 0.001))
        got = []
        self.assertEqual(wait_completed(self.task(lambda **kwargs: kwargs, callback=got.append)(), PATIENCE), {})
        self.assertEqual(got, [{}])

    def test_exceptions(self):
        self.supervisor.create_aloop("a", default=True)

        async def g():
            raise ValueError

        for f in (lambda: 1 / 0, lambda: sys.exit(3), g):
            before = len(self.log.of(logging.ERROR))
            task = self.task(f)()
            self.assertEqual((wait_completed(task, PATIENCE), task.status), (None, 200))
            self.assertEqual(len(self.log.of(logging.ERROR)), before + 1)
        task = self.task(lambda: 4, callback=lambda result: 1 / 0)()
        self.assertEqual(wait_completed(task, PATIENCE), 4)

    def test_coroutines(self):
        async def f(a):
            await asyncio.sleep(0)
            return a, threading.current_thread()

        self.assertRaises(RuntimeError, self.task(f), 1)
        self.assertRaises(RuntimeError, self.task(f, loop="none"), 1)
        one = self.supervisor.create_aloop("one")
        two = self.supervisor.create_aloop("two", default=True)
        got = []
        for loop, aloop in (("one", one), (one, one), (None, two)):
            self.assertEqual(wait_completed(self.task(f, loop=loop, callback=got.append)(7), PATIENCE), (7, aloop.thread))
        self.assertEqual(len(got), 3)
        future = self.task(f, loop=one.get_loop(), delay=0.001)(8)
        self.assertIsInstance(future, Future)
        self.assertEqual(wait_completed(future, PATIENCE), (8, one.thread))
        one.stop()
        self.assertRaises(RuntimeError, self.task(f, loop=one), 1)

    def test_wait_completed(self):
        door = threading.Event()
        tasks = [self.task(lambda n: (door.wait(PATIENCE), n)[1])(n) for n in range(3)]
        self.assertRaises(TimeoutError, wait_completed, tasks[0], 0.01)
        self.assertRaises(TimeoutError, wait_completed, tasks, timeout=0.01)
        door.set()
        self.assertEqual(wait_completed(tasks), [0, 1, 2])
        self.assertEqual(wait_completed(task for task in tasks), [0, 1, 2])
        self.assertEqual(wait_completed(()), [])

    def test_not_started(self):
        self.assertRaises(RuntimeError, background_task(add, supervisor=self.make()), 1)


class Static:
    """Executors that run in a process."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.results = []
        self.here = []

    @staticmethod
    def run(*args, **kwargs):
        if args and callable(args[0]):
            return args[0]()
        return os.getpid(), args, sorted(kwargs)

    def process_result(self, result):
        self.results.append(result)
        self.here.append(os.getpid())
        if result == "fail":
            raise OSError
        return result != "stop"


def say_fail():
    return "fail"


def say_stop():
    return "stop"


def say_false():
    return False


class StaticPlain(Static, BackgroundWorker):
    pass


class StaticQueue(Static, BackgroundQueueWorker):
    pass


class StaticInterval(Static, BackgroundIntervalWorker):
    pass


class Processes(Rig):

    def setUp(self):
        Rig.setUp(self)
        self.supervisor.create_mp_pool(2)
        self.addCleanup(self.supervisor.stop)

    def test_results(self):
        task = background_task(add, tt=TT_MP, supervisor=self.supervisor)(1, b=2)
        self.assertEqual((wait_completed(task, PATIENCE), task.tt), (3, TT_MP))
        self.assertNotEqual(wait_completed(background_task(own_pid, tt=TT_MP, supervisor=self.supervisor)(), PATIENCE), os.getpid())
        got = []
        task = background_task(told, tt=TT_MP, supervisor=self.supervisor, callback=got.append)(a=1)
        self.assertEqual((wait_completed(task, PATIENCE), got), (["_task_id", "a"], [["_task_id", "a"]]))

    def test_put_task(self):
        got = []

        def callback(result):
            got.append(result)
            self.supervisor.mark_task_completed(task_id="mine")

        task = self.supervisor.put_task(add, (1,), {"b": 5}, callback, tt=TT_MP, task_id="mine")
        self.assertTrue(task.completed.wait(PATIENCE))
        self.assertEqual((got, task.result), ([6], 6))
        task = self.supervisor.put_task(add, (1,), tt=TT_MP)
        self.assertEqual(wait_completed(task, PATIENCE), 1)

    def test_what_goes_wrong(self):
        for f, kind in ((fail, ValueError), (raise_odd, RuntimeError), (make_fragile, TypeError), (leave, RuntimeError),
                        (be_killed, RuntimeError), (lambda: 1, Exception), (sys.exit, SystemExit)):
            with self.subTest(f=f):
                before = len(self.log.of(logging.ERROR))
                task = background_task(f, tt=TT_MP, supervisor=self.supervisor)()
                self.assertEqual((wait_completed(task, PATIENCE), task.status), (None, 200))
                (record,) = self.log.of(logging.ERROR)[before:]
                self.assertIsInstance(record.exc_info[1], kind)
        task = background_task(add, tt=TT_MP, supervisor=self.supervisor, callback=lambda result: 1 / 0)(1)
        self.assertEqual(wait_completed(task, PATIENCE), 1)
        task = self.supervisor.put_task(add, (1,), None, lambda result: 1 / 0, tt=TT_MP)
        self.assertTrue(task.completed.wait(PATIENCE))
        self.assertEqual(self.supervisor.get_info().mp_tasks_count, 0)

    def test_caps(self):
        self.supervisor.set_mp_pool(1)
        self.assertEqual((self.supervisor.mp_pool_size, self.supervisor.get_info().mp_pool_size,
                          self.supervisor.get_info().mp_reserve_high), (1, 1, 0))
        tasks = [background_task(time.sleep, tt=TT_MP, supervisor=self.supervisor, priority=priority)(0.05)
                 for priority in (TASK_LOW, TASK_LOW, TASK_HIGH)]
        self.assertEqual([len(self.supervisor.get_tasks(TT_MP)), self.supervisor.get_info().mp_tasks_count], [3, 1])
        wait_completed(tasks[2], PATIENCE)
        self.assertFalse(tasks[1].is_completed())
        wait_completed(tasks, PATIENCE)

    def test_co_mp_apply(self):
        async def main():
            self.assertEqual(await co_mp_apply(add, (1,), {"b": 2}, TASK_HIGH, 0.001, self.supervisor), 3)
            self.assertEqual(await co_mp_apply(add, args=[4], supervisor=self.supervisor), 4)
            for f, kind in (fail, ValueError), (be_killed, RuntimeError), (lambda: 1, Exception):
                with self.assertRaises(kind) as caught:
                    await co_mp_apply(f, supervisor=self.supervisor)
                if f is fail:
                    self.assertIn("in fail", str(caught.exception.__cause__))

        asyncio.run(main())
        self.assertEqual(self.log.records, [])

    def test_workers(self):
        worker = StaticQueue(supervisor=self.supervisor)
        self.assertTrue(worker._run_in_mp)
        worker.start("s", a=1)
        worker.put("x")
        wait_until(lambda: worker.results)
        (pid, args, kwargs), = worker.results
        self.assertNotEqual(pid, os.getpid())
        self.assertEqual((args, kwargs, worker.here), (("x", "s"), ["_name", "_task_id", "a", "o"], [os.getpid()]))
        for how in fail, be_killed, say_fail:
            before = len(self.log.of(logging.ERROR))
            worker.put(how)
            wait_until(lambda: len(self.log.of(logging.ERROR)) > before)
        worker.put(lambda: 1)
        worker.put("y")
        wait_until(lambda: worker.results[-1][1:2] == (("y", "s"),))
        for how in say_false, say_stop:
            worker.put(how)
            wait_until(worker.is_stopped)
            self.assertEqual(self.supervisor.get_info().mp_tasks_count, 0)
            worker.start()
        worker.stop()
        errors = []
        for kind in StaticPlain, StaticInterval:
            worker = kind(supervisor=self.supervisor, interval=0.01, on_error=lambda: errors.append(sys.exc_info()[1]))
            worker.start()
            wait_until(lambda: len(worker.results) > 2)
            worker.restart(fail)
            wait_until(lambda: len(errors) > 1)
            worker.restart(say_stop)
            wait_until(worker.is_stopped)
            self.assertEqual({type(error) for error in errors}, {ValueError})

    def test_the_programs_own_pool(self):
        import multiprocessing
        supervisor = self.make()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            supervisor.mp_pool = pool
            supervisor.start()
            self.assertIs(supervisor.mp_pool, pool)
            self.assertEqual(supervisor.get_info().mp_pool_size, 0)
            for f, want in ((be_killed, None), (own_pid, pool._pool[0].pid)):
                result = wait_completed(background_task(f, tt=TT_MP, supervisor=supervisor)(), PATIENCE)
                self.assertEqual(result is None, want is None)
            supervisor.stop()
            self.assertEqual(pool.apply(add, (1,)), 1)

    def test_pools_come_and_go(self):
        supervisor = self.make()
        worker = StaticQueue(supervisor=supervisor)
        supervisor.start()
        self.assertRaises(RuntimeError, asyncio.run, co_mp_apply(add, (1,), supervisor=supervisor))
        # Without a pool it runs in a thread, and what it says counts the same.
        worker.start()
        worker.put(own_pid)
        wait_until(lambda: worker.results == [os.getpid()])
        worker.put("x")
        wait_until(lambda: len(worker.results) == 2)
        self.assertEqual(worker.results[1][2], ["_name", "_task_id", "_worker", "o"])
        worker.put(say_stop)
        wait_until(worker.is_stopped)
        supervisor.set_mp_pool(1, 1, 0)
        self.assertEqual((len(supervisor.mp_pool._pool), supervisor.mp_reserve_normal), (2, 1))
        supervisor.stop()
        for n in range(3):
            supervisor.start()
            worker.start()
            worker.put(own_pid)
            wait_until(lambda: len(worker.results) == 4 + n)
            self.assertNotEqual(worker.results[-1], os.getpid())
            supervisor.stop()
            if n == 0:
                before = open_files()
        self.assertEqual(open_files(), before)
        self.assertIsNone(supervisor.mp_pool)

    def test_stop_while_a_process_works(self):
        for kwargs, want in (({}, [200, 200]), ({"wait": 0.01}, [200, -1]), ({"wait": False}, [200, -1])):
            with self.subTest(**kwargs):
                supervisor = self.make()
                supervisor.set_mp_pool(1)
                supervisor.start()
                tasks = [background_task(time.sleep, tt=TT_MP, supervisor=supervisor)(0.2) for _ in range(2)]
                tasks[0].started.wait(PATIENCE)
                supervisor.stop(**kwargs)
                wait_completed(tasks, PATIENCE)
                self.assertEqual([task.status for task in tasks], want)
                wait_until(lambda: supervisor.stopped is None)


class Collections(Rig):

    def test_functions(self):
        fc = FunctionCollection()
        order = []

        @fc
        def a():
            order.append("a")
            return 1

        @fc(priority=0)
        def b():
            order.append("b")
            return 2

        def c():
            order.append("c")

        fc.append(c, priority=200)
        fc.append(c)
        fc.append(a, priority=1)
        key = __name__ + "."
        want = {key + "a": 1, key + "b": 2, key + "c": None}
        self.assertEqual((fc(), order), (want, ["b", "a", "c"]))
        self.assertEqual((fc.run(), fc.execute()), (want, (want, True)))
        fc.remove(c)
        self.assertEqual(fc(), {key + "a": 1, key + "b": 2})
        self.assertRaises(KeyError, fc.remove, c)
        self.assertEqual((a(), b()), (1, 2))

    def check_errors(self, kind, **more):
        def bad():
            raise ValueError("words")

        def good():
            return 1

        calls = []

        def on_error(word):
            calls.append((word, sys.exc_info()[0]))

        def made(**kwargs):
            fc = kind(**dict(more, **kwargs))
            fc.append(bad)
            fc.append(good)
            return fc

        self.assertRaises(ValueError, made())
        fc = made(on_error=on_error, on_error_kwargs={"word": "w"})
        key = __name__ + "."
        self.assertEqual(fc.execute(), ({key + "bad": None, key + "good": 1}, False))
        self.assertEqual(calls, [("w", ValueError)])
        fc.remove(len)
        self.assertEqual(calls[1:], [("w", KeyError)])
        result = made(on_error=on_error, on_error_kwargs={"word": "w"}, include_exceptions=True)()[key + "bad"]
        self.assertIsInstance(result[0], ValueError)
        self.assertTrue(result[1].startswith("Traceback") and result[1].endswith("ValueError: words\n"))

    def test_errors(self):
        self.check_errors(FunctionCollection)

    def test_errors_in_threads(self):
        self.check_errors(TaskCollection, supervisor=self.supervisor, poll_delay=0.1)

    def test_tasks(self):
        tc = TaskCollection(supervisor=self.supervisor)
        barrier = threading.Barrier(3, timeout=PATIENCE)
        ended = []

        @tc
        def bad():
            barrier.wait()
            raise ValueError

        @tc(priority=TASK_HIGH)
        def slow():
            barrier.wait()
            time.sleep(0.02)
            ended.append("slow")

        @tc
        def good():
            barrier.wait()
            return 1

        self.assertRaises(ValueError, tc)
        self.assertEqual(ended, ["slow"])
        tc.remove(bad)
        barrier.__init__(2, timeout=PATIENCE)
        self.assertEqual(tc(), {__name__ + ".slow": None, __name__ + ".good": 1})
        stopped = TaskCollection(supervisor=self.make())
        self.assertRaises(RuntimeError, stopped.run)


class Threads(Rig):

    def test_local_proxy(self):
        g = LocalProxy()
        g.set("a", 1)
        g.b = 2
        self.assertEqual((g.get("a"), g.get("b"), g.get("c"), g.get("c", 5), g.has("a"), g.has("c")), (1, 2, None, 5, True, False))
        found = []
        thread = threading.Thread(target=lambda: found.append((g.has("a"), g.get("b", 0))))
        thread.start()
        thread.join()
        self.assertEqual(found, [(False, 0)])
        g.clear("a")
        g.clear("a")
        self.assertFalse(g.has("a"))
        self.assertIsInstance(atasker.g, LocalProxy)

    def test_locker(self):
        lock = Locker(mod="x", timeout=0.01)
        calls = []
        lock.critical = lambda: calls.append("critical")

        @lock
        def f(a):
            "words"
            with lock:
                return a

        self.assertEqual((f(1), f.__name__, f.__doc__), (1, "f", "words"))
        self.assertIs(type(lock.lock), type(threading.RLock()))
        self.assertIs(type(Locker(relative=False).lock), type(threading.Lock()))
        self.assertEqual((Locker().timeout, Locker().mod), (5, "main"))
        taken, go = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: (lock.lock.acquire(), taken.set(), go.wait(PATIENCE), lock.lock.release()))
        thread.start()
        taken.wait(PATIENCE)
        self.assertIsNone(f(1))
        self.assertEqual((calls, len(self.log.of(logging.CRITICAL))), (["critical"], 1))
        with self.assertRaises(TimeoutError):
            with lock:
                pass
        go.set()
        thread.join()
        self.assertEqual(f(2), 2)

    def test_numbers(self):
        self.assertEqual((atasker.TASK_LOW, atasker.TASK_NORMAL, atasker.TASK_HIGH, atasker.TASK_CRITICAL), (200, 100, 50, 0))
        self.assertEqual((atasker.TT_COROUTINE, atasker.TT_THREAD, atasker.TT_MP), (0, 1, 2))
        from atasker.supervisor import (TASK_STATUS_CANCELED, TASK_STATUS_COMPLETED, TASK_STATUS_DELAYED,
                                        TASK_STATUS_QUEUED, TASK_STATUS_STARTED)
        self.assertEqual((TASK_STATUS_QUEUED, TASK_STATUS_DELAYED, TASK_STATUS_STARTED, TASK_STATUS_COMPLETED,
                          TASK_STATUS_CANCELED), (0, 2, 100, 200, -1))
        self.assertEqual([c.__module__ for c in (FunctionCollection, LocalProxy, atasker.TaskSupervisor)],
                         ["atasker.f", "atasker.threads", "atasker.supervisor"])
        self.assertEqual(atasker.co_mp_apply.__module__, "atasker.co")
        for name in atasker.__all__:
            self.assertTrue(hasattr(atasker, name))
        self.assertTrue(atasker.__version__)


if __name__ == "__main__":
    unittest.main()
