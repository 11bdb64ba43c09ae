"""The objects that a case plays with, and the calls they can be asked for: one module per kind.

Owns what all scenes share. Must not know any of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

from fuzz.alter import alike_arguments, altered_arguments
from fuzz.calls import Call, Fault, leaves, outcome, plain, same
from fuzz.choices import Choices


class Scene:
    """Objects, made anew for each case, and the calls they can be asked for."""

    # Names of methods that give a right call; a name may stand there several times.
    calls: ClassVar[tuple[str, ...]]

    def __init__(self, choices: Choices) -> None:
        self.choices = choices

    def state(self) -> Any:
        """What no failing call may change."""
        raise NotImplementedError

    def usable(self) -> None:
        """Raise a Fault where the objects are not what they were before a failed call."""

    def compare(self, call: Call, result: Any) -> None:
        """Raise a Fault where the result is wrong; the arguments are plain arrays."""

    def before_repeating(self) -> None:
        """Put back what a successful call may change."""

    def play(self) -> None:
        """Make one call, altered most of the time, and look at what came of it."""
        choices = self.choices
        call: Call = getattr(self, choices.pick(self.calls))()
        right = choices.chance(8)
        if right and call.tolerant:
            call.arguments = alike_arguments(choices, call.arguments)
        elif not right:
            call.arguments = altered_arguments(choices, call.arguments)
        if choices.chance(128):
            call.name, call.function = f"in a thread: {call}", in_a_thread(call.function)
        self.before_repeating()
        succeeded, result = outcome(call, self.state)
        if not succeeded:
            if right and call.right:
                raise Fault(f"{call} is right, and raised {type(result).__name__}: {result}")
            if choices.chance(2):
                self.usable()
                if call.afterwards:
                    call.afterwards()
        elif call.repeatable and choices.chance(2):
            self._repeat(call, result)

    def _repeat(self, call: Call, result: Any) -> None:
        """Make the call again with its arguments in the simplest form."""
        given = leaves(call.arguments)
        if any(hasattr(leaf, "fickle") or hasattr(leaf, "__next__") for leaf in given):
            return
        try:
            arguments = {name: plain(value) for name, value in call.arguments.items()}
        except Exception:  # a liar in the place of what is no array
            return
        self.compare(Call(call.function, arguments, ()), result)
        self.before_repeating()
        try:
            again = call.function(**arguments)
        except MemoryError:  # a view of little memory is not repeated as an array of much
            return
        except Exception as error:
            if not all(type(leaf) is type(plain(leaf)) for leaf in given):  # as truth values, say
                return
            raise Fault(f"{call} succeeded, but not with plain arrays: {error}") from error
        if not same(plain(result), plain(again)):
            raise Fault(f"{call} gave other bits than with plain arrays")


def in_a_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the function as another thread calls it."""

    def call(**arguments: Any) -> Any:
        results: list[Any] = []

        def run() -> None:
            try:
                results.append((True, function(**arguments)))
            except BaseException as error:
                results.append((False, error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        succeeded, result = results[0]
        if not succeeded:
            raise result
        return result

    return call
