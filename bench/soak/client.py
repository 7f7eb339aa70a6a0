"""A client in Python: `client.py FUNCTION TASKS CHECKPOINT|-`. It says whether all values are right and what failed."""

from __future__ import annotations

import json
import sys

import maniple
import work

name, count, checkpoint = sys.argv[1], int(sys.argv[2]), sys.argv[3]
kept = None if checkpoint == "-" else checkpoint
failed: list[int] = []
with maniple.connect("access/client.access"):
    try:
        values = maniple.map(getattr(work, name), range(count), checkpoint=kept, retries=100)
    except maniple.JobFailed as error:
        values, failed = error.results, sorted(failure.task for failure in error.failures)
wanted = [work.value(name, n) for n in range(count) if n not in set(failed)]
print(json.dumps({"right": values == wanted, "failed": failed}))
