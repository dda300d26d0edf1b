"""What a person sees of a run: a terminal, files of metrics, plots, and one HTML page.

* `metrics.py`   metrics.jsonl and TensorBoard events, each step once; summary.json
* `terminal.py`  progress, warnings, the closing table
* `plots.py`     matplotlib figures, one function each
* `page.py`      report.html, one self-contained file
* `results.py`   which result stands beside which, for the terminal and the page alike
* `files.py`     whole files or none

Every function takes plain numbers and NumPy arrays; nothing here knows a model, a device or a config.
"""
