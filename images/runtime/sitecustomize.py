"""Found by an interpreter that is started with this folder as PYTHONPATH: a task's script."""

import sandbox_job

try:
    sandbox_job.prepare_script()
except BaseException as error:
    # The interpreter would go on, into a task that is not prepared.
    sandbox_job.fail(125, "the task cannot be prepared: %s: %s" % (type(error).__name__, error))
