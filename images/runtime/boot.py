# The script that the interpreter is given.  The work is in a module, because modules are byte-compiled and a
# script is not.
import sys
import sandbox_runtime
sandbox_runtime.main(sys.argv)
