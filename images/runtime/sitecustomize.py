"""Imported by an interpreter that is started with this folder as PYTHONPATH: it is about to run a task's script."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# The task's environment does not have this PYTHONPATH.  An interpreter that the task makes in its own process
# (a subinterpreter) finds this module as well, and is not a new task.
if os.environ.get("PYTHONPATH") == HERE:
    import sandbox_job
    try:
        sandbox_job.prepare_script()
    except BaseException as error:
        # Otherwise the interpreter would go on and run the script unprepared.
        sandbox_job.fail(125, "the task cannot be prepared: %s: %s" % (type(error).__name__, error))
else:
    sys.path[:] = [folder for folder in sys.path if folder != HERE]
    sys.path_importer_cache.pop(HERE, None)
