"""What a person sees of a run: a terminal, files of metrics, figures, and one HTML page.

* `metrics.py`   metrics.jsonl and TensorBoard events, each step once; summary.json
* `recorder.py`  from the metrics of a step to a line on disk, on the terminal, and in the summary
* `terminal.py`  progress, warnings, the closing table
* `results.py`   rows in groups and headline numbers, for the terminal and the page alike
* `page.py`      report.html, one self-contained file; its style sheet is `style.py`
* `figure.py`    the style of all figures; `strips.py` draws images, `plots.py` an estimate of information
* `files.py`     files that are written atomically

Every function takes plain numbers and NumPy arrays; nothing here knows a question, a model, a device or a config.
"""
