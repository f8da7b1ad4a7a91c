"""The five kinds of workers: what their executors get, return and raise, and when they are called."""

import asyncio
import collections.abc
import logging
import sys
import threading
import time
import unittest

from atasker_rig import PATIENCE, Rig, wait_until

import atasker
from atasker.workers import (BackgroundAsyncWorker, BackgroundEventWorker, BackgroundIntervalWorker,
                             BackgroundQueueWorker, BackgroundWorker)

# A worker's keywords by kind, and what makes it call its executor once.
KINDS = {
    "plain": ({}, lambda worker: None),
    "queue": ({"q": True}, lambda worker: worker.put(1)),
    "event": ({"e": True}, lambda worker: worker.trigger(force=True)),
    "interval": ({"interval": 0.01}, lambda worker: None),
}
EACH = [(kind, is_async) for kind in KINDS for is_async in (False, True)]


class OfKinds(Rig):

    def make_worker(self, kind, is_async, body, **kwargs):
        """A worker whose executor does body(kwargs); an async one gives the loop a turn first."""
        if is_async:
            self.aloop()

            async def executor(*args, **kwargs):
                await asyncio.sleep(0)
                return body(args, kwargs)
        else:
            def executor(*args, **kwargs):
                time.sleep(0.001)   # a plain one is called without a pause
                return body(args, kwargs)
        return self.worker(executor, **dict(dict(KINDS[kind][0], poll_delay=0.001), **kwargs))

    def each(self):
        for kind, is_async in EACH:
            with self.subTest(kind=kind, is_async=is_async):
                yield kind, is_async, KINDS[kind][1]

    def called(self, poke, worker, condition):
        """Have it called until the condition is true."""
        def met():
            if condition():
                return True
            poke(worker)
            return condition()
        wait_until(met)


class Classes(Rig):

    def test_bases(self):
        self.assertEqual([kind.__mro__[1] for kind in (
            BackgroundAsyncWorker, BackgroundQueueWorker, BackgroundEventWorker, BackgroundIntervalWorker)],
            [BackgroundWorker, BackgroundAsyncWorker, BackgroundAsyncWorker, BackgroundEventWorker])
        self.assertEqual(BackgroundWorker.__module__, "atasker.workers")

    def test_kinds_by_true_values(self):
        def f(**kwargs):
            pass

        async def g(**kwargs):
            pass

        class Callable:
            async def __call__(self, **kwargs):
                pass

        for function, kwargs, kind in (
                (f, {}, BackgroundWorker), (g, {}, BackgroundAsyncWorker), (Callable(), {}, BackgroundAsyncWorker),
                (f, {"q": True}, BackgroundQueueWorker), (g, {"queue": asyncio.PriorityQueue}, BackgroundQueueWorker),
                (f, {"e": 1}, BackgroundEventWorker), (g, {"event": True}, BackgroundEventWorker),
                (f, {"interval": 1}, BackgroundIntervalWorker), (f, {"i": 1}, BackgroundIntervalWorker),
                (g, {"delay": 1}, BackgroundIntervalWorker), (f, {"delay_before": 1}, BackgroundIntervalWorker),
                (f, {"q": False, "e": 0, "interval": 0, "delay": None}, BackgroundWorker),
                (g, {"q": False, "e": 0}, BackgroundAsyncWorker)):
            self.assertIs(type(atasker.background_worker(function, **kwargs)), kind, (function, kwargs))

    def test_decorators(self):
        @atasker.background_worker
        def bare(**kwargs):
            pass

        @atasker.background_worker(name="other", unknown="ignored")
        def given(**kwargs):
            pass

        class Holder:
            @atasker.background_worker
            def inside(**kwargs):
                pass

            def method(self, **kwargs):
                self.called = True
                return False

        self.assertEqual((bare.name, given.name, Holder.inside.name), (
            "_background_worker_bare", "_background_worker_other", "_background_worker_inside"))
        self.assertFalse(callable(bare))
        holder = Holder()
        worker = self.worker(holder.method)
        self.assertEqual(worker.name, "_background_worker_method")
        worker.start()
        wait_until(worker.is_stopped)
        self.assertTrue(holder.called)

    def test_names(self):
        worker = BackgroundWorker()
        self.assertEqual(len(worker.name), len("_background_worker_") + 36)
        worker.set_name("n")
        self.assertEqual(worker.name, "_background_worker_n")

    def test_constructors(self):
        def f(**kwargs):
            return False

        for arguments, keywords in (((), {"func": f}), ((None, f), {}), (("n",), {"executor_func": f})):
            worker = BackgroundWorker(*arguments, supervisor=self.supervisor, **keywords)
            worker.start()
            wait_until(worker.is_stopped)
        self.assertEqual((worker.priority, worker.o, worker._run_in_mp, worker._is_worker), (100, None, False, True))
        interval = BackgroundIntervalWorker(interval=3, delay_before=2)
        self.assertEqual((interval.delay, interval.keep_interval, interval.delay_before), (3, True, 2))
        self.assertEqual((BackgroundIntervalWorker().delay, BackgroundIntervalWorker(delay_after=4).delay), (1, 4))
        both = BackgroundIntervalWorker(interval=3, delay=2)
        self.assertEqual((both.delay, both.keep_interval), (3, True))
        self.assertEqual(len(self.log.of(logging.WARNING)), 1)

    def test_start_without_a_supervisor(self):
        other = self.make()
        worker = atasker.background_worker(lambda **kwargs: False, supervisor=other)
        self.assertRaises(RuntimeError, worker.start)
        self.assertEqual(self.states(worker), "FFF")


class Arguments(OfKinds):

    def test_what_executors_get(self):
        for kind, is_async, poke in self.each():
            seen = []

            def body(args, kwargs):
                kwargs = dict(kwargs)
                task_id = kwargs.pop("_task_id", None)
                if task_id is not None:
                    task = self.supervisor.get_task(task_id)
                    self.assertIs(task.worker, worker)
                    self.assertEqual(threading.current_thread().name, task_id)
                seen.append((args, kwargs, task_id is not None))
                return False

            thing = object()
            worker = self.make_worker(kind, is_async, body, name="w", o=thing)
            first = (1,) if kind == "queue" else ()
            for start, want in (((), {}), {}), (((5, 6), {"a": 7, "_name": "x", "o": 8, "_priority": 50}),
                                                {"a": 7, "_name": "x", "o": 8, "_priority": 50}), (((), {}), {}):
                self.assertTrue(worker.start(*start[0], **start[1]))
                self.called(poke, worker, worker.is_stopped)
                expected = dict({"_name": "_background_worker_w", "o": thing, "_worker": worker}, **want)
                self.assertEqual(seen, [(first + start[0], expected, not is_async)])
                self.assertEqual(worker.priority, 50 if want or expected is None or worker.priority == 50 else 100)
                del seen[:]
            worker.stop()
            self.assertEqual((worker.priority, worker.o, worker.name), (50, thing, "_background_worker_w"))

    def test_missing_positionals_of_event_and_interval_executors_are_none(self):
        seen = []

        def event(task, x, y=3, **kwargs):
            seen.append((task, x, y))
            return False

        async def interval(task, o, **kwargs):
            seen.append((task, o))
            return False

        def given(task, x, **kwargs):
            seen.append((task, x))
            return False

        self.aloop()
        for worker, start in ((self.worker(event, e=True), {}), (self.worker(interval, interval=60, o="o"), {}),
                              (self.worker(given, interval=60), {"x": 4})):
            worker.start(**start)
            if start or worker.name.endswith("event"):
                worker.trigger()
            wait_until(worker.is_stopped)
        self.assertEqual(seen, [(None, None, 3), (None, "o"), (None, 4)])

    def test_tasks_have_the_workers_priority(self):
        found = []
        worker = self.worker(lambda item, _task_id, **kwargs: found.append(self.supervisor.get_task(_task_id).priority),
                             q=True, priority=200)
        worker.put(1)
        worker.start()
        wait_until(lambda: found == [200])
        worker.restart(_priority=0)
        worker.put(1)
        wait_until(lambda: found == [200, 0])

    def test_loops(self):
        aloop = self.supervisor.create_aloop("one")
        found = []

        async def f(**kwargs):
            found.append((threading.current_thread(), asyncio.get_running_loop()))
            return False

        def run(loop, **kwargs):
            worker = self.worker(f, loop=loop)
            worker.start(**kwargs)
            wait_until(worker.is_stopped)
            self.assertIs(worker.executor_loop, found[-1][1])
            return worker, found[-1][0]

        self.assertEqual(run("one")[1], aloop.thread)
        self.assertEqual(run(aloop)[1], aloop.thread)
        self.assertEqual(run(aloop.get_loop())[1], aloop.thread)
        self.assertEqual(run(None, _loop="one")[1], aloop.thread)
        self.assertEqual(self.log.of(logging.WARNING), [])
        worker, thread = run(None)
        self.assertTrue(thread.name.endswith("_event_loop"))
        worker.restart()
        wait_until(worker.is_stopped)
        self.assertEqual(len(self.log.of(logging.WARNING)), 1)
        self.assertIsNone(worker.aloop)
        self.supervisor.set_default_aloop(aloop)
        worker, thread = run(None)
        self.assertEqual((thread, worker.aloop), (aloop.thread, aloop))
        for bad in "none", self.supervisor.create_aloop("two", start=False):
            worker = self.worker(f, loop=bad)
            self.assertRaises(RuntimeError, worker.start)
            self.assertFalse(worker.is_active())

    def test_a_loop_of_the_programs_own(self):
        found = []

        async def f(**kwargs):
            found.append(asyncio.get_running_loop())
            return len(found) < 3

        async def main():
            worker = self.worker(f, poll_delay=0.001)
            self.assertTrue(worker.start(_loop=asyncio.get_running_loop()))
            while not worker.is_stopped():
                await asyncio.sleep(0.001)
            self.assertEqual(found, [asyncio.get_running_loop()] * 3)
            # Stopped within the loop it cannot wait for itself.
            del found[:]
            worker = self.worker(lambda **kwargs: f(), e=True)
            worker.start()
            worker.stop()

        asyncio.run(main())
        # A loop that does not run yet, and one that never runs again.
        loop = asyncio.new_event_loop()
        worker = self.worker(f, poll_delay=0.001)
        worker.start(_loop=loop)
        del found[:]
        loop.run_until_complete(asyncio.sleep(0.01))
        worker.start(_loop=loop)
        loop.run_until_complete(asyncio.sleep(0.01))
        self.assertTrue(found)
        worker.stop()
        self.assertFalse(worker.is_active())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


class Ends(OfKinds):

    def test_return_false(self):
        for kind, is_async, poke in self.each():
            runs = []
            worker = self.make_worker(kind, is_async, lambda *_: (runs.append(1), len(runs) < 2)[1])
            for _ in range(2):
                del runs[:]
                worker.start()
                self.called(poke, worker, worker.is_stopped)
                self.assertEqual(len(runs), 2)
                self.assertEqual(self.states(worker), "FFT")
                self.assertEqual(self.supervisor.get_info().thread_tasks_count, 0)
                self.assertNotIn(worker, self.supervisor.get_schedulers())

    def test_only_false_itself_stops(self):
        for kind, is_async, poke in self.each():
            values = [None, 0, "", [], False]
            runs = []
            worker = self.make_worker(kind, is_async, lambda *_: (runs.append(1), values[len(runs) - 1])[1])
            worker.start()
            self.called(poke, worker, worker.is_stopped)
            self.assertEqual(len(runs), 5)

    def test_exceptions(self):
        for kind, is_async, poke in self.each():
            for error in ValueError("some words"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError():
                runs = []

                def body(*_):
                    runs.append(1)
                    if len(runs) < 3:
                        raise error
                    return False

                worker = self.make_worker(kind, is_async, body)
                before = len(self.log.of(logging.ERROR))
                worker.start()
                self.called(poke, worker, worker.is_stopped)
                if isinstance(error, asyncio.CancelledError) and is_async and sys.version_info < (3, 11):
                    self.assertIn(len(runs), (1, 3))
                    continue
                self.assertEqual(len(runs), 3)
                errors = self.log.of(logging.ERROR)[before:]
                self.assertEqual([record.exc_info[1] for record in errors], [error] * 2)

    def test_on_error(self):
        for kind, is_async, poke in self.each():
            seen = []

            def on_error(word):
                seen.append((word, sys.exc_info()[1]))
                if len(seen) == 2:
                    raise OSError("on_error itself")

            runs = []

            def body(*_):
                runs.append(1)
                if len(runs) < 4:
                    raise ValueError(len(runs))
                return False

            before = len(self.log.of(logging.ERROR))
            worker = self.make_worker(kind, is_async, body, on_error=on_error, on_error_kwargs={"word": "w"})
            worker.start()
            self.called(poke, worker, worker.is_stopped)
            self.assertEqual([(word, error.args) for word, error in seen], [("w", (n,)) for n in (1, 2, 3)])
            self.assertEqual([type(record.exc_info[1]) for record in self.log.of(logging.ERROR)[before:]], [OSError])

    def test_own_stop(self):
        for kind, is_async, poke in self.each():
            for how in "stop", "stop without waiting":
                runs = []

                def body(*_):
                    runs.append(1)
                    if len(runs) == 2:
                        worker.stop(*([False] if how != "stop" else []))
                        self.assertFalse(worker.is_active())
                        self.assertFalse(worker.is_stopped())

                worker = self.make_worker(kind, is_async, body)
                worker.start()
                self.called(poke, worker, worker.is_stopped)
                self.assertEqual((len(runs), self.states(worker)), (2, "FFT"))

    def test_states(self):
        for kind, is_async, poke in self.each():
            entered, leave = threading.Event(), threading.Event()

            def body(*_):
                entered.set()
                leave.wait(PATIENCE)

            worker = self.make_worker(kind, False, body)
            self.assertEqual(self.states(worker), "FFF")
            self.assertIs(worker.start(), True)
            self.assertIs(worker.start(), False)
            self.assertEqual(self.states(worker), "TTF")
            self.assertIn(worker, self.supervisor.get_schedulers())
            self.called(poke, worker, entered.is_set)
            self.assertIsNone(worker.stop(wait=False))
            self.assertEqual(self.states(worker), "FTF")
            leave.set()
            worker.stop()
            self.assertEqual(self.states(worker), "FFT")
            self.assertIsNone(worker.stop())

    def test_stop_waits_for_the_executor_and_does_not_cancel_it(self):
        for kind, is_async, poke in self.each():
            entered = threading.Event()
            ended = []

            if is_async:
                self.aloop()

                async def executor(*args, **kwargs):
                    entered.set()
                    await asyncio.sleep(0.05)
                    ended.append(1)
            else:
                def executor(*args, **kwargs):
                    entered.set()
                    time.sleep(0.05)
                    ended.append(1)
            worker = self.worker(executor, **KINDS[kind][0])
            worker.start()
            self.called(poke, worker, entered.is_set)
            worker.stop()
            self.assertEqual(len(ended), 1)

    def test_stop_wakes_every_wait(self):
        self.aloop()

        async def f(*args, **kwargs):
            pass

        def g(*args, **kwargs):
            pass

        began = time.monotonic()
        for function in f, g:
            for kwargs in ({"interval": 60}, {"delay": 60}, {"delay_before": 60}, {"q": True}, {"e": True}):
                worker = self.worker(function, **kwargs)
                worker.start()
                worker.stop()
                self.assertEqual(self.states(worker), "FFT")
        worker = self.worker(f, poll_delay=60)
        worker.start()
        worker.stop()
        # Each of them would have waited for a minute.
        self.assertLess(time.monotonic() - began, 50)

    def test_restart(self):
        for kind, is_async, poke in self.each():
            inside = []
            most = []
            seen = []

            def body(args, kwargs):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.005)
                seen.append(kwargs.get("n"))
                inside.pop()

            worker = self.make_worker(kind, is_async, body)
            worker.start(n=0)
            for n in range(1, 4):
                self.called(poke, worker, lambda: seen and seen[-1] == n - 1)
                worker.restart(n=n)
            self.called(poke, worker, lambda: seen[-1] == 3)
            worker.stop()
            self.assertEqual(max(most), 1)
            self.assertEqual(seen, sorted(seen))

    def test_start_while_the_old_run_ends(self):
        for kind, is_async, poke in self.each():
            inside = []
            most = []
            runs = []

            def body(args, kwargs):
                inside.append(1)
                most.append(len(inside))
                runs.append(kwargs["n"])
                if len(runs) == 1:
                    worker.stop(wait=False)
                    self.assertTrue(worker.start(n=2))
                    time.sleep(0.02)
                inside.pop()
                return kwargs["n"] == 1 or None if len(runs) == 1 else False

            worker = self.make_worker(kind, is_async, body)
            worker.start(n=1)
            self.called(poke, worker, lambda: len(runs) == 2 and worker.is_stopped())
            self.assertEqual((runs, max(most)), ([1, 2], 1))

    def test_hooks(self):
        calls = []

        class Hooks:
            def before_start(self):
                calls.append(("before_start", self.start_stop_lock._is_owned()))

            def after_start(self):
                calls.append(("after_start", self.start_stop_lock._is_owned()))

            def before_stop(self):
                calls.append(("before_stop", self.start_stop_lock._is_owned()))
                self.stop()

            def send_stop_events(self):
                calls.append(("send_stop_events", self.start_stop_lock._is_owned()))

            def after_stop(self):
                calls.append(("after_stop", self.start_stop_lock._is_owned()))
                self.thread = threading.current_thread()

        want = [(name, True) for name in ("before_start", "after_start", "before_stop", "send_stop_events", "after_stop")]
        for base in BackgroundWorker, BackgroundQueueWorker, BackgroundEventWorker, BackgroundIntervalWorker:
            class Own(Hooks, base):
                verdict = None

                def run(self, *args, **kwargs):
                    time.sleep(0.001)
                    return self.verdict

            worker = Own(supervisor=self.supervisor)
            worker.start()
            worker.stop()
            self.assertEqual(calls, want)
            self.assertIs(worker.thread, threading.current_thread())
            del calls[:]
            worker.verdict = False
            worker.start()
            if base is BackgroundQueueWorker:
                worker.put(1)
            elif base is BackgroundEventWorker:
                worker.trigger()
            wait_until(worker.is_stopped)
            self.assertEqual(calls, want)
            self.assertIsNot(worker.thread, threading.current_thread())
            del calls[:]

    def test_a_hook_that_raises(self):
        class Own(BackgroundEventWorker):
            def run(self, **kwargs):
                return False

        for name in "before_start", "after_start", "before_stop", "after_stop":
            worker = Own(supervisor=self.supervisor)
            setattr(worker, name, lambda: 1 / 0)
            if name.endswith("start"):
                self.assertRaises(ZeroDivisionError, worker.start)
                self.assertEqual(worker.is_active(), name == "after_start")
                worker.stop()
            else:
                worker.start()
                self.assertRaises(ZeroDivisionError, worker.stop)
                self.assertFalse(worker.is_active())
                worker.restart()
                worker.trigger()
                wait_until(worker.is_stopped)

    def test_stops_that_meet(self):
        """stop() of several threads, and an executor that returns False at that moment."""
        for _ in range(30):
            worker = self.worker(lambda **kwargs: False, e=True)
            after = []
            worker.after_stop = lambda: after.append(1)
            worker.start()
            threads = [threading.Thread(target=worker.stop) for _ in range(3)]
            worker.trigger()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual((after, self.states(worker)), ([1], "FFT"))

    def test_many_starts_and_stops_leave_nothing(self):
        from atasker_rig import open_files
        workers = [self.make_worker(kind, is_async, lambda *_: None) for kind, is_async in EACH]
        before = None
        for n in range(40):
            for worker in workers:
                self.assertTrue(worker.start())
            for worker in workers:
                worker.stop()
            if n == 1:
                before = open_files()
        self.assertEqual(open_files(), before)
        self.assertEqual((self.supervisor.get_tasks(), self.supervisor.get_schedulers()), ({}, {}))
        self.assertLess(threading.active_count(), 40)


class Plain(Rig):
    POOL = dict(pool_size=1, reserve_normal=0, reserve_high=0)

    def test_it_starts_however_full_the_pool_is(self):
        leave = threading.Event()
        workers = [self.worker(lambda **kwargs: leave.wait(PATIENCE) and None, priority=200) for _ in range(40)]
        for worker in workers:
            self.assertTrue(worker.start())
        info = self.supervisor.get_info()
        self.assertEqual((info.thread_tasks_count, len(info.thread_tasks), len(self.supervisor.get_schedulers())), (40, 40, 40))
        ran = []
        task = atasker.background_task(lambda: ran.append(1), supervisor=self.supervisor, priority=atasker.TASK_HIGH)()
        self.assertFalse(task.is_started())
        leave.set()
        for worker in workers:
            worker.stop()
        atasker.wait_completed(task, PATIENCE)
        self.assertEqual(ran, [1])


class Queues(OfKinds):

    def test_order_and_one_at_a_time(self):
        for is_async in False, True:
            for poll_delay in 0, 0.001:
                with self.subTest(is_async=is_async, poll_delay=poll_delay):
                    seen = []
                    inside = []
                    self.aloop()

                    def sync(item, **kwargs):
                        inside.append(item)
                        self.assertEqual(len(inside), 1)
                        time.sleep(0.0005)
                        inside.pop()
                        seen.append(item)

                    async def other(item, **kwargs):
                        inside.append(item)
                        self.assertEqual(len(inside), 1)
                        await asyncio.sleep(0.0005)
                        inside.pop()
                        seen.append(item)

                    worker = self.worker(other if is_async else sync, q=True, poll_delay=poll_delay)
                    for n in range(150):
                        worker.put(n)
                    worker.start()
                    for n in range(150, 300):
                        worker.put_threadsafe(n)
                    wait_until(lambda: len(seen) == 300)
                    worker.stop()
                    self.assertEqual(seen, list(range(300)))
                    self.assertEqual(self.log.records, [])

    def test_no_pause_between_items(self):
        # With poll_delay between the items this would take 33 minutes.
        for is_async in False, True:
            count = []
            worker = self.make_worker("queue", is_async, lambda *_: count.append(1), poll_delay=1)
            for n in range(2000):
                worker.put(n)
            worker.start()
            wait_until(lambda: len(count) == 2000)
            worker.stop()

    def test_items_are_kept(self):
        for is_async in False, True:
            seen = []
            worker = self.make_worker("queue", is_async, lambda args, kwargs: (seen.append(args[0]), args[0] != 3)[1])
            for n in range(1, 6):
                worker.put(n)
            worker.start()
            wait_until(worker.is_stopped)
            self.assertEqual(seen, [1, 2, 3])
            worker.put(None)
            worker.start()
            wait_until(lambda: len(seen) == 6)
            worker.stop()
            worker.put(9)
            self.assertEqual(worker.get_queue_obj().qsize(), 1)
            self.assertEqual(seen, [1, 2, 3, 4, 5, None])
            worker.restart()
            wait_until(lambda: seen[-1] == 9)
            worker.stop()

    def test_put_from_anywhere(self):
        seen = []
        worker = self.worker(lambda item, **kwargs: seen.append(item), q=True)
        self.assertIsNone(worker.put_threadsafe(0))
        done = worker.put(1)
        self.assertIsInstance(done, collections.abc.Coroutine)
        worker.start()

        async def main():
            self.assertIsNone(await worker.put(2))
            worker.put(3)
            await asyncio.gather(worker.put(4))

        asyncio.run(main())
        loop = self.aloop().get_loop()
        asyncio.run_coroutine_threadsafe(worker.put(5), loop).result()
        threads = [threading.Thread(target=worker.put, args=(n,)) for n in range(6, 20)]
        for thread in threads:
            thread.start()
            thread.join()
        worker.get_queue_obj().put_nowait(20)
        asyncio.run(worker.get_queue_obj().put(21))
        wait_until(lambda: len(seen) == 22)
        self.assertEqual(seen, list(range(22)))

    def test_other_queues(self):
        class Small(asyncio.Queue):
            def __init__(self):
                asyncio.Queue.__init__(self, 2)

        for queue, want in ((asyncio.queues.PriorityQueue, [1, 2, 3, 4, 5]), (asyncio.LifoQueue, [2, 4, 1, 3, 5]),
                            (Small, [5, 3, 1, 4, 2])):
            for is_async in False, True:
                seen = []
                worker = self.make_worker("queue", is_async, lambda args, kwargs: seen.append(args[0]), q=queue)
                for n in (5, 3, 1, 4, 2):
                    worker.put(n)
                self.assertIsInstance(worker.get_queue_obj(), queue)
                worker.start()
                wait_until(lambda: len(seen) == 5)
                self.assertEqual(seen, want)
                worker.stop()

    def test_items_that_cannot_be_compared(self):
        seen = []
        worker = self.worker(lambda item, **kwargs: seen.append(item), q=asyncio.PriorityQueue)
        worker.put("a")
        self.assertRaises(TypeError, worker.put, 1)
        worker.start()
        wait_until(lambda: seen)
        worker.stop()

    def test_hooks(self):
        calls = []
        for is_coroutine in False, True:
            for is_async in False, True:
                del calls[:]
                worker = self.make_worker("queue", is_async, lambda args, kwargs: calls.append(("run", args[0])))

                def before():
                    calls.append("before")

                def after(item):
                    calls.append(("after", item))
                    if item == 2:
                        raise ValueError

                async def before_too():
                    before()

                async def after_too(item):
                    after(item)

                worker.before_queue_get = before_too if is_coroutine else before
                worker.after_queue_get = after_too if is_coroutine else after
                worker.start()
                worker.put(1)
                worker.put(2)
                wait_until(lambda: len(calls) == 7)
                worker.stop()
                self.assertEqual(calls, ["before", ("after", 1), ("run", 1), "before", ("after", 2), ("run", 2), "before"])

    def test_an_item_that_waits_for_a_slot_when_the_supervisor_stops_is_kept(self):
        supervisor = self.make(pool_size=1, reserve_normal=0, reserve_high=0)
        supervisor.start()
        leave = threading.Event()
        blocker = atasker.background_task(lambda: leave.wait(PATIENCE), supervisor=supervisor)()
        seen = []
        worker = atasker.background_worker(lambda item, **kwargs: seen.append(item), q=True, supervisor=supervisor)
        worker.put(1)
        worker.put(2)
        worker.start()
        wait_until(lambda: len(supervisor.get_tasks()) == 2)
        supervisor.stop(wait=0.05)
        self.assertEqual((seen, self.states(worker)[0]), ([], "F"))
        leave.set()
        atasker.wait_completed(blocker)
        supervisor.start()
        worker.start()
        wait_until(lambda: seen == [1, 2])
        supervisor.stop()


class Events(OfKinds):

    def test_triggers(self):
        for is_async in False, True:
            with self.subTest(is_async=is_async):
                self.aloop()
                runs = []
                entered, leave = threading.Event(), threading.Event()

                def sync(**kwargs):
                    runs.append(1)
                    entered.set()
                    leave.wait(PATIENCE)
                    leave.clear()

                async def other(**kwargs):
                    await asyncio.get_running_loop().run_in_executor(None, sync)

                worker = self.worker(other if is_async else sync, e=True)
                self.assertIsNone(worker.trigger_threadsafe())
                worker.start()
                self.assertEqual(runs, [])      # it came before the start
                self.assertIsInstance(worker.trigger(), collections.abc.Coroutine)
                self.assertTrue(entered.wait(PATIENCE))
                for _ in range(3):
                    worker.trigger()            # dropped: it runs
                entered.clear()
                leave.set()
                wait_until(lambda: not worker._current.executing)
                self.assertFalse(worker.get_event_obj().is_set())
                worker.trigger_threadsafe()
                self.assertTrue(entered.wait(PATIENCE))
                entered.clear()
                for _ in range(3):
                    worker.trigger(force=True)  # one more run after it
                self.assertTrue(worker.get_event_obj().is_set())
                leave.set()
                self.assertTrue(entered.wait(PATIENCE))
                entered.clear()
                leave.set()
                wait_until(lambda: not worker._current.executing)
                asyncio.run(self.triggered(worker))
                self.assertTrue(entered.wait(PATIENCE))
                leave.set()
                worker.stop()
                self.assertEqual(len(runs), 4)

    async def triggered(self, worker):
        await worker.trigger()

    def test_triggers_are_coalesced(self):
        loop = self.aloop().get_loop()
        held, go = threading.Event(), threading.Event()
        runs = []

        async def f(**kwargs):
            runs.append(1)

        worker = self.worker(f, e=True)
        worker.start()
        loop.call_soon_threadsafe(lambda: (held.set(), go.wait(PATIENCE)))
        held.wait(PATIENCE)
        for _ in range(5):
            worker.trigger()
            worker.trigger(force=True)
        go.set()
        wait_until(lambda: runs)
        worker.stop()
        self.assertEqual(len(runs), 1)


class Intervals(OfKinds):

    def test_the_first_run_is_at_start_and_others_follow(self):
        for kwargs in {"interval": 0.01}, {"delay": 0.01}, {"delay_before": 0.01}, {"interval": 0.01, "delay_before": 0.01}:
            for is_async in False, True:
                runs = []
                worker = self.make_worker("interval", is_async, lambda *_: runs.append(time.monotonic()),
                                          **dict({"interval": None}, **kwargs))
                began = time.monotonic()
                worker.start()
                wait_until(lambda: len(runs) >= 3)
                worker.stop()
                least = 0.01 if "delay_before" in kwargs else 0
                self.assertGreaterEqual(runs[0] - began, least)
                if "interval" not in kwargs:
                    self.assertGreaterEqual(runs[2] - runs[1], 0.009)

    def test_it_stays_on_its_grid(self):
        runs = []
        worker = self.worker(lambda **kwargs: runs.append(time.monotonic()), interval=0.05)
        worker.start()
        wait_until(lambda: len(runs) >= 21)
        worker.stop()
        # test_atasker_parts.py has the grid with a clock of its own; here, none is ahead of it.
        self.assertGreaterEqual(runs[20] - runs[0], 20 * 0.05 - 0.045)

    def test_overrides_at_start(self):
        worker = self.worker(lambda **kwargs: None, interval=60, delay_before=60)
        worker.start(_interval=50, _delay_before=40)
        self.assertEqual((worker.delay, worker.keep_interval, worker.delay_before), (50, True, 40))
        worker.stop()
        worker.start()
        worker.restart(_delay=30)
        self.assertEqual((worker.delay, worker.keep_interval, worker.delay_before), (30, False, 40))
        worker.stop()
        worker = BackgroundIntervalWorker(func=lambda **kwargs: None, supervisor=self.supervisor)
        worker.start(_delay_before=20)
        self.assertEqual((worker.delay, worker.delay_before), (0, 20))
        worker.restart(_delay_before=0)
        self.assertEqual((worker.delay, worker.delay_before), (1, 0))

    def test_triggers(self):
        for kwargs in {"interval": 60}, {"delay": 60}, {"delay_before": 60}:
            for is_async in False, True:
                runs = []
                worker = self.make_worker("interval", is_async, lambda *_: runs.append(1),
                                          **dict({"interval": None}, **kwargs))
                worker.start()
                first = 0 if "delay_before" in kwargs else 1
                wait_until(lambda: len(runs) == first and not worker._current.executing)
                for n in range(1, 4):
                    worker.trigger()
                    wait_until(lambda: len(runs) == first + n and not worker._current.executing)
                worker.stop()

    def test_idle_workers_do_nothing(self):
        """Context switches of this process while forty workers wait."""
        import resource
        workers = [self.worker(lambda *args, **kwargs: None, **kwargs) for _ in range(10)
                   for kwargs in ({"q": True}, {"e": True}, {"interval": 60}, {"delay": 60})]
        for worker in workers:
            worker.start()
        wait_until(lambda: not self.supervisor.get_tasks())
        before = resource.getrusage(resource.RUSAGE_SELF)
        time.sleep(1)
        after = resource.getrusage(resource.RUSAGE_SELF)
        self.assertLess(after.ru_nvcsw - before.ru_nvcsw, 15)


if __name__ == "__main__":
    unittest.main()
