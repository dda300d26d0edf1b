"""Writes the encoder of a run to a file that other programs read.

    python -m mi_coding.export --workdir=DIR --output=encoder.stablehlo     # or encoder.onnx, encoder.safetensors

    --workdir      work directory of the run; its newest checkpoint is read
    --output       .stablehlo   the function with its weights, for CPU, CUDA and TPU and any batch size; run by jax
                   .onnx        the same for ONNX Runtime and others; converted by jax2onnx
                   .safetensors all weights, by name
    --layer        codes (the default), which the critic scores, or features, before the projection head
    --half         x (the default) or y: which half of given pairs

A JSON file beside it, such as encoder.onnx.json, describes its input and output and holds the config of the run.
`python -m mi_coding.embed --backend=encoder.onnx …` computes codes with the file, and checks that they match the run's.
"""

from mi_coding.help import answer_help
from mi_coding.interrupts import end_while_importing, keeps

if __name__ == "__main__":
    answer_help(__doc__)
    end_while_importing()

import sys
from pathlib import Path

from mi_coding.command import check_output, options, run_command
from mi_coding.reporting import terminal
from mi_coding.runs.exports import format_of, info_path, write_export
from mi_coding.runs.restore import restore
from mi_coding.runs.trained_encoder import TrainedEncoder


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the command, 130 or 143 stopped by a signal."""
    return run_command(argv, __doc__, _export)


def _export(argv: list[str]) -> int:
    given = options(argv, dict.fromkeys(("workdir", "output")) | {"layer": "codes", "half": "x"})
    output = Path(given.output)
    keeps(f"interrupted; {output} was not written")
    check_output(output)
    format_of(output)
    run = restore(given.workdir, terminal.warning)
    with terminal.waiting("exporting"):
        info = write_export(TrainedEncoder(run, layer=given.layer, half=given.half), output)
    keeps(f"interrupted; {output} was written")
    sides = [f"{one['dtype']}[{', '.join(map(str, one['shape']))}]" for one in (info["input"], info["output"])]
    print(f"{output}: {sides[0]} {info['input']['values']} → {sides[1]}, {output.stat().st_size / 2**20:.1f} MiB")
    print(f"described in {info_path(output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
