"""Runs from a config to a report: build, train, evaluate, report, restore, and the work directory.

* `build.py`     config → objects: the one place that looks names up in the tables of kinds
* `run.py`       a run, checked against its data
* `train.py`     to its end or to a signal
* `evaluate.py`  what it is worth, and its report
* `execute.py`   all of it, in one work directory
* `restore.py`   read back, and its encoder as a function
"""
