"""The logger, and the records that only set_debug() turns on."""

import logging

logger = logging.getLogger("atasker")
_wanted = False


def set_debug(mode=True):
    """Have what supervisors and workers do logged with the level DEBUG, or not."""
    global _wanted
    _wanted = bool(mode)


def debug(message, *args):
    if _wanted:
        logger.debug(message, *args)
