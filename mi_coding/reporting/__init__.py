"""What the user sees of a run: the terminal, files of metrics, figures, and one HTML page.

Every function takes plain numbers and NumPy arrays; nothing here knows an evaluation, a model, a device or a config.
"""
