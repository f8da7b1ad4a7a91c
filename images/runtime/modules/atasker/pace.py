"""When an interval worker's next run is due.  All times are seconds of one clock that only goes forward."""

import math


class Pace:
    """One run's schedule: a fixed grid, or a pause after each call of the executor.

    With a grid, calls are due at begin, begin + delay, begin + 2 * delay and so on, however long each takes.
    One that is late begins at once, ticks that were missed are dropped, and the grid stays.  With delay 0 there
    is no grid.
    """

    def __init__(self, now, before):
        """`before`: seconds between each due time and the call, the first one included."""
        self.before = before
        self.due = now + before
        self.origin = self.due      # the grid's tick number 0
        self.tick = 0               # the number of the tick that is due
        self.delay = None

    def begins(self, now, delay):
        """What is due begins, perhaps so late that it stands for further ticks too."""
        if delay > 0:
            if self.delay is not None and delay != self.delay:
                # The program has changed the interval meanwhile: a new grid begins here.
                self.origin = self.due
                self.tick = 0
            self.delay = delay
            self.tick = max(self.tick, math.floor((now - self.origin) / delay))

    def ended(self, now, delay, keep):
        """What was due has ended; keep: with a grid."""
        if keep and delay > 0:
            self.tick += 1
            self.due = self.origin + self.tick * (self.delay or delay)
        else:
            self.rest(now, delay)

    def extra_ended(self, now, delay, keep):
        """A call that was triggered has ended."""
        if not keep:
            self.rest(now, delay)

    def rest(self, now, delay):
        self.due = now + delay + self.before
