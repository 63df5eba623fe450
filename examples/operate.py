"""Operate a task from a notebook or a script: `python examples/operate.py shop_to_lake`, or cell by cell (`# %%`).

The server and token are those of TIDEGATE_URL and TIDEGATE_TOKEN, else this machine's.
"""

# %% Look
from __future__ import annotations

import sys
from itertools import islice

from tidegate.client import Client, TidegateError

TASK = sys.argv[1] if len(sys.argv) > 1 else "shop_to_lake"
client = Client()
task = client.get_task(TASK)["task"]
print(f"{task['name']} is {task['status']}")

# %% What a pause would cost, before it is given
preview = client.preview_command(TASK, "pause")
print(preview["allowed"], preview["reason"])

# %% Pause for maintenance and go on; each returns when the step is over, and raises what went wrong
try:
    print("now", client.operate(TASK, "pause")["status"])
    print("now", client.operate(TASK, "continue")["status"])
except TidegateError as error:
    print(f"{error.code}: {error.detail}. {error.advice}")

# %% What was said and what happened
for line in islice(client.each_log_line(TASK, level=["warning", "error"], since="1h"), 20):
    print(line["at"], line["text"])
for event in islice(client.each_event(TASK), 10):
    print(event["at"], event["name"])
client.close()
