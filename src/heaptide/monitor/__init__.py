"""Statistics of this process, out of it: what a service exports every day.

No recording runs. docs/monitoring.md defines each figure and says what it costs.
"""
