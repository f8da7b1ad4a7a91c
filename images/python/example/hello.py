"""Greets whoever the payload names."""
import json
import os
import platform

with open(os.environ["PAYLOAD_FILE"]) as file:
    payload = json.load(file)

print("Hello, %s! This is Python %s." % (payload["name"], platform.python_version()))
