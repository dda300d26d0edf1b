"""Virtual devices of a CPU; imports nothing of ours and no JAX, which reads its environment when it is imported."""

from importlib.metadata import version


def xla_flags(num_devices):
    """Flags for programs that are compiled once and run for moments on virtual devices, on a machine that may be busy.

    Most of the time of these tests is compiling, which without optimisation takes a third, and without the emitters
    of fusions half of that; later versions have no other emitters. A device that waits 40 s for a processor would be
    taken for lost and end the process.
    """
    ours = [
        f"--xla_force_host_platform_device_count={num_devices}",
        "--xla_backend_optimization_level=0",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_collective_call_terminate_timeout_seconds=300",
    ]
    if version("jaxlib").startswith("0.10."):
        ours.append("--xla_cpu_use_fusion_emitters=false")
    return " ".join(ours)
