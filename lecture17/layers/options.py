"""The options of a block or a model are checked by their annotations, so that a wrong one is named."""

import inspect
from collections.abc import Callable
from functools import wraps
from math import isfinite
from numbers import Integral, Real
from typing import Any, TypeVar, cast, get_args, get_origin

Init = TypeVar("Init", bound=Callable[..., None])

# What an option may be, by its annotation, and in words.
_KINDS: dict[Any, tuple[Any, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "True or False"),
    str: (str, "a string"),
}


def options_checked(init: Init) -> Init:
    """A decorator for __init__: ValueError for an argument that is annotated int, float, bool or str and is not one.

    An int must be at least 1, or at least 0 where that is the default; a float must be finite and at least 0. With
    `| None` in the annotation None passes too. What __init__ itself says of a 0 by a ValueError is left to its words.
    """
    parameters = inspect.signature(init).parameters

    @wraps(init)
    def call(*args: Any, **options: Any) -> None:
        given = {
            name: value
            for name, value in (dict(zip(parameters, args, strict=False)) | options).items()
            if name in parameters
        }
        for name, value in given.items():
            _check(name, value, parameters[name], allow_zero=True)
        failure = None
        try:
            init(*args, **options)
        except ValueError:
            raise
        except Exception as error:
            failure = error
        for name, value in given.items():
            _check(name, value, parameters[name])
        if failure is not None:
            raise failure

    return cast(Init, call)


def _check(name: str, value: Any, parameter: inspect.Parameter, allow_zero: bool = False) -> None:
    allowed = (parameter.annotation,) if get_origin(parameter.annotation) is tuple else get_args(parameter.annotation)
    allowed = allowed or (parameter.annotation,)
    kinds = [kind for kind in allowed if kind in _KINDS]
    if len(kinds) != 1 or {*allowed} - {*kinds, type(None)} or (value is None and type(None) in allowed):
        return  # of something else, or of several kinds: __init__ looks itself
    kind = kinds[0]
    base, words = _KINDS[kind]
    least = int(kind is int and parameter.default != 0)
    right = isinstance(value, base) and isinstance(value, bool) == (kind is bool)
    if right and kind in (int, float):
        words += f" of at least {least}"
        right = isfinite(value) and value >= (0 if allow_zero else least)
    if not right:
        raise ValueError(f"{name} is {value!r}: expected {words}")
