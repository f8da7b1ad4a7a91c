"""Parts of atasker that need no thread, or only one: the grid, the slots, the latch."""

import _thread
import os
import threading
import time
import unittest

import atasker_rig  # noqa: F401, it puts the package in sys.path
from atasker.latch import Latch
from atasker.pace import Pace
from atasker.slots import Slots, class_of
from atasker.task import TT_THREAD, Task


class Grid(unittest.TestCase):
    """Pace with a clock that the test turns."""

    def starts(self, pace, delay, keep, lengths, lag=0.0, now=100.0):
        """When calls begin that take so long, with a loop that always comes `lag` too late."""
        found = []
        for length in lengths:
            now = max(now, pace.due) + lag
            found.append(round(now - 100, 6))
            pace.begins(now, delay if keep else 0)
            now += length
            pace.ended(now, delay, keep)
        return found

    def test_a_grid_does_not_drift(self):
        pace = Pace(100.0, 0)
        self.assertEqual(self.starts(pace, 0.5, True, [0.25] * 5, 0.125), [0.125, 0.625, 1.125, 1.625, 2.125])
        self.assertEqual(self.starts(Pace(100.0, 0), 0.1, True, [0.01] * 1000)[-1], 99.9)

    def test_a_long_run_is_followed_at_once_and_the_grid_stays(self):
        self.assertEqual(self.starts(Pace(100.0, 0), 0.5, True, [0.125, 1.75, 0.125, 0.125, 0.125]),
                         [0, 0.5, 2.25, 2.5, 3.0])

    def test_a_run_that_ends_on_a_tick(self):
        self.assertEqual(self.starts(Pace(100.0, 0), 0.5, True, [0.5, 0.5, 1.0, 0.125, 0.125]), [0, 0.5, 1.0, 2.0, 2.5])

    def test_a_loop_that_was_held_up_makes_no_burst(self):
        pace = Pace(100.0, 0)
        self.assertEqual(self.starts(pace, 0.5, True, [0]), [0])
        pace.begins(103.125, 0.5)
        pace.ended(103.25, 0.5, True)
        self.assertEqual(pace.due, 103.5)

    def test_delay_before_shifts_the_grid(self):
        self.assertEqual(self.starts(Pace(100.0, 2), 0.5, True, [0.125] * 3), [2, 2.5, 3.0])

    def test_delay_is_from_end_to_start(self):
        self.assertEqual(self.starts(Pace(100.0, 0), 0.5, False, [0.25, 1, 0.25]), [0, 0.75, 2.25])

    def test_delay_before_adds_to_delay_and_alone_is_the_pause(self):
        self.assertEqual(self.starts(Pace(100.0, 2), 0.5, False, [0.25] * 3), [2, 4.75, 7.5])
        self.assertEqual(self.starts(Pace(100.0, 2), 0, False, [0] * 3), [2, 4, 6])

    def test_an_extra_run_leaves_the_grid_and_puts_off_a_delay(self):
        pace = Pace(100.0, 0)
        self.starts(pace, 0.5, True, [0.125])
        pace.extra_ended(100.25, 0.5, True)
        self.assertEqual(pace.due, 100.5)
        pace.extra_ended(101.75, 0.5, True)
        self.assertEqual(self.starts(pace, 0.5, True, [0.125, 0.125], now=101.75), [1.75, 2.0])
        pace = Pace(100.0, 0)
        self.starts(pace, 0.5, False, [0.125])
        pace.extra_ended(101.0, 0.5, False)
        self.assertEqual(pace.due, 101.5)

    def test_another_interval_makes_another_grid(self):
        pace = Pace(100.0, 0)
        self.starts(pace, 0.5, True, [0, 0])
        self.assertEqual(self.starts(pace, 2, True, [0, 0, 0], now=100.5), [1.0, 3.0, 5.0])


class Caps(unittest.TestCase):

    def test_classes(self):
        self.assertEqual([class_of(n) for n in (-1, 0, 1, 50, 51, 100, 101, 200, 1000)],
                         [0, 0, 50, 50, 100, 100, 200, 200, 200])

    def admitted(self, slots, priority, n):
        return sum(slots.take(Task(TT_THREAD, priority=priority)) for _ in range(n))

    def test_each_class_has_its_cap_and_critical_none(self):
        slots = Slots(2, 1, 1)
        self.assertEqual([self.admitted(slots, priority, 9) for priority in (200, 100, 50, 0)], [2, 1, 1, 9])
        self.assertEqual(len(slots.in_line()), 7 + 8 + 8)
        slots = Slots(2, 1, 1)
        self.assertEqual(self.admitted(slots, 0, 40), 40)
        self.assertEqual([self.admitted(slots, priority, 1) for priority in (200, 100, 50, 0)], [0, 0, 0, 1])

    def test_size_0_is_no_limit(self):
        self.assertEqual(self.admitted(Slots(0, 1, 1), 200, 1000), 1000)

    def test_the_order_of_those_who_wait(self):
        slots = Slots(1, 0, 0)
        first = Task(TT_THREAD, priority=200, task_id="first")
        slots.take(first)
        for name, priority in (("l1", 200), ("l2", 150), ("n1", 100), ("n2", 100), ("h1", 50), ("h2", 7)):
            self.assertFalse(slots.take(Task(TT_THREAD, priority=priority, task_id=name)))
        order = []
        task = first
        while True:
            ready = slots.give_back(task)
            if not ready:
                break
            (task,) = ready
            order.append(task.id)
        self.assertEqual(order, ["h1", "h2", "n1", "n2", "l1", "l2"])

    def test_a_change_lets_in(self):
        slots = Slots(1, 0, 0)
        self.admitted(slots, 200, 4)
        slots.size = 3
        self.assertEqual(len(slots.admit()), 2)
        self.assertEqual(len(slots.send_away()), 1)
        self.assertEqual(slots.in_line(), [])


class OneTimeEvent(unittest.TestCase):

    def test_many_wait_and_all_go(self):
        latch = Latch()
        gone = []
        threads = [threading.Thread(target=lambda: gone.append(latch.wait())) for _ in range(20)]
        for thread in threads:
            thread.start()
        self.assertFalse(latch.is_set())
        latch.set()
        latch.set()
        for thread in threads:
            thread.join()
        self.assertEqual(gone, [True] * 20)
        self.assertTrue(latch.wait(0))

    def test_a_timeout(self):
        latch = Latch()
        self.assertFalse(latch.wait(0.01))
        self.assertFalse(latch.wait(-5))
        latch.set()
        self.assertTrue(latch.wait(1e20))

    def test_a_signal_handler_may_set_what_the_main_thread_waits_for(self):
        import signal
        latch = Latch()
        before = signal.signal(signal.SIGUSR1, lambda *_: latch.set())
        try:
            _thread.start_new_thread(lambda: (time.sleep(0.05), os.kill(os.getpid(), signal.SIGUSR1)), ())
            self.assertTrue(latch.wait(atasker_rig.PATIENCE))
        finally:
            signal.signal(signal.SIGUSR1, before)


if __name__ == "__main__":
    unittest.main()
