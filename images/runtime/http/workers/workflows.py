"""Names for workflows, which are not there yet."""


class NonRetryableError(Exception):
    """Raised in a step that is not to be tried again."""


def __getattr__(name):
    # An AttributeError would become an ImportError that does not say why.
    if name in ("Workflow", "Step", "step"):
        raise ImportError("%s: workflows are not there yet" % name)
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
