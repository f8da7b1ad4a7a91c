import time

print(time.monotonic_ns())
import numpy

a = numpy.arange(10000.0).reshape(100, 100)
print(a.dot(a).trace())
