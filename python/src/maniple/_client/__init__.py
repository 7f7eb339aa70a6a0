"""What runs jobs for Python: an engine or a cluster, a connection to it, and the jobs that are followed over it.

    `_map`, `_pools` -> a job `job`, tasks without end `stream` -> the protocol `wire` -> an engine `engine`
    or a cluster `cluster`

Nothing here is public; ``maniple.map`` and ``maniple.run_pools`` are.
"""
