"""Parses the command line of a run: its config file, overrides of single keys, and where and how it runs."""

import difflib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags.tuple_parser import TupleParser

from mi_coding.config.presets import find_config
from mi_coding.errors import InputError, Setting, nearest
from mi_coding.options import TYPES, OptionSpec
from mi_coding.training.processes import ProcessSpec

Specs = Mapping[str, OptionSpec]  # options by key
_MOST_PROCESSES = 10**6
_PARSERS = {int: flags.IntegerParser, float: flags.FloatParser, str: flags.ArgumentParser, tuple: TupleParser}


class Command(NamedTuple):
    """A command line, parsed."""

    of_file: dict[str, Any]  # dotted key → value, of the config file; other keys have defaults
    overrides: dict[str, Any]  # the same for the keys that the command line sets
    workdir: Path | None  # the work directory, if one was given
    config_name: str  # of the config file, without its suffix
    process: ProcessSpec | None = None  # which of several processes this is, if the command line says so
    profile: bool = False  # whether to write a trace of some steps
    print_config: bool = False  # whether to print every option instead of training

    @property
    def config(self) -> dict[str, Any]:
        """Dotted key → value, of the config file and the overrides."""
        return self.of_file | self.overrides

    @property
    def typed(self) -> frozenset[str]:
        """The keys that the command line overrides."""
        return frozenset(self.overrides)


def parse_command(
    argv: list[str], known_options: Callable[[], Specs], own: Callable[[Mapping[str, Any]], Specs]
) -> Command:
    """Reads `--config=FILE [--workdir=DIR] [--init_from=DIR] [--profile] [--print_config] [--config.KEY=VALUE …]`.

    One of several processes is also given its rank: `--coordinator=HOST:PORT --num_processes=P --process_id=I`.

    Args:
        argv: the command line, the program's name first.
        known_options: returns the options of all kinds, by key; called once the config file is loaded, which may
            register kinds of its own.
        own: config → the options of the kinds that it chooses, for hints.
    Raises:
        InputError: for any mistake in it, in one line.
    """
    path = _config_path(argv)
    config = flatten(load_config(path))
    known, values = known_options(), _define_flags()
    given = (re.match(r"--?(?:no)?config\.([^=]*)", argument) for argument in argv[1:])
    typed = [override[1] for override in given if override]  # keys such as pairs.gap
    for key in typed:
        _check_key(key, known, own(config), path)
        if f"config.{key}" not in values:
            _define_override(known[key], values)
    _parse(values, argv, known, config)
    if values.workdir == "":
        raise InputError("--workdir= names nothing; expected a directory, or no --workdir for a new one in runs/")
    overrides = {key: values[f"config.{key}"].value for key in typed}
    if values.init_from is not None:  # shorter than --config.init_from
        overrides["init_from"] = values.init_from
    workdir = None if values.workdir is None else Path(values.workdir)
    return Command(config, overrides, workdir, path.stem, _process(values), values.profile, values.print_config)


def flatten(config: Mapping[str, Any] | ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Dotted key → value of nested mappings.

    >>> flatten({"seed": 0, "pairs": {"gap": 1.0}})
    {'seed': 0, 'pairs.gap': 1.0}
    """
    flat = {}
    for key, value in config.items():
        is_group = isinstance(value, (Mapping, ConfigDict))
        flat |= flatten(value, f"{prefix}{key}.") if is_group else {prefix + key: value}
    return flat


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for name in ("config", "workdir", "init_from", "coordinator"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    for name in ("profile", "print_config"):
        flags.DEFINE_boolean(name, False, "", flag_values=values)
    for name in ("num_processes", "process_id"):
        flags.DEFINE_integer(name, None, "", flag_values=values)
    return values


class _WrongTypeError(Exception):
    """Text that cannot be parsed as an option's type; not a ValueError, whose message absl would replace."""


class _TypedParser(flags.ArgumentParser):
    """The parser of a flag; raises _WrongTypeError with the option's key and the text that it cannot parse."""

    def __init__(self, parser: flags.ArgumentParser, key: str):
        super().__init__()
        self._parser, self._key = parser, key

    def parse(self, argument: Any) -> Any:
        try:
            return self._parser.parse(argument)
        except (TypeError, ValueError, OverflowError):
            raise _WrongTypeError(self._key, argument) from None


def _define_override(spec: OptionSpec, values: flags.FlagValues) -> None:
    name = f"config.{spec.key}"
    if spec.type is bool:
        flags.DEFINE_boolean(name, None, spec.meaning, flag_values=values)
    else:
        flags.DEFINE(_PARSERS[spec.type](), name, None, spec.meaning, flag_values=values)
    values[name].parser = _TypedParser(values[name].parser, spec.key)


def _parse(values: flags.FlagValues, argv: list[str], known: Specs, config: Mapping[str, Any]) -> None:
    try:
        positional = values(argv)[1:]
    except _WrongTypeError as error:
        key, text = error.args
        spec, example = known[key], config.get(key, known[key].default)
        such = f", such as {example!r}" if isinstance(example, spec.type) else ""
        expected = f" has the wrong type; expected {TYPES[spec.type]}{such}"
        raise InputError(Setting(key, text), expected) from None
    except flags.UnrecognizedFlagError as error:
        raise InputError(f"--{error.flagname} is not an option", *_like(error.flagname, known, values)) from None
    except (flags.Error, AttributeError, TypeError, ValueError) as error:
        raise InputError(_one_line(error)) from None
    if positional:
        raise InputError(f"unexpected argument {positional[0]!r}; options are written --name=value")


def _like(name: str, known: Specs, values: flags.FlagValues) -> list[Setting | str]:
    """A suggestion for an unknown option: another option, or a key of the config."""
    if near := difflib.get_close_matches(name, list(values), n=1, cutoff=0.75):
        return [f"; did you mean --{near[0]}?"]
    ends = {key: key.rpartition(".")[2] for key in known}
    keys = [key for end in nearest(name, list(ends.values())) for key in ends if ends[key] == end]
    if not keys:
        return ["; options are --config.KEY=VALUE, and those of --help"]
    return ["; did you mean ", Setting(min(keys[:3], key=len), flag=True), "?"]


def _process(values: flags.FlagValues) -> ProcessSpec | None:
    given = {name: values[name].value for name in ProcessSpec._fields}
    if all(value is None for value in given.values()):
        return None
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing; expected all of --{', --'.join(given)}, or none")
    process = ProcessSpec(**given)
    if not re.fullmatch(r".+:\d{1,5}", process.coordinator):
        raise InputError(f"--coordinator={process.coordinator}; expected HOST:PORT of process 0, such as 10.0.0.1:8476")
    if not 0 <= process.process_id < process.num_processes <= _MOST_PROCESSES:
        given = f"--process_id={process.process_id} of --num_processes={process.num_processes}"
        raise InputError(f"{given}; expected at least one and at most {_MOST_PROCESSES:,} processes, numbered from 0")
    return process


def _config_path(argv: list[str]) -> Path:
    given, others = [], []
    for argument, following in pairwise([*argv[1:], None]):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == "config":
            given.append(value if equals else following)
        elif argument.startswith("-"):
            others.append(name)
    if not given or not given[0]:
        if near := difflib.get_close_matches("config", others, n=1, cutoff=0.75):
            raise InputError(f"--{near[0]} is not an option; did you mean --config?")
        raise InputError("no --config given; expected one such as --config=cpc")
    if len(given) > 1:
        raise InputError(f"--config is given {len(given)} times; expected one such as --config=cpc")
    return find_config(given[0])


def load_config(path: Path) -> ConfigDict:
    """What `get_config()` of a file returns; the file may import modules that lie beside it.

    Raises:
        InputError: where it cannot be loaded, or returns something else.
    """
    spec = importlib.util.spec_from_file_location("_mi_coding_config", path)
    if spec is None:
        raise InputError(f"--config={path} is not a Python file; expected one such as configs/cpc.py")
    module = importlib.util.module_from_spec(spec)
    beside = str(path.resolve().parent)
    if beside not in sys.path:
        sys.path.append(beside)  # last, so that a config shadows no package; for good, as workers inherit it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise anything, and it is reported in one line
        raise InputError(f"--config={path} does not load: {type(error).__name__}: {_one_line(error)}") from None
    if not hasattr(module, "get_config"):
        raise InputError(f"--config={path} has no function get_config() that returns a ConfigDict")
    try:
        config = module.get_config()
    except Exception as error:
        raise InputError(f"get_config() of {path} fails: {type(error).__name__}: {_one_line(error)}") from None
    if not isinstance(config, ConfigDict):
        found = f"get_config() of {path} returns {type(config).__name__}"
        raise InputError(f"{found}; expected an ml_collections.ConfigDict")
    return config


def _check_key(name: str, known: Specs, own: Specs, path: Path) -> None:
    if name in known:
        return
    if name in {key.rpartition(".")[0] for key in known}:
        inside = ", ".join(f"config.{key}" for key in own if key.startswith(f"{name}."))
        raise InputError(Setting(name), f" is a group of keys; set one of {inside}")
    raise unknown_key(name, known, own, f"of {path}")


def unknown_key(name: str, known: Specs, own: Specs, whose: str) -> InputError:
    """The error for a key that no kind has, with the nearest key, preferably one of the config's own."""
    near = [key for key in own if _initials(key) == name.rpartition(".")[2]]
    near += [match for keys in (own, known) for match in difflib.get_close_matches(name, keys, n=1, cutoff=0.5)]
    near += [key for key in (*own, *known) if key.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = ["did you mean ", Setting(near[0]), "?"] if near else [f"keys are {', '.join(own)}"]
    return InputError(Setting(name), f" is not an option {whose}; ", *hint)


def _initials(key: str) -> str:
    """The first letters of the words of the last part of a key, such as lr of optimizer.learning_rate."""
    return "".join(word[:1] for word in key.rpartition(".")[2].split("_"))


def _one_line(error: Exception | str) -> str:
    return " ".join(str(error).split())
