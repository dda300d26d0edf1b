"""A program is compiled once for each text, each set of options and each device; never more is kept than asked for."""

from compile_once import compile_once


class Options:
    def __init__(self, text):
        self.text = text

    def SerializeAsString(self):  # noqa: N802
        return self.text.encode()


def counting(most):
    compiled = []

    def compile_program(backend, program, devices, options, host_callbacks):
        compiled.append((backend, program, options.text))
        return object()

    once = compile_once(compile_program, most=most)
    return compiled, lambda *words, callbacks=(): once(words[0], words[1], None, Options(words[2]), callbacks)


def test_what_decides_an_executable_decides_whether_it_is_compiled():
    compiled, call = counting(most=9)
    different = [("cpu", "a", "x"), ("gpu", "a", "x"), ("cpu", "b", "x"), ("cpu", "a", "y")]
    first = [call(*words) for words in different]
    assert compiled == different
    assert [call(*words) for words in different] == first
    assert len(set(first)) == len(compiled) == 4


def test_functions_of_python_are_compiled_each_time():
    compiled, call = counting(most=9)
    assert call("cpu", "a", "x", callbacks=[print]) is not call("cpu", "a", "x", callbacks=[print])
    assert len(compiled) == 2


def test_what_was_not_used_for_longest_is_given_up():
    compiled, call = counting(most=2)
    a, b = call("cpu", "a", ""), call("cpu", "b", "")
    assert call("cpu", "a", "") is a
    call("cpu", "c", "")
    assert call("cpu", "a", "") is a
    assert call("cpu", "b", "") is not b
    assert [program for _, program, _ in compiled] == ["a", "b", "c", "b"]
