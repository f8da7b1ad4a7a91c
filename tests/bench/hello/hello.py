import time

print(time.monotonic_ns())
print("hello")
