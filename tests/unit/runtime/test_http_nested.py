"""run_sync() and event loops inside handlers, beside others that the same loop serves."""

import asyncio
import contextvars
import sys
import unittest

import http_rig
from _sandboxd_http import nested

variable = contextvars.ContextVar("variable")


async def later(value, seconds=0.01):
    await asyncio.sleep(seconds)
    return value


class NestedTest(unittest.TestCase):

    def setUp(self):
        nested.install()
        self.loop = asyncio.new_event_loop()
        nested.serve(self.loop)

    def tearDown(self):
        self.loop.close()
        nested.serving = None

    def serve(self, *coroutines):
        """Run all beside each other in the instance's loop."""
        async def together():
            return await asyncio.gather(*coroutines)
        return http_rig.run(together(), self.loop)

    def test_a_loop_lets_go_of_what_it_has_open_and_takes_it_up_again(self):
        import os

        from pyodide.webloop import WebLoop
        opened = set(os.listdir("/proc/self/fd"))
        loop, unused = WebLoop(), WebLoop()
        for each in loop, unused:
            each.let_go()
        self.assertLessEqual(set(os.listdir("/proc/self/fd")), opened)
        loop.take_up()
        loop.call_later(0.01, loop.call_soon_threadsafe, loop.stop)
        loop.run_until_complete(asyncio.sleep(0.001))
        for each in loop, unused:
            each.close()
            each.close()
            self.assertTrue(each.is_closed())
        self.assertLessEqual(set(os.listdir("/proc/self/fd")), opened)

    def test_run_sync_blocks_one_request_only(self):
        order = []

        async def blocks():
            variable.set("mine")
            task = asyncio.current_task()
            self.assertTrue(nested.can_run_sync())
            self.assertEqual(nested.run_sync(until_other()), "done")
            order.append("blocked")
            self.assertEqual(variable.get(), "mine")
            self.assertIs(asyncio.current_task(), task)

        async def until_other():
            await http_rig.until(lambda: order)
            return "done"

        async def other():
            variable.set("other's")
            await asyncio.sleep(0.01)
            order.append("other")

        self.serve(blocks(), other())
        self.assertEqual(order, ["other", "blocked"])

    def test_stacks_go_on_in_any_order(self):
        order = []
        events = [asyncio.Event() for _ in range(5)]

        async def blocks(number):
            nested.run_sync(events[number].wait())
            order.append(number)
            await asyncio.sleep(0)
            nested.run_sync(asyncio.sleep(0))

        async def sets():
            for number in (2, 0, 4, 1, 3):
                await asyncio.sleep(0)
                events[number].set()
                await http_rig.until(lambda: number in order)

        self.serve(sets(), *[blocks(number) for number in range(5)])
        self.assertEqual(order, [2, 0, 4, 1, 3])

    def test_an_exception_and_a_result_come_through(self):
        async def fails():
            await asyncio.sleep(0)
            raise KeyError("x")

        async def handler():
            with self.assertRaises(KeyError):
                nested.run_sync(fails())
            done = self.loop.create_future()
            done.set_result(3)
            return nested.run_sync(done)

        self.assertEqual(self.serve(handler()), [3])

    def test_a_request_that_blocks_can_be_cancelled(self):
        ends = []

        async def blocks():
            try:
                nested.run_sync(asyncio.sleep(3600))
            except asyncio.CancelledError:
                ends.append(1)
                raise

        async def main():
            task = asyncio.ensure_future(blocks())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            nested.cancel(task)
            with self.assertRaises(asyncio.CancelledError):
                await task

        self.serve(main())
        self.assertEqual(ends, [1])

    def test_loops_of_a_handlers_own(self):
        """asyncio.run, a Runner, a new loop, and the instance's own loop's run_until_complete, all at once."""
        ticks = []

        async def ticker():
            while len(ticks) < 5:
                ticks.append(1)
                await asyncio.sleep(0.002)

        async def inner(number):
            self.assertEqual(variable.get(), number)
            self.assertIsNot(asyncio.get_running_loop(), self.loop)
            found = await asyncio.gather(later(number), asyncio.to_thread(lambda: number), blocking(number))
            self.assertEqual(found, [number] * 3)
            self.assertEqual(await asyncio.wait_for(later(number), http_rig.PATIENCE), number)
            with self.assertRaises(RuntimeError):
                unused = later(1)
                try:
                    asyncio.run(unused)     # as everywhere: a loop inside a loop of one's own is refused
                finally:
                    unused.close()
            return 2 * number

        async def blocking(number):
            return nested.run_sync(later(number))

        async def generator():
            for number in range(3):
                await asyncio.sleep(0)
                yield number

        async def collect():
            return [number async for number in generator()]

        async def handler(number):
            variable.set(number)
            task = asyncio.current_task()
            hooks = sys.get_asyncgen_hooks()
            self.assertEqual(asyncio.run(inner(number)), 2 * number)
            if hasattr(asyncio, "Runner"):
                with asyncio.Runner() as runner:
                    self.assertEqual(runner.run(inner(number)), 2 * number)
            loop = asyncio.new_event_loop()
            self.assertEqual(loop.run_until_complete(later(3)), 3)
            self.assertEqual(loop.run_until_complete(collect()), [0, 1, 2])
            loop.close()
            self.assertEqual(asyncio.get_running_loop().run_until_complete(later(4)), 4)
            self.assertIs(asyncio.get_running_loop(), self.loop)
            self.assertIs(asyncio.current_task(), task)
            self.assertEqual(sys.get_asyncgen_hooks(), hooks)
            self.assertEqual(await collect(), [0, 1, 2])

        self.serve(ticker(), *[handler(number) for number in range(6)])
        self.assertEqual(len(ticks), 5)

    def test_an_inner_loop_that_never_waits_lets_others_run(self):
        flag = []

        async def spins():
            while not flag:
                await asyncio.sleep(0)

        async def handler():
            asyncio.run(spins())

        async def other():
            await asyncio.sleep(0.001)
            flag.append(1)

        self.serve(handler(), other())

    def test_a_thread_of_the_worker_can_wait_too(self):
        def work():
            return nested.can_run_sync(), nested.run_sync(later(7))

        async def handler():
            return await self.loop.run_in_executor(None, work)

        self.assertEqual(self.serve(handler()), [(True, 7)])

    def test_where_nothing_runs_it_says_so(self):
        self.assertFalse(nested.can_run_sync())
        unused = later(1)
        with self.assertRaisesRegex(RuntimeError, "No suspender"):
            nested.run_sync(unused)
        unused.close()

    def test_without_greenlets_the_error_says_what_is_missing(self):
        async def handler():
            unused = later(1)
            try:
                for call in nested.run_sync, asyncio.run:
                    with self.assertRaisesRegex(RuntimeError, "python3-greenlet"):
                        call(unused)
            finally:
                unused.close()
            self.assertFalse(nested.can_run_sync())

        module, nested.greenlet = nested.greenlet, None
        try:
            self.serve(handler())
        finally:
            nested.greenlet = module


if __name__ == "__main__":
    unittest.main()
