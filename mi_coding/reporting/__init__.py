"""What a person sees of a run: a terminal, files of metrics, figures, and one HTML page.

Every function takes plain numbers and NumPy arrays; nothing here knows a question, a model, a device or a config.
"""
