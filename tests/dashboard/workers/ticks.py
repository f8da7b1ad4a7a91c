# Goes on until it is stopped; each line is numbered, so that a gap would be seen.
import time

n = 0
while True:
    print("tick", n, flush=True)
    n += 1
    time.sleep(0.05)
