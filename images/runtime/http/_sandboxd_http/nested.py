"""run_sync() and event loops inside a handler: one request's code blocks, and the instance serves the others.

The instance's loop runs in one stack, the base.  When code that the loop has called wants to block, that stack is
left where it is, and another one (a greenlet) runs the loop's turns until what is waited for is done; then the
first goes on.  A stack that nobody blocks in costs nothing.

A loop of the handler's own (asyncio.run(), a Runner, new_event_loop().run_until_complete()) is an ordinary loop of
asyncio's.  Only where it would wait for its selector, it waits for the selector's descriptor in the instance's
loop instead.

To each stack belong the running loop, the current task, the hooks of asynchronous generators and, which greenlet
sees to, the context variables.
"""

import asyncio
import collections
import contextlib
import functools
import sys
import threading
from asyncio import base_events, events, runners, tasks
from contextvars import Context

try:
    import greenlet
except ImportError:
    greenlet = None

MISSING = ("%s needs the module greenlet, which this image does not have: add python3-greenlet to the packages of "
           "its image.json, or greenlet to the worker's dependencies")
FAIR_TURNS = 16     # so many turns a loop of a handler's may take without a wait before others have theirs


class Stacks:
    """The stacks in which the turns of one loop run."""

    def __init__(self, loop):
        self.loop = loop
        self.ready = collections.deque()    # stacks that may go on
        self.base = None                    # the stack of run_forever(), while it waits between two turns
        self.failure = None                 # what a turn has raised outside the base
        self.waits = {}                     # by task: the future that its stack waits for
        self.turn = loop._run_once
        loop._run_once = self.base_turn
        self.root = None

    def base_turn(self):
        self.turn()
        while self.ready:
            self.base = greenlet.getcurrent()
            self.ready.popleft().switch()
            self.base = None
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def run_turns(self):
        """Run turns until a stack that is more than a runner of turns can go on."""
        while True:
            try:
                self.turn()
            except BaseException as error:
                self.failure = self.failure or error
            target = self.ready.popleft() if self.ready else self.base
            if target is not None:
                greenlet.getcurrent().parent = target    # where this stack's end leads to
                return

    def wait(self, future):
        """Block this stack, and nothing else, until the future is done."""
        if future.done():
            return
        loop = self.loop
        me = greenlet.getcurrent()
        if self.root is None:
            self.root = me
            while self.root.parent is not None:
                self.root = self.root.parent
        context = Context()
        context.run(future.add_done_callback, lambda _: self.ready.append(me), context=context)

        running = events._get_running_loop()
        hooks = None
        if running is not loop:
            events._set_running_loop(loop)
            hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)
        task = tasks.current_task(loop)
        if task is not None:
            tasks._leave_task(loop, task)
            self.waits[task] = future
        outer = detached.loop
        detached.loop = None
        # This stack is in the middle of a turn, of which the rest, at most so many calls, will be made after it
        # goes on.
        calls = len(loop._ready)

        if self.ready and self.base is None:
            self.ready.popleft().switch()
        elif self.base is not None:
            base, self.base = self.base, None
            base.switch()
        else:
            greenlet.greenlet(self.run_turns, self.root).switch()

        while len(loop._ready) < calls:
            loop._ready.append(events.Handle(nothing, (), loop, context))
        detached.loop = outer
        if task is not None:
            self.waits.pop(task, None)
            tasks._enter_task(loop, task)
        if running is not loop:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(running)

    def run(self, awaitable):
        future = asyncio.ensure_future(awaitable, loop=self.loop)
        self.wait(future)
        return future.result()


def step_now(loop, task, waiting):
    """Make a new task's first step at once, and not in the loop's next turn.

    `waiting` is how many calls waited for the next turn before the task was made: the task's step is the one that
    came after these, unless a task factory of the worker's has seen to it otherwise.
    """
    ready = loop._ready
    if len(ready) != waiting + 1:
        return
    handle = ready.pop()
    current = tasks.current_task(loop)
    if current is None:
        handle._run()
        return
    tasks._leave_task(loop, current)
    try:
        handle._run()
    finally:
        tasks._enter_task(loop, current)


def nothing():
    """What takes the place of a call that another stack has made already."""


class Detached:
    """The loop that the running stack was called by, while the stack runs a loop of its own."""

    loop = None


detached = Detached()
serving = None      # the stacks of the instance's loop


def serve(loop):
    """Make this the loop in which handlers may block."""
    global serving
    serving = Stacks(loop)
    return serving


def stacks_of(loop):
    """The stacks of a running loop: the instance's, or one that a handler runs."""
    if serving is not None and loop is serving.loop:
        return serving
    stacks = getattr(loop, "_sandboxd_stacks", None)
    if stacks is None:
        stacks = loop._sandboxd_stacks = Stacks(loop)
    return stacks


def in_thread():
    """Whether this is a thread of the worker's own beside the instance's."""
    return (serving is not None and serving.loop.is_running()
            and threading.get_ident() != serving.loop._thread_id)


def can_run_sync():
    if events._get_running_loop() is not None:
        return greenlet is not None
    return in_thread()


def run_sync(awaitable):
    """Wait for an awaitable in code that is not asynchronous; other requests are served meanwhile."""
    loop = events._get_running_loop()
    if loop is not None:
        if greenlet is None:
            raise RuntimeError(MISSING % "run_sync()")
        return stacks_of(loop).run(awaitable)
    if in_thread():
        async def result():
            return await awaitable
        return asyncio.run_coroutine_threadsafe(result(), serving.loop).result()
    raise RuntimeError("No suspender")


def cancel(task):
    """Cancel a task, also one that blocks in run_sync()."""
    future = serving.waits.get(task) if serving is not None else None
    if future is not None:
        future.cancel()
    else:
        task.cancel()


class Selector:
    """The selector of a handler's own loop: it waits in the instance's loop."""

    def __init__(self, real, stacks):
        self.real = real
        self.stacks = stacks
        self.turns = 0

    def __getattr__(self, name):
        return getattr(self.real, name)

    def select(self, timeout=None):
        found = self.real.select(0)
        if found or timeout is not None and timeout <= 0:
            self.turns += 1
            if self.turns < FAIR_TURNS:
                return found
            timeout = 0
        self.turns = 0
        outer = self.stacks.loop
        future = outer.create_future()
        timer = None
        if timeout == 0:
            outer.call_soon(finish, future, context=Context())
        else:
            outer._add_reader(self.real.fileno(), finish, future)
            if timeout is not None:
                timer = outer.call_later(timeout, finish, future, context=Context())
        try:
            self.stacks.wait(future)
        finally:
            if timer is not None:
                timer.cancel()
            if timeout != 0:
                outer._remove_reader(self.real.fileno())
        return found or self.real.select(0)


def finish(future):
    if not future.done():
        future.set_result(None)


@contextlib.contextmanager
def outside(loop):
    """The body runs as code that no loop has called."""
    if greenlet is None:
        raise RuntimeError(MISSING % "an event loop inside a handler")
    task = tasks.current_task(loop)
    if task is not None:
        tasks._leave_task(loop, task)
    hooks = sys.get_asyncgen_hooks()
    events._set_running_loop(None)
    detached.loop = loop
    try:
        yield
    finally:
        detached.loop = None
        events._set_running_loop(loop)
        sys.set_asyncgen_hooks(*hooks)
        if task is not None:
            tasks._enter_task(loop, task)


def called_by_serving():
    """The instance's loop, if it has called the running code."""
    if serving is None:
        return None
    loop = events._get_running_loop()
    return loop if loop is serving.loop else None


def allow(real):
    """Let a function that starts an event loop be called in a handler, too."""
    @functools.wraps(real)
    def function(*args, **named):
        loop = called_by_serving()
        if loop is None:
            return real(*args, **named)
        with outside(loop):
            return real(*args, **named)
    return function


def allow_until_complete(real):
    @functools.wraps(real)
    def run_until_complete(self, future):
        loop = called_by_serving()
        if loop is None:
            return real(self, future)
        if self is loop:
            return run_sync(future)
        with outside(loop):
            return real(self, future)
    return run_until_complete


def allow_forever(real):
    @functools.wraps(real)
    def run_forever(self):
        loop = called_by_serving()
        if loop is not None and self is not loop:
            with outside(loop):
                return run_forever(self)
        if (detached.loop is None or threading.get_ident() != detached.loop._thread_id
                or not hasattr(getattr(self, "_selector", None), "fileno")):
            return real(self)
        selector = self._selector
        self._selector = Selector(selector, serving)
        try:
            return real(self)
        finally:
            self._selector = selector
    return run_forever


def install():
    """Put the functions that allow it in the place of asyncio's; without an instance they do what those do."""
    if hasattr(runners.run, "__wrapped__"):
        return
    asyncio.run = runners.run = allow(runners.run)
    if hasattr(runners, "Runner"):
        runners.Runner.run = allow(runners.Runner.run)
    loops = base_events.BaseEventLoop
    loops.run_until_complete = allow_until_complete(loops.run_until_complete)
    loops.run_forever = allow_forever(loops.run_forever)
