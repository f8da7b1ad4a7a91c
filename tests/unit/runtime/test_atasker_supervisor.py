"""The supervisor: caps, priorities, timeouts, tasks, loops, jobs, what it says of itself, and its end."""

import asyncio
import logging
import os
import threading
import time
import unittest
from concurrent.futures import Future

from atasker_rig import MODULES, PATIENCE, Rig, open_files, wait_until

import atasker
from atasker import (TASK_CRITICAL, TASK_HIGH, TASK_LOW, TASK_NORMAL, TT_COROUTINE, TT_MP, TT_THREAD, background_task,
                     wait_completed)
from atasker.supervisor import ALoop, Task


class Held(Rig):
    """Tasks that wait inside until the test lets them go, by name."""

    def setUp(self):
        Rig.setUp(self)
        self.begun = []
        self.doors = {}
        self.addCleanup(self.open_all)

    def open_all(self):
        for door in self.doors.values():
            door.set()

    def tearDown(self):
        self.open_all()
        Rig.tearDown(self)

    def put(self, name, priority=TASK_NORMAL, supervisor=None, **kwargs):
        supervisor = supervisor or self.supervisor
        door = self.doors[name] = threading.Event()

        def target(_task_id):
            self.begun.append(name)
            door.wait(PATIENCE)
            supervisor.mark_task_completed(task_id=_task_id)

        return supervisor.put_task(target, priority=priority, **kwargs)

    def settle(self, n):
        """Wait until so many have begun."""
        wait_until(lambda: len(self.begun) >= n)


class Caps(Held):
    POOL = dict(pool_size=2, reserve_normal=1, reserve_high=1)

    def test_peaks(self):
        for priority, peak in ((TASK_LOW, 2), (TASK_NORMAL, 3), (TASK_HIGH, 4), (TASK_CRITICAL, 40)):
            del self.begun[:]
            tasks = [self.put("%d %d" % (priority, n), priority) for n in range(40)]
            self.settle(peak)
            self.assertEqual(self.supervisor.get_info().thread_tasks_count, peak)
            self.assertEqual(sum(task.is_started() for task in tasks), peak)
            self.open_all()
            wait_completed(tasks, PATIENCE)

    def test_running_of_any_priority_count(self):
        critical = [self.put("c%d" % n, TASK_CRITICAL) for n in range(3)]
        low, normal, high = self.put("l", TASK_LOW), self.put("n", TASK_NORMAL), self.put("h", TASK_HIGH)
        self.settle(4)
        self.assertEqual((self.begun[3], low.status, normal.status, high.status), ("h", 0, 0, 100))
        self.assertIsNone(low.time_started)
        self.open_all()
        wait_completed(critical + [low, normal, high], PATIENCE)

    def test_no_limit(self):
        supervisor = self.make(pool_size=0)
        supervisor.start()
        tasks = [self.put(str(n), TASK_LOW, supervisor) for n in range(60)]
        self.settle(60)
        self.open_all()
        wait_completed(tasks)
        supervisor.stop()

    def test_the_order(self):
        supervisor = self.make(pool_size=2, reserve_normal=0, reserve_high=0)
        supervisor.start()
        tasks = [self.put("L%d" % n, TASK_LOW, supervisor) for n in range(6)]
        for name, priority in (("N", TASK_NORMAL), ("H", TASK_HIGH), ("C", TASK_CRITICAL)):
            tasks += [self.put(name + str(n), priority, supervisor) for n in range(2)]
        self.settle(4)
        for n in range(12):
            self.doors[self.begun[n]].set()
            # With each end one more begins; the first two ends only make room.
            self.settle(min(12, max(4, n + 3)))
            wait_completed(tasks[list(self.doors).index(self.begun[n])], PATIENCE)
        self.assertEqual("".join(name[0] for name in self.begun), "LLCCHHNNLLLL")
        for letter in "LNHC":
            names = [name for name in self.begun if name[0] == letter]
            self.assertEqual(names, sorted(names))
        supervisor.stop()

    def test_a_change_while_it_runs(self):
        tasks = [self.put(str(n), TASK_LOW) for n in range(6)]
        self.settle(2)
        self.supervisor.set_thread_pool(pool_size=5)
        self.settle(5)
        self.assertEqual((self.supervisor.thread_pool_size, self.supervisor.thread_reserve_normal,
                          self.supervisor.thread_reserve_high), (5, 1, 1))
        self.supervisor.set_thread_pool(reserve_high=3)
        self.assertEqual((self.supervisor.thread_pool_size, self.supervisor.thread_reserve_high), (5, 3))
        self.open_all()
        wait_completed(tasks)

    def test_sizes(self):
        supervisor = atasker.TaskSupervisor()
        self.assertEqual((supervisor.thread_pool_size, supervisor.thread_reserve_normal, supervisor.thread_reserve_high),
                         (5 * os.cpu_count(), 5, 5))
        self.assertEqual((len(supervisor.id), atasker.task_supervisor.id), (36, "default"))
        self.assertEqual((supervisor.poll_delay, supervisor.timeout_warning, supervisor.timeout_critical,
                          supervisor.daemon, supervisor.mp_pool, supervisor.default_aloop, supervisor.event_loop),
                         (.1, 5, 10, False, None, None, None))
        self.assertRaises(ValueError, supervisor.set_thread_pool, min_size=5, max_size=4)
        self.assertRaises(ValueError, supervisor.set_thread_pool, pool_size=1, reserve_normal=1, reserve_high=1, min_size=4)

    def test_threads_that_are_there(self):
        def ours(supervisor):
            return [thread for thread in threading.enumerate() if thread.name.startswith("supervisor_%s_pool_" % supervisor.id)]

        supervisor = self.make(pool_size=4)
        supervisor.set_thread_pool(min_size=3)
        supervisor.start()
        wait_until(lambda: len(ours(supervisor)) >= 3)
        supervisor.stop()
        supervisor.set_thread_pool(min_size="max", max_size=6)
        supervisor.start()
        wait_until(lambda: len(ours(supervisor)) >= 6)
        # max_size is how many stay, and no limit.
        tasks = [self.put("x%d" % n, TASK_CRITICAL, supervisor) for n in range(20)]
        self.settle(20)
        self.open_all()
        wait_completed(tasks)
        wait_until(lambda: len(ours(supervisor)) == 6)
        supervisor.stop()
        self.assertEqual(ours(supervisor), [])

    def test_plain_threads_for_the_program(self):
        supervisor = atasker.TaskSupervisor(pool_size=1)
        pool = supervisor.thread_pool
        self.assertIsInstance(pool.submit(lambda: 1), Future)
        self.assertEqual(pool.submit(lambda a, b: a + b, 1, b=2).result(PATIENCE), 3)
        self.assertIsInstance(pool.submit(lambda: 1 / 0).exception(PATIENCE), ZeroDivisionError)
        supervisor.set_thread_pool(pool_size=3)
        self.assertIs(supervisor.thread_pool, pool)
        supervisor.start()
        self.assertEqual(pool.submit(lambda: 5).result(PATIENCE), 5)
        supervisor.stop()
        self.assertEqual(pool.submit(lambda: 6).result(PATIENCE), 6)


class Tasks(Held):
    POOL = dict(pool_size=2, reserve_normal=0, reserve_high=0)

    def test_a_task(self):
        seen = []
        arguments = {"b": 2}

        def target(a, b, _task_id):
            task = self.supervisor.get_task(_task_id)
            seen.append((a, b, task.status, task.is_started(), task.is_completed(), threading.current_thread().name == _task_id))
            self.assertIs(self.supervisor.mark_task_completed(task=task), True)

        before = time.time()
        task = self.supervisor.put_task(target, (1,), arguments, priority=TASK_LOW, task_id="mine")
        self.assertTrue(task.completed.wait(PATIENCE))
        self.assertTrue(task.started.is_set())
        self.assertEqual(seen, [(1, 2, 100, True, False, True)])
        self.assertEqual(arguments, {"b": 2})
        self.assertEqual((task.id, task.tt, task.target, task.args, task.priority, task.status, task.delay, task.worker,
                          task.callback), ("mine", TT_THREAD, target, (1,), TASK_LOW, 200, None, None, None))
        self.assertTrue(before - 1 <= task.time_queued <= task.time_started <= time.time() + 1)
        self.assertIsNone(self.supervisor.get_task("mine"))
        self.assertEqual(Task.__module__, "atasker.supervisor")
        self.assertRaises(LookupError, self.supervisor.mark_task_completed, task_id="mine")
        self.assertRaises(LookupError, self.supervisor.mark_task_completed, task=task)

    def test_a_slot_stays_taken_until_the_task_says_so(self):
        ran = threading.Event()
        task = self.supervisor.put_task(lambda _task_id: ran.set())
        ran.wait(PATIENCE)
        wait_completed(background_task(lambda: None, supervisor=self.supervisor)(), PATIENCE)
        self.assertEqual((self.supervisor.get_info().thread_tasks, task.is_completed()), ([task.id], False))
        self.supervisor.mark_task_completed(task)

    def test_one_that_raises_is_over(self):
        task = self.supervisor.put_task(lambda _task_id: 1 / 0)
        self.assertTrue(task.completed.wait(PATIENCE))
        self.assertEqual(len(self.log.of(logging.ERROR)), 1)

    def test_delay_takes_a_slot(self):
        first = self.put("a", delay=60)
        second = self.put("b", delay=0.01)
        third = self.put("c")
        self.settle(1)
        self.assertEqual((self.begun, first.status, second.status, third.status), (["b"], 2, 100, 0))
        self.assertEqual(self.supervisor.get_info().thread_tasks_count, 2)
        self.doors["b"].set()
        self.settle(2)
        self.doors["c"].set()
        self.supervisor.stop(wait=0.01)
        self.assertEqual((first.status, self.begun), (-1, ["b", "c"]))
        self.assertTrue(first.completed.is_set())

    def test_not_started(self):
        other = self.make()
        self.assertIsNone(other.put_task(lambda _task_id: None))
        self.assertRaises(RuntimeError, background_task(lambda: None, supervisor=other))
        for f in (other.register_scheduler, other.register_sync_scheduler):
            self.assertIs(f(object()), False)
        other.block()

    def test_lists(self):
        aloop = self.supervisor.create_aloop("x")
        self.put("a"), self.put("b"), self.put("c")
        self.settle(2)
        sleeper = aloop.background_task(asyncio.sleep(60))
        self.assertEqual(set(map(type, self.supervisor.get_tasks().values())), {Task})
        self.assertEqual([len(self.supervisor.get_tasks(tt)) for tt in (None, TT_THREAD, TT_MP, TT_COROUTINE)], [4, 3, 0, 1])
        self.assertEqual(list(self.supervisor.get_tasks(TT_COROUTINE)), [sleeper.id])
        self.open_all()
        self.supervisor.stop(cancel_tasks=True)
        self.assertEqual(sleeper.status, -1)

    def test_timeouts(self):
        seen = []
        self.supervisor.timeout_warning, self.supervisor.timeout_critical = 0.02, 0.05
        self.supervisor.timeout_warning_func = lambda task: seen.append(("warning", task.id, task.is_started()))
        self.supervisor.timeout_critical_func = lambda task: seen.append(("critical", task.id, task.is_started())) or 1 / 0
        quick = self.put("a", task_id="a"), self.put("b", task_id="b")
        self.settle(2)
        self.put("c", task_id="c")
        wait_until(lambda: len(seen) == 2)
        self.assertEqual(seen, [("warning", "c", False), ("critical", "c", False)])
        self.assertEqual([len(self.log.of(level)) for level in (logging.WARNING, logging.CRITICAL, logging.ERROR)], [1, 1, 1])
        # One that comes later is told of too.
        self.put("d", task_id="d")
        wait_until(lambda: len(seen) == 4)
        self.open_all()
        wait_completed(quick)
        wait_until(lambda: not self.supervisor.get_tasks())
        self.assertEqual(len(seen), 4)
        self.supervisor.timeout_warning = self.supervisor.timeout_critical = None

    def test_a_wait_that_is_seen_only_when_it_is_over(self):
        self.supervisor.timeout_warning = 0.02
        self.put("a"), self.put("b")
        self.settle(2)
        held, go = threading.Event(), threading.Event()
        self.supervisor.event_loop.call_soon_threadsafe(lambda: (held.set(), go.wait(PATIENCE)))
        held.wait(PATIENCE)
        late = self.put("c")
        time.sleep(0.03)
        self.doors["a"].set()
        late.started.wait(PATIENCE)
        self.assertEqual(len(self.log.of(logging.WARNING)), 1)
        go.set()


class Saying(Held):
    POOL = dict(pool_size=3, reserve_normal=2, reserve_high=1)

    def test_info(self):
        self.supervisor.create_aloop("x")
        self.supervisor.create_async_job_scheduler("j")
        worker = self.worker(lambda **kwargs: None, e=True)
        worker.start()
        self.put("a", task_id="a")
        self.settle(1)
        info = self.supervisor.get_info().__dict__
        self.assertEqual({name: info[name] for name in info if name not in ("aloops", "schedulers", "async_job_schedulers", "tasks")}, {
            "id": self.supervisor.id, "active": True, "started": True, "thread_pool_size": 3, "thread_reserve_normal": 2,
            "thread_reserve_high": 1, "thread_tasks": ["a"], "thread_tasks_count": 1, "mp_tasks": [], "mp_tasks_count": 0})
        self.assertEqual((list(info["aloops"]), list(info["schedulers"]), list(info["async_job_schedulers"]), list(info["tasks"])),
                         (["x"], [worker], ["j"], ["a"]))
        info = self.supervisor.get_info(False, False, False, False).__dict__
        self.assertEqual(sorted(info), ["active", "id", "mp_tasks_count", "started", "thread_pool_size",
                                        "thread_reserve_high", "thread_reserve_normal", "thread_tasks_count"])
        self.assertNotIn("mp_tasks", self.supervisor.get_info(TT_THREAD).__dict__)
        info = self.supervisor.get_info(TT_MP).__dict__
        self.assertEqual(("thread_tasks" in info, info["mp_tasks"], info["tasks"]), (False, [], {}))

    def test_debug_records(self):
        atasker.set_debug()
        try:
            logging.getLogger("atasker").setLevel(logging.DEBUG)
            worker = self.worker(lambda **kwargs: None, e=True)
            worker.start()
            worker.stop()
            self.assertEqual(len(self.log.of(logging.DEBUG)), 2)
            atasker.set_debug(False)
            worker.start()
            worker.stop()
            self.assertEqual(len(self.log.of(logging.DEBUG)), 2)
        finally:
            atasker.set_debug(False)
            logging.getLogger("atasker").setLevel(logging.NOTSET)


class Schedulers(Rig):

    def test_async(self):
        test = self

        class Own:
            def __init__(self):
                self.begun, self.stops = threading.Event(), []

            async def loop(self):
                self.thread = threading.current_thread()
                self.end = asyncio.Event()
                self.here = asyncio.get_running_loop()
                self.begun.set()
                await self.end.wait()

            def stop(self, wait):
                self.stops.append(wait)
                self.here.call_soon_threadsafe(self.end.set)

        aloop = self.supervisor.create_aloop("x")
        one, two, three = Own(), Own(), Own()
        two.worker_loop = aloop
        for scheduler in one, two, three:
            self.assertIs(self.supervisor.register_scheduler(scheduler), True)
            scheduler.begun.wait(PATIENCE)
        self.assertTrue(one.thread.name.endswith("_event_loop"))
        test.assertIs(two.thread, aloop.thread)
        self.assertEqual(set(self.supervisor.get_schedulers()), {one, two, three})
        three.stop(True)
        wait_until(lambda: three not in self.supervisor.get_schedulers())
        self.assertIs(self.supervisor.unregister_scheduler(three), False)
        self.supervisor.stop()
        self.assertEqual((len(one.stops), len(two.stops), len(three.stops)), (1, 1, 1))

    def test_sync(self):
        class Own:
            def stop(self, wait):
                self.stopped = True
                raise OSError

        one, two = Own(), Own()
        for scheduler in one, two:
            self.assertIs(self.supervisor.register_sync_scheduler(scheduler), True)
        self.assertIs(self.supervisor.unregister_sync_scheduler(two), True)
        self.assertIs(self.supervisor.unregister_sync_scheduler(two), False)
        self.supervisor.stop()
        self.assertEqual((one.stopped, hasattr(two, "stopped")), (True, False))

    def test_one_that_fails(self):
        class Own:
            async def loop(self):
                raise OSError

            def stop(self, wait):
                pass

        own = Own()
        self.supervisor.register_scheduler(own)
        wait_until(lambda: own not in self.supervisor.get_schedulers())
        self.assertEqual(len(self.log.of(logging.ERROR)), 1)


class Loops(Rig):

    def test_names(self):
        one = self.supervisor.create_aloop("one")
        self.assertEqual((type(one), one.name, one.is_active(), ALoop.__module__), (ALoop, "one", True, "atasker.supervisor"))
        self.assertEqual(one.thread.name, "supervisor_%s_aloop_one" % self.supervisor.id)
        self.assertIs(self.supervisor.create_aloop("one"), False)
        self.assertRaises(RuntimeError, self.supervisor.create_aloop, "__supervisor__")
        self.assertIs(self.supervisor.get_aloop("one"), one)
        self.assertIsNone(self.supervisor.get_aloop())
        self.assertIsNone(self.supervisor.get_aloop("two"))
        two = self.supervisor.create_aloop("two", default=True, start=False, daemon=True)
        self.assertEqual((self.supervisor.get_aloop(), two.is_active(), two.get_loop(), two.thread), (two, False, None, None))
        self.supervisor.set_default_aloop(one)
        self.assertIs(self.supervisor.default_aloop, one)
        self.assertIs(self.supervisor.start_aloop("two"), True)
        self.assertTrue(two.is_active() and two.thread.daemon)
        self.assertEqual(self.supervisor.get_aloops(), {"one": one, "two": two})
        self.assertIs(self.supervisor.stop_aloop("two"), True)
        self.assertFalse(two.is_active())
        self.assertEqual((self.supervisor.start_aloop("x"), self.supervisor.stop_aloop("x")), (False, False))
        self.assertEqual(len(self.log.of(logging.ERROR)), 3)

    def test_coroutines(self):
        aloop = self.supervisor.create_aloop("x")

        async def f(error=None):
            await asyncio.sleep(0)
            if error is not None:
                raise error
            return threading.current_thread()

        self.assertIs(aloop.run(f()), aloop.thread)
        self.assertRaises(ZeroDivisionError, aloop.run, f(ZeroDivisionError()))
        self.assertRaises(RuntimeError, aloop.run, f(SystemExit()))
        task = aloop.background_task(f())
        self.assertEqual((type(task), task.tt, wait_completed(task, PATIENCE), task.status), (Task, TT_COROUTINE, aloop.thread, 200))
        for error in OSError(), SystemExit():
            task = aloop.background_task(f(error))
            self.assertEqual((wait_completed(task, PATIENCE), task.status), (None, 200))
        self.assertEqual(len(self.log.of(logging.ERROR)), 2)

        async def inside():
            with self.assertRaises(RuntimeError):
                aloop.run(f())

        aloop.run(inside())
        aloop.stop()
        self.assertRaises(RuntimeError, aloop.run, f())
        self.assertRaises(RuntimeError, aloop.background_task, f())
        aloop.start()
        self.assertIs(aloop.run(f()), aloop.thread)

    def test_cancelled_before_the_first_step(self):
        aloop = self.supervisor.create_aloop("x")
        life, go, begun = aloop.life, threading.Event(), []

        class Own:
            worker_loop = aloop

            async def loop(self):
                begun.append(self)

            def stop(self, wait):
                pass

        async def executor():
            begun.append(executor)
            return False

        # The loop is held until all three and the cancel wait in it, in this order.
        life.loop.call_soon_threadsafe(go.wait, PATIENCE)
        task = aloop.background_task(asyncio.sleep(60))
        self.assertIs(self.supervisor.register_scheduler(Own()), True)
        worker = self.worker(executor, loop=aloop)
        starter = threading.Thread(target=worker.start)
        starter.start()
        wait_until(lambda: self.supervisor.runs)
        life.loop.call_soon_threadsafe(life.cancel, True)
        go.set()
        self.assertTrue(task.completed.wait(PATIENCE))
        self.assertEqual(task.status, -1)
        starter.join(PATIENCE)
        self.supervisor.stop()
        self.assertFalse(self.supervisor.runs or self.supervisor.get_schedulers())
        self.assertFalse(worker.is_active())

    def test_a_callback_that_leaves_does_not_end_the_loop(self):
        aloop = self.supervisor.create_aloop("x")
        aloop.get_loop().call_soon_threadsafe(lambda: (_ for _ in ()).throw(SystemExit(3)))
        self.assertIsNone(aloop.run(asyncio.sleep(0.001)))

    def test_stops(self):
        def begun(seconds):
            task = aloop.background_task(asyncio.sleep(seconds))
            task.started.wait(PATIENCE)
            return task

        aloop = self.supervisor.create_aloop("x")
        task = begun(0.05)
        aloop.stop()
        self.assertEqual(task.status, 200)
        for wait, cancel in ((0.02, False), (False, False), (True, True)):
            aloop.start()
            task, thread = begun(3600), aloop.thread
            aloop.stop(wait, cancel)
            self.assertFalse(aloop.is_active())
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive())
            self.assertEqual(task.status, -1)
            aloop.stop()

    def test_stop_of_a_loop_stops_its_workers(self):
        self.supervisor.create_aloop("x")
        entered = threading.Event()
        ended = []

        async def f(**kwargs):
            entered.set()
            await asyncio.sleep(0.05)
            ended.append(1)

        worker = self.worker(f, loop="x")
        worker.start()
        entered.wait(PATIENCE)
        self.supervisor.stop_aloop("x")
        self.assertEqual((self.states(worker), len(ended)), ("FFT", 1))

    def test_stop_from_inside(self):
        aloop = self.supervisor.create_aloop("x")

        async def f():
            aloop.stop()

        task = aloop.background_task(f())
        self.assertTrue(task.completed.wait(PATIENCE))
        wait_until(lambda: not aloop.is_active())

    def test_before_start_and_after_stop(self):
        supervisor = self.make()
        aloop = supervisor.create_aloop("x")
        self.assertFalse(aloop.is_active())
        for _ in range(2):
            supervisor.start()
            self.assertTrue(aloop.is_active())
            supervisor.stop()
            self.assertFalse(aloop.is_active())


class Jobs(Rig):

    def test_jobs(self):
        runs = []

        async def f(a, b=0):
            runs.append((a, b, threading.current_thread()))
            if len(runs) == 2:
                raise OSError

        aloop = self.supervisor.create_aloop("x")
        first = self.supervisor.create_async_job_scheduler("one", default=True)
        second = self.supervisor.create_async_job_scheduler("two", aloop="x")
        self.assertIs(self.supervisor.create_async_job_scheduler("one"), False)
        job = self.supervisor.create_async_job(target=f, args=(1,), kwargs={"b": 2}, interval=0.001, number=3)
        self.assertEqual((len(job.id), job.active), (36, True))
        wait_until(lambda: not job.active)
        wait_until(lambda: len(runs) == 3)
        self.assertEqual(runs, [(1, 2, self.supervisor.own_loop.thread)] * 3)
        self.assertEqual(len(self.log.of(logging.ERROR)), 2)
        del runs[:]
        for scheduler in "two", second:
            job = self.supervisor.create_async_job(scheduler, f, (1,))
            wait_until(lambda: len(runs) > 2)
            self.assertIs(self.supervisor.cancel_async_job(scheduler, job), True)
            self.assertIs(self.supervisor.cancel_async_job(scheduler, job), False)
            self.assertFalse(job.active)
            aloop.run(asyncio.sleep(0))
            n = len(runs)
            aloop.run(asyncio.sleep(0.02))
            self.assertEqual(len(runs), n)
            self.assertEqual(runs[-1], (1, 0, aloop.thread))
            del runs[:]
        self.assertRaises(LookupError, self.supervisor.create_async_job, "none", f)
        job = self.supervisor.create_async_job(target=f, args=(1,), timer=3600)
        job.cancel()
        self.assertEqual((first.jobs, runs), ({}, []))

    def test_overlap(self):
        most = []
        inside = []
        enough = threading.Event()

        async def f():
            inside.append(1)
            most.append(len(inside))
            if len(inside) > 3:
                enough.set()
            await asyncio.sleep(0.05)
            inside.pop()

        self.supervisor.create_async_job_scheduler("one", default=True)
        job = self.supervisor.create_async_job(target=f, interval=0.001)
        self.assertTrue(enough.wait(PATIENCE))
        self.supervisor.cancel_async_job(job=job)

    def test_before_start_and_after_stop(self):
        supervisor = self.make()
        runs = []

        async def f():
            runs.append(1)

        supervisor.create_async_job_scheduler("one", default=True)
        supervisor.create_async_job(target=f, interval=0.01)
        for _ in range(2):
            supervisor.start()
            del runs[:]
            wait_until(lambda: len(runs) > 2)
            supervisor.stop()
            n = len(runs)
            time.sleep(0.03)
            self.assertEqual(len(runs), n)


class Stops(Held):

    def busy(self):
        """A supervisor with one of everything."""
        supervisor = self.make(pool_size=2, reserve_normal=0, reserve_high=0)
        supervisor.start()
        supervisor.create_aloop("x", default=True)
        supervisor.create_async_job_scheduler("j", default=True)

        async def nothing(*args, **kwargs):
            pass

        supervisor.create_async_job(target=nothing, interval=0.01)
        workers = [atasker.background_worker(f, supervisor=supervisor, **kwargs) for kwargs in (
            {"q": True}, {"e": True}, {"interval": 0.01}, {"delay_before": 60}) for f in (lambda *_, **__: None, nothing)]
        workers += [atasker.background_worker(nothing, supervisor=supervisor),
                    atasker.background_worker(lambda **_: time.sleep(0.001), supervisor=supervisor)]
        for worker in workers:
            worker.start()
        return supervisor, workers

    def check_over(self, supervisor, workers):
        wait_until(lambda: supervisor.stopped is None)
        for worker in workers:
            wait_until(worker.is_stopped)
        self.assertEqual((supervisor.get_schedulers(), supervisor.get_info().active), ({}, False))
        wait_until(lambda: not [thread for thread in threading.enumerate() if supervisor.id in thread.name])

    def test_every_form(self):
        for kwargs in ({}, {"wait": False}, {"wait": 0}, {"wait": 5}, {"cancel_tasks": True}, {"stop_schedulers": False},
                       {"wait": False, "cancel_tasks": True, "stop_schedulers": False}):
            with self.subTest(**kwargs):
                supervisor, workers = self.busy()
                supervisor.stop(**kwargs)
                supervisor.stop()
                self.check_over(supervisor, workers)
                self.assertRaises(RuntimeError, workers[0].start)
        self.assertEqual(self.log.records, [])

    def test_from_everywhere(self):
        def from_thread(supervisor, stop):
            thread = threading.Thread(target=stop)
            thread.start()
            thread.join()

        def from_task(supervisor, stop):
            background_task(stop, supervisor=supervisor)()

        def from_executor(supervisor, stop):
            atasker.background_worker(lambda **_: stop(), supervisor=supervisor).start()

        def from_async_executor(supervisor, stop):
            async def f(**kwargs):
                stop()
            atasker.background_worker(f, supervisor=supervisor, loop=supervisor.own_loop).start()

        def from_coroutine(supervisor, stop):
            async def f():
                stop()
            supervisor.default_aloop.background_task(f())

        def from_job(supervisor, stop):
            async def f():
                stop()
            supervisor.create_async_job(target=f, number=1)

        def from_hook(supervisor, stop):
            worker = atasker.background_worker(lambda **_: None, supervisor=supervisor, e=True)
            worker.after_start = stop
            worker.start()

        def from_timeout(supervisor, stop):
            supervisor.timeout_critical, supervisor.timeout_critical_func = 0.01, lambda task: stop()
            tasks = [self.put(str(n), TASK_LOW, supervisor) for n in range(3)]
            wait_until(lambda: not supervisor.is_active)
            self.open_all()
            wait_completed(tasks)

        def from_signal_handler(supervisor, stop):
            import signal
            before = signal.signal(signal.SIGUSR1, lambda *_: stop())
            signal.raise_signal(signal.SIGUSR1)
            signal.signal(signal.SIGUSR1, before)

        for how in (from_thread, from_task, from_executor, from_async_executor, from_coroutine, from_job, from_hook,
                    from_timeout, from_signal_handler):
            for kwargs in {}, {"wait": False}, {"wait": 5, "cancel_tasks": True}:
                with self.subTest(how=how.__name__, **kwargs):
                    supervisor, workers = self.busy()
                    how(supervisor, lambda: supervisor.stop(**kwargs))
                    self.check_over(supervisor, workers)
        self.assertEqual([record for record in self.log.records if record.levelno != logging.CRITICAL], [])

    def test_a_signal_handler_stops_while_puts_hold_locks(self):
        """Wherever the main thread is when the signal comes."""
        import signal
        for n in range(30):
            supervisor = self.make()
            supervisor.start()
            worker = atasker.background_worker(lambda item, **_: None, q=True, supervisor=supervisor)
            worker.start()
            before = signal.signal(signal.SIGUSR1, lambda *_: supervisor.stop())
            threading.Timer(0.001 + 0.0003 * n, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            try:
                while supervisor.is_active:
                    worker.put(1)
            finally:
                wait_until(lambda: supervisor.stopped is None)
                signal.signal(signal.SIGUSR1, before)

    def test_no_ops_and_again(self):
        supervisor = self.make()
        supervisor.stop()
        supervisor.stop(False)
        for daemon in True, False:
            supervisor.start(daemon)
            supervisor.start()
            self.assertIs(supervisor.daemon, daemon)
            self.assertEqual(wait_completed(background_task(lambda: 5, supervisor=supervisor)(), PATIENCE), 5)
            supervisor.stop()
            supervisor.stop()
        waiter = threading.Thread(target=supervisor.block)
        supervisor.start()
        waiter = threading.Thread(target=supervisor.block)
        waiter.start()
        supervisor.stop()
        waiter.join(PATIENCE)
        self.assertFalse(waiter.is_alive())

    def test_wait(self):
        supervisor = self.make(pool_size=1, reserve_normal=0, reserve_high=0)
        supervisor.start()
        ran = []
        tasks = [background_task(lambda n: (time.sleep(0.01), ran.append(n)), supervisor=supervisor)(n) for n in range(5)]
        supervisor.stop()
        self.assertEqual((ran, [task.status for task in tasks]), ([0, 1, 2, 3, 4], [200] * 5))
        for wait in 0.02, False:
            supervisor.start()
            tasks = [self.put("%s %d" % (wait, n), supervisor=supervisor) for n in range(3)]
            tasks[0].started.wait(PATIENCE)
            supervisor.stop(wait)
            self.assertEqual([task.status for task in tasks], [100, -1, -1])
            self.assertEqual(wait_completed(tasks[1:], PATIENCE), [None, None])
            self.open_all()
            wait_completed(tasks)

    def test_executors_end_as_they_do(self):
        for kwargs, want in (({}, 2), ({"wait": False}, 2), ({"wait": 0.01}, 2), ({"cancel_tasks": True}, 1)):
            with self.subTest(**kwargs):
                supervisor = self.make()
                supervisor.start()
                supervisor.create_aloop("x", default=True)
                entered = threading.Semaphore(0)
                ended = []

                async def f(**_):
                    entered.release()
                    await asyncio.sleep(0.1)
                    ended.append(1)

                def g(**_):
                    entered.release()
                    time.sleep(0.1)
                    ended.append(1)

                workers = [atasker.background_worker(function, supervisor=supervisor) for function in (f, g)]
                for worker in workers:
                    worker.start()
                    entered.acquire()
                supervisor.stop(**kwargs)
                for worker in workers:
                    wait_until(worker.is_stopped)
                self.assertEqual(len(ended), want)
                wait_until(lambda: not [thread for thread in threading.enumerate() if supervisor.id in thread.name])

    def test_nothing_is_left(self):
        for n in range(12):
            supervisor, _ = self.busy()
            supervisor.stop()
            if n == 1:
                before = open_files()
        self.assertEqual(open_files(), before)


class Forks(Rig):

    def test_a_forked_child_starts_anew(self):
        worker = self.worker(lambda item, **_: None, q=True)
        worker.start()
        self.supervisor.create_aloop("x")
        plain = self.worker(lambda **_: time.sleep(0.001))
        plain.start()
        read, write = os.pipe()
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")     # that the process has threads
            pid = os.fork()
        if pid == 0:
            try:
                said = [self.states(worker), self.states(plain), str(self.supervisor.get_info().started)]
                self.supervisor.stop()
                self.supervisor.start()
                done = threading.Event()
                again = atasker.background_worker(lambda item, **_: done.set(), q=True, supervisor=self.supervisor)
                again.start()
                again.put(1)
                done.wait(10)
                self.supervisor.stop()
                os.write(write, " ".join(said + [str(done.is_set())]).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.assertEqual(pipe.read(), "FFF FFF False True")
        os.waitpid(pid, 0)
        self.assertEqual((self.states(worker), self.states(plain)), ("TTF", "TTF"))

    def test_it_is_where_the_tests_think(self):
        self.assertTrue(os.path.realpath(atasker.__file__).startswith(os.path.realpath(MODULES)))


if __name__ == "__main__":
    unittest.main()
