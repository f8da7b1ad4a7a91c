"""Found by an interpreter that is started with this folder as PYTHONPATH: a task's script."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# The task's environment has no such entry: an interpreter that the task makes in its process looks
# for modules here as well, and is no new task.
if os.environ.get("PYTHONPATH") == HERE:
    import sandbox_job
    try:
        sandbox_job.prepare_script()
    except BaseException as error:
        # The interpreter would go on, into a task that is not prepared.
        sandbox_job.fail(125, "the task cannot be prepared: %s: %s" % (type(error).__name__, error))
else:
    sys.path[:] = [folder for folder in sys.path if folder != HERE]
    sys.path_importer_cache.pop(HERE, None)
