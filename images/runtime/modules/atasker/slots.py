"""Who may run: a pool's slots and those who wait for one.

A pool is three numbers.  A task may begin while fewer tasks run than its class's cap:

    low         size
    normal      size + reserve_normal
    high        size + reserve_normal + reserve_high
    critical    no cap

Running are all that have a slot, whatever their priority.  With size 0 nobody waits.  The caller holds the lock.
"""

from collections import deque

from .task import TASK_CRITICAL, TASK_HIGH, TASK_LOW, TASK_NORMAL


def class_of(priority):
    """The class of a priority: its own number, or the next one above."""
    for number in (TASK_CRITICAL, TASK_HIGH, TASK_NORMAL):
        if priority <= number:
            return number
    return TASK_LOW


class Slots:

    def __init__(self, size, reserve_normal, reserve_high):
        self.size = size
        self.reserve_normal = reserve_normal
        self.reserve_high = reserve_high
        self.running = {}       # by id
        # In the order in which they are asked.
        self.waiting = {TASK_HIGH: deque(), TASK_NORMAL: deque(), TASK_LOW: deque()}

    def total(self):
        return self.size + self.reserve_normal + self.reserve_high

    def has_room(self, number):
        if number == TASK_CRITICAL or not self.size:
            return True
        cap = self.size
        if number <= TASK_NORMAL:
            cap += self.reserve_normal
        if number <= TASK_HIGH:
            cap += self.reserve_high
        return len(self.running) < cap

    def take(self, task):
        """Give the task a slot, or else a place in its line; returns whether it has a slot."""
        number = class_of(task.priority)
        if self.has_room(number):
            self.running[task.id] = task
            return True
        self.waiting[number].append(task)
        return False

    def hold(self, task):
        """Count a task that begins whether there is room or not."""
        self.running[task.id] = task

    def give_back(self, task):
        """The task needs its slot no more; returns those who have one now."""
        self.running.pop(task.id, None)
        return self.admit()

    def admit(self):
        """Give slots to those who wait, as far as there is room; returns them."""
        admitted = []
        for number, line in self.waiting.items():
            while line and self.has_room(number):
                task = line.popleft()
                self.running[task.id] = task
                admitted.append(task)
        return admitted

    def in_line(self):
        return [task for line in self.waiting.values() for task in line]

    def send_away(self):
        """Empty the lines; returns who was in them."""
        gone = self.in_line()
        for line in self.waiting.values():
            line.clear()
        return gone
