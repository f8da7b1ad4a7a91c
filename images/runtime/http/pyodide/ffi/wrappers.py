"""Timers and event listeners that keep their functions' proxies themselves."""

from _sandboxd_js import world

__all__ = ["add_event_listener", "clear_interval", "clear_timeout", "remove_event_listener", "set_interval",
           "set_timeout"]


def add_event_listener(elt, event, listener):
    """Has the listener called with each event of that name."""
    elt.addEventListener(event, listener)


def remove_event_listener(elt, event, listener):
    """Has the listener called no more."""
    elt.removeEventListener(event, listener)


def set_timeout(callback, timeout):
    """Has the function called after so many milliseconds; what clear_timeout takes."""
    return world.globalThis.setTimeout(callback, timeout)


def clear_timeout(timeout_retval):
    """Has the function not called."""
    world.globalThis.clearTimeout(timeout_retval)


def set_interval(callback, interval):
    """Has the function called again and again; what clear_interval takes."""
    return world.globalThis.setInterval(callback, interval)


def clear_interval(interval_retval):
    """Has the function called no more."""
    world.globalThis.clearInterval(interval_retval)
