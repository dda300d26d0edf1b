"""What the user can put right."""


class InputError(ValueError):
    """A mistake in a command, a config or its data: one line that says what was given, expected, and to do.

    `mi_coding.main` prints the line on stderr and exits with code 2, without a traceback.
    """


class NonFiniteLossError(ArithmeticError):
    """The loss became infinite or NaN; the last good checkpoint is kept and the process exits with code 1."""


class AgreedError(InputError):
    """An `InputError` that several processes have met together; without words in those that leave them to another."""


class SaveError(RuntimeError):
    """A checkpoint could not be written, such as on a full disk; the last one is kept and the process exits with 1."""


class AloneError(RuntimeError):
    """The other processes are not there, which may pass: the process exits with code 1, and a scheduler tries again."""
