"""Finds the examples whose codes are nearest to that of an image, by cosine similarity; the search is exact.

    python -m mi_coding.search --codes=codes.npz --query=photo.jpg --workdir=DIR [--count=10]
    python -m mi_coding.search --codes=codes.npz --query=NAME [--count=10]

    --codes        file written by `python -m mi_coding.embed`: .npz or .parquet
    --query        an image file, which the encoder of the run encodes; or the name of an example that has a code
    --workdir      work directory of the run that made the codes; not needed for a name
    --layer        codes (the default) or features: what the file holds
    --count        number of results, 10 by default

Prints one line per result: its cosine, its name, and its label if there is one.
"""

from mi_coding.help import answer_help
from mi_coding.interrupts import end_while_importing

if __name__ == "__main__":
    answer_help(__doc__)
    end_while_importing()

import sys
import time
from pathlib import Path

import numpy as np

from mi_coding.command import options, run_command
from mi_coding.errors import InputError
from mi_coding.runs.stored import StoredCodes, nearest_codes, read_codes
from mi_coding.runs.trained_encoder import load_encoder


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the command."""
    return run_command(argv, __doc__, _search)


def _search(argv: list[str]) -> int:
    given = options(argv, {"codes": None, "query": None, "workdir": "", "layer": "codes", "count": 10})
    if given.count < 1:
        raise InputError(f"--count={given.count}; expected at least 1")
    stored = read_codes(given.codes)
    query = _query(given, stored)
    began = time.perf_counter()
    positions, cosines = nearest_codes(query, stored.codes, given.count)
    seconds = time.perf_counter() - began
    for position, cosine in zip(positions[0].tolist(), cosines[0].tolist(), strict=True):
        label = "" if stored.labels is None else f"  {stored.labels[position]}"
        print(f"{cosine:.4f}  {stored.names[position]}{label}")
    print(f"{len(stored.codes):,} codes were searched in {seconds:.2f} s")
    return 0


def _query(given: object, stored: StoredCodes) -> np.ndarray:
    """float32[1, D]: the code of the query."""
    named = np.flatnonzero(stored.names == given.query)
    if len(named):
        return stored.codes[named[:1]]
    if not Path(given.query).is_file():
        found = f"--query={given.query} is neither a file nor a name in {given.codes}"
        raise InputError(f"{found}, such as {stored.names[0]}")
    if not given.workdir:
        raise InputError(f"--query={given.query} is a file, for which --workdir is needed: the run that made the codes")
    try:
        code = load_encoder(given.workdir, layer=given.layer)([given.query])
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(str(error)) from None
    if code.shape[1] != stored.codes.shape[1]:
        found = f"--layer={given.layer} of {given.workdir} has {code.shape[1]:,} numbers, and {given.codes} has"
        raise InputError(f"{found} {stored.codes.shape[1]:,}; expected codes and layer of one run")
    return code


if __name__ == "__main__":
    sys.exit(main())
