"""One compilation of one program in a process of tests."""

import hashlib
from collections import OrderedDict


def compile_once(compile_program, *, most=512):
    """The compiler of JAX, but a program that was compiled before, for the same devices, is the executable it was.

    Every run of a command has functions of its own, which JAX traces, lowers and compiles anew; compiling is most of
    that. An executable is decided by the text of its program and by the options, which name the devices, too. It stays
    in this process, as what `jax.jit` keeps does: nothing is written or read.

    Args:
        compile_program: `jax._src.compiler.compile_or_get_cached`.
        most: how many executables are kept, those that were used last.
    """
    kept = OrderedDict()

    def compiled(backend, computation, devices, options, host_callbacks, *more):
        if host_callbacks:  # functions of Python are part of the executable, but not of the text
            return compile_program(backend, computation, devices, options, host_callbacks, *more)
        key = backend, hashlib.sha256(str(computation).encode()).digest(), options.SerializeAsString()
        if key not in kept:
            kept[key] = compile_program(backend, computation, devices, options, host_callbacks, *more)
        kept.move_to_end(key)
        if len(kept) > most:
            kept.popitem(last=False)
        return kept[key]

    return compiled
