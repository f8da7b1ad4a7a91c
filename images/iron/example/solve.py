"""Solves the linear system of a discretised heat equation; the same numbers on every run."""
import json
import os
import platform

import numpy

with open(os.environ["PAYLOAD_FILE"]) as file:
    size = json.load(file)["size"]

# -u'' = 1 with u = 0 at both ends, on `size` inner points: u(x) = x (1 - x) / 2.
step = 1.0 / (size + 1)
matrix = (2 * numpy.eye(size) - numpy.eye(size, k=1) - numpy.eye(size, k=-1)) / step ** 2
solution = numpy.linalg.solve(matrix, numpy.ones(size))
x = step * numpy.arange(1, size + 1)

print("unknowns %d, largest value %.6f, error %.1e"
      % (size, solution.max(), round(abs(solution - x * (1 - x) / 2).max(), 9)))
print("python %s, numpy %s" % (platform.python_version(), numpy.__version__))
