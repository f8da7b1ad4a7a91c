# The script that the interpreter is given.  The work is in a module, which is byte-compiled; this is not.
import sys
import sandbox_runtime
sandbox_runtime.main(sys.argv)
