"""What a compiled program reads, writes, launches and sends, taken from its text: an HLO module after optimisation."""

import math
import re
from collections.abc import Callable, Iterator
from functools import reduce
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.+?) ([a-z][a-z\-]*)\((.*)$")
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_CALLED = re.compile(r"\b(?:body|to_apply|calls|called_computations)=\{?%?([\w.\-]+)|branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
_CHANNEL = re.compile(r"channel_id=(\d+)")
_SCOPE = re.compile(r'op_name="([^"]*)"')
_OPERAND = re.compile(r"%([\w.\-]+)")
_NUMBER = re.compile(r"^(\d+)\)")

_NOT_IN_MEMORY = re.compile(r"S\([1-9]\d*\)")
"""The layout of an array that is not in the device's main memory, such as one in the vector memory of a TPU."""

_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"}
_FREE |= {"iota", "opt-barrier", "optimization-barrier", "add-dependency"}
"""Operations that neither read nor write memory, or hardly."""

_OF_OTHERS = {"while", "conditional", "call", "async-start"}
"""Operations whose work is that of the computations that they call."""

_EXCHANGES = ("all-gather", "reduce-scatter", "all-to-all", "all-reduce", "collective-permute", "ragged-all-to-all")
_ENDS = ("-done", "-update")  # of what a "-start" has begun, and is counted there


class Work(NamedTuple):
    """What one device does in one run of a program, or of a part of it.

    Attributes:
        moved: bytes read from its main memory and written to it, by operations that are not fused with others.
        kernels: operations that are launched; on a GPU, kernels.
        exchanges: collective operations.
        sent: bytes that it sends in them, by the algorithms that send the fewest: rings. To all-gather S bytes, or to
            reduce-scatter them, a device sends S·(D − 1)/D; to all-reduce S bytes, twice that.
    """

    moved: float = 0.0
    kernels: int = 0
    exchanges: int = 0
    sent: float = 0.0

    def plus(self, other: "Work", times: int = 1) -> "Work":
        return Work(*(own + times * one for own, one in zip(self, other, strict=True)))


class Instruction(NamedTuple):
    """One line of a computation.

    Attributes:
        name: of the result.
        is_root: whether it is the result of the computation.
        result: its type as text, such as f32[8,4]{1,0}, or a tuple of such.
        operation: such as "fusion".
        operands: names.
        rest: all that follows the opening parenthesis.
    """

    name: str
    is_root: bool
    result: str
    operation: str
    operands: list[str]
    rest: str

    @property
    def scope(self) -> str:
        """The names of what it is part of, as `jax.named_scope` sets them; "" where the compiler records none."""
        found = _SCOPE.search(self.rest)
        return found[1] if found else ""


class Program:
    """An HLO module as text, on D devices that all take part in every exchange.

    >>> lines = ["ENTRY %main () -> f32[8,4] {", "  ROOT %x = f32[8,4] all-gather(%y)", "}"]
    >>> round(Program(chr(10).join(lines), 8).work().sent)
    112
    """

    def __init__(self, text: str, num_devices: int):
        self._num_devices = num_devices
        self._computations: dict[str, dict[str, Instruction]] = {}
        self._entry, current = "", {}
        for line in text.splitlines():
            if head := _COMPUTATION.match(line):
                current = self._computations.setdefault(head[1], {})
                self._entry = head[1] if line.startswith("ENTRY") else self._entry
            elif found := _INSTRUCTION.match(line):
                root, name, result, operation, rest = found.groups()
                operands = _OPERAND.findall(_until_closed(rest))
                current[name] = Instruction(name, bool(root), result, operation, operands, rest)
        self.loops_of_unknown_length = 0

    def work(self) -> Work:
        """The work of the whole program."""
        return reduce(Work.plus, self.by_part(lambda scope: "").values(), Work())

    def by_part(self, part_of: Callable[[str], str]) -> dict[str, Work]:
        """The work of every part of the program; `part_of` maps the scope of an operation to the name of its part.

        A loop whose length the compiler does not know counts as run once; `loops_of_unknown_length` counts such loops.

        Raises:
            ValueError: for an exchange in such a loop.
        """
        self.loops_of_unknown_length = 0
        found: dict[str, Work] = {}
        for part, work in self._of(self._entry, part_of, ""):
            found[part] = found.get(part, Work()).plus(work)
        return found

    def _of(self, name: str, part_of: Callable[[str], str], outer: str) -> Iterator[tuple[str, Work]]:
        seen: set[str] = set()  # channels of exchanges: one that overlaps with computing lies in several fusions
        for one in self._computations[name].values():
            scope = self._scope(one, self._computations[name]) or outer
            if one.operation not in _OF_OTHERS:
                yield part_of(scope), self._work_of(one, self._computations[name], seen)
                continue
            branches = [list(self._of(inner, part_of, scope)) for inner in self._called(one)]
            if one.operation == "conditional":
                branches = [max(branches, key=lambda branch: sum(work.moved + work.sent for _, work in branch))]
            works = [work for branch in branches for work in branch]
            times = self._trips(one, works) if one.operation == "while" else 1
            yield from ((part, Work().plus(work, times)) for part, work in works)

    def _scope(self, one: Instruction, others: dict[str, Instruction], depth: int = 9) -> str:
        """The scope of an operation; where the compiler merged others into it, as exchanges into one, of the first."""
        if one.scope or not depth:
            return one.scope
        if one.operation.removesuffix("-start") in _EXCHANGES:  # of many arrays, whose users have scopes
            ends = _users(one, others)
            users = [user for end in ends for user in _users(end, others)]
            if found := next((user.scope for user in (*ends, *users) if user.scope), ""):
                return found
        inner = (self._computations[name].values() for name in self._called(one) if one.operation == "fusion")
        if found := next((each.scope for computation in inner for each in computation if each.scope), ""):
            return found
        operands = (others[name] for name in one.operands if name in others)
        return next((found for each in operands if (found := self._scope(each, others, depth - 1))), "")

    def _called(self, one: Instruction) -> list[str]:
        names = [name for called in _CALLED.findall(one.rest) for name in re.findall(r"[\w.\-]+", ",".join(called))]
        return [name for name in names if name in self._computations]

    def _trips(self, loop: Instruction, works: list[tuple[str, Work]]) -> int:
        if found := _TRIPS.search(loop.rest) or self._limit(loop):
            return int(found[1])
        if any(work.exchanges for _, work in works):
            raise ValueError("an exchange lies in a loop of unknown length")
        self.loops_of_unknown_length += 1
        return 1

    def _limit(self, loop: Instruction) -> re.Match | None:
        """The number below which a counter that starts at 0 keeps a loop going, where the compiler records no count."""
        name = _CONDITION.search(loop.rest)
        condition = self._computations.get(name[1], {}) if name else {}
        root = next((one for one in condition.values() if one.is_root), None)
        if root is None or root.operation != "compare" or "direction=LT" not in root.rest:
            return None
        limit = condition.get(root.operands[-1])
        return _NUMBER.match(limit.rest) if limit and limit.operation == "constant" else None

    def _work_of(self, one: Instruction, others: dict[str, Instruction], seen: set[str]) -> Work:
        exchange = one.operation.removesuffix("-start")
        if exchange in _EXCHANGES:
            return Work(0, 0, 1, self._sent(exchange, one.result, started=one.operation != exchange))
        if one.operation in _FREE or one.operation.endswith(_ENDS):
            return Work()
        inner = [self._computations[name] for name in self._called(one)] if one.operation == "fusion" else []
        found = (i for computation in inner for i in computation.values() if i.operation in _EXCHANGES)
        hidden = [i for i in found if not (channel := _CHANNEL.search(i.rest)) or channel[1] not in seen]
        seen.update(channel[1] for i in hidden if (channel := _CHANNEL.search(i.rest)))
        sent = sum(self._sent(i.operation, i.result, started=False) for i in hidden)
        return Work(self._moved(one, others, inner), 1, len(hidden), sent)

    def _sent(self, exchange: str, result: str, *, started: bool) -> float:
        of_ring = (self._num_devices - 1) / self._num_devices
        factor = {"all-gather": of_ring, "reduce-scatter": self._num_devices * of_ring, "all-to-all": of_ring}
        factor |= {"ragged-all-to-all": of_ring, "all-reduce": 2 * of_ring, "collective-permute": 1}
        sizes = [size for size, _ in _arrays(result)]
        if started and exchange in ("all-gather", "collective-permute", "reduce-scatter"):
            sizes = _results_of_start(sizes)
        return factor[exchange] * sum(sizes)

    def _moved(self, one: Instruction, others: dict[str, Instruction], inner: list[dict[str, Instruction]]) -> float:
        """Bytes read and written; of an array that is sliced or updated in place, only the slice."""
        if one.operation in ("dynamic-slice", "slice", "gather", "copy-start"):
            sizes = [size for size, in_memory in _arrays(one.result) if in_memory]
            return sum(sizes) if one.operation == "copy-start" else 2 * sum(sizes)
        operands = [others[name] for name in one.operands if name in others]
        if one.operation == "dynamic-update-slice":
            return 2 * _in_memory(operands[1].result)
        read = [_in_memory(operand.result) for operand in operands]
        written = _in_memory(one.result)
        for computation in inner:
            read, written = _of_fusion(computation, read, written)
        return sum(read) + written


def _users(one: Instruction, computation: dict[str, Instruction]) -> list[Instruction]:
    """The instructions of which one is an operand."""
    return [other for other in computation.values() if one.name in other.operands]


def _of_fusion(computation: dict[str, Instruction], read: list[float], written: float) -> tuple[list[float], float]:
    """Bytes that a fusion reads of each operand, and writes."""
    read = list(read)
    for one in computation.values():
        if one.operation != "parameter":
            continue
        number = int(_NUMBER.match(one.rest)[1])
        users = _users(one, computation)
        while len(users) == 1 and users[0].operation in ("bitcast", "copy", "convert", "reshape"):
            users = _users(users[0], computation) or users
            if users[0].is_root:
                break
        if users and all(user.operation in ("dynamic-slice", "slice", "gather") for user in users):
            read[number] = min(read[number], sum(_size(user.result) for user in users))
        elif users and all(user.operation == "dynamic-update-slice" for user in users):
            read[number] = 0.0  # written in place
    updates = [one for one in computation.values() if one.operation == "dynamic-update-slice"]
    if updates and any(one.is_root or _size(one.result) >= written for one in updates):
        written = min(written, sum(_size(computation[one.operands[1]].result) for one in updates))
    return read, written


def _until_closed(rest: str) -> str:
    """The operands: what stands before the closing parenthesis."""
    depth = 1
    for place, letter in enumerate(rest):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return rest[:place]
    return rest


def _results_of_start(sizes: list[int]) -> list[int]:
    """Of the tuple of a "-start", (operands, results, …): the results, which are as many as the operands."""
    arrays = [size for size in sizes if size > 8]  # context words of the compiler are scalars
    return arrays[len(arrays) // 2 :]


def _arrays(result: str) -> Iterator[tuple[int, bool]]:
    """(bytes, whether it is in the main memory) of a type such as f32[8,4]{1,0}, or of all in a tuple."""
    for kind, axes, layout in _ARRAY.findall(result):
        if kind in ("token", "opaque"):
            continue
        bits = 8 if kind == "pred" else int(re.search(r"\d+", kind)[0])
        size = bits * math.prod(int(axis) for axis in axes.split(",") if axis) // 8
        yield size, not _NOT_IN_MEMORY.search(layout)


def _size(result: str) -> int:
    return sum(size for size, _ in _arrays(result))


def _in_memory(result: str) -> float:
    return float(sum(size for size, in_memory in _arrays(result) if in_memory))
