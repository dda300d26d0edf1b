"""What the user can put right."""


class InputError(ValueError):
    """A mistake in a command, a config or its data: one line that says what was given, expected, and to do.

    `mi_coding.main` prints the line on stderr and exits with code 2, without a traceback.
    """


class NonFiniteLossError(ArithmeticError):
    """The loss became infinite or NaN; the last good checkpoint is kept and the process exits with code 1."""
