"""Parameters of methods, by the types of their dataclass fields: checked, read from text, listed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from hqgen.errors import MethodError, UsageError
from hqgen.methods.base import Method

__all__ = ["ParameterRow", "check_parameters", "parameter_rows", "read_parameter", "without_default"]


@dataclass(frozen=True)
class ParameterRow:
    """A parameter as users see it; `choices` is empty where any value of the type goes."""

    name: str
    type: str
    default: Any
    choices: tuple[Any, ...] = ()


def parameter_rows(method_class: type[Method]) -> tuple[ParameterRow, ...]:
    """The parameters of a method, in the order of its fields; each must have a default.

    Raises:
        MethodError: the type of one is no expression that means something in its module.
    """
    rows = []
    for item in _parameters(method_class):
        hint = _evaluated(method_class, item)
        default = item.default if item.default_factory is MISSING else item.default_factory()
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        rows.append(ParameterRow(item.name, _type_name(hint), default, choices))
    return tuple(rows)


def without_default(method_class: type[Method]) -> list[str]:
    """Names of the parameters that have no default, which a method may not have."""
    return [
        item.name
        for item in _parameters(method_class)
        if item.default is MISSING and item.default_factory is MISSING
    ]


def check_parameters(method_class: type[Method], params: Mapping[str, object]) -> None:
    """Check names and types of parameters.

    Raises:
        UsageError: a parameter that the method does not have, or a value of another type.
    """
    for name, value in params.items():
        hint = _hint(method_class, name)
        if not any(_fits(value, kind) for kind in _alternatives(hint)):
            raise _wrong_value(method_class, name, value, hint)


def read_parameter(method_class: type[Method], name: str, text: str) -> Any:
    """Read text as the type of the parameter `name` says: the first alternative that takes it.

    Raises:
        UsageError: the method has no such parameter, or none of its types takes the text.
    """
    hint = _hint(method_class, name)
    for kind in _alternatives(hint):
        try:
            return _read(text, kind)
        except (KeyError, TypeError, ValueError):
            continue
    raise _wrong_value(method_class, name, text, hint)


def _parameters(method_class: type[Method]) -> list[Field[Any]]:
    return [item for item in fields(method_class) if item.init]


def _hint(method_class: type[Method], name: str) -> Any:
    """Type of the parameter `name`; UsageError where there is none."""
    for item in _parameters(method_class):
        if item.name == name:
            return _evaluated(method_class, item)
    legal = ", ".join(f"{row.name} ({row.type})" for row in parameter_rows(method_class))
    raise UsageError(
        f"method `{method_class.name}` has no parameter `{name}`", hint=f"it has: {legal or 'none'}"
    )


def _evaluated(method_class: type[Method], item: Field[Any]) -> Any:
    """The type of a field.

    `typing.get_type_hints` would need every annotation of the class to mean something at run time, those of
    class variables too, whose types are often imported for type checkers alone.
    """
    if not isinstance(item.type, str):
        return item.type
    owner = next(kind for kind in method_class.__mro__ if item.name in inspect.get_annotations(kind))
    try:
        return eval(item.type, vars(sys.modules[owner.__module__]))
    except (NameError, AttributeError, TypeError) as error:
        raise MethodError(
            f"the type `{item.type}` of parameter `{item.name}` of method `{method_class.name}` "
            f"means nothing at run time: {error}"
        ) from error


def _wrong_value(method_class: type[Method], name: str, value: object, hint: Any) -> UsageError:
    return UsageError(
        f"parameter `{name}` of method `{method_class.name}` cannot be `{value}`",
        hint=f"it takes {_type_name(hint)}",
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, None first (any text would pass for a string), or the hint alone."""
    if get_origin(hint) not in (Union, UnionType):
        return (hint,)
    return tuple(sorted(get_args(hint), key=lambda kind: kind is not NoneType))


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of a type that is no union; True is no int, an int is a float."""
    if get_origin(kind) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else get_origin(kind) or kind)


def _read(text: str, kind: Any) -> Any:
    """Read text as a type that is no union; KeyError, TypeError or ValueError where it is none."""
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in get_args(kind)}[text]
    if kind is bool:
        return {"true": True, "false": False}[text]
    if kind is NoneType:
        return {"none": None}[text]
    return kind(text)


def _type_name(hint: Any) -> str:
    """`int`, `none or int`, `toolbox|spikeclip|paper`."""
    if get_origin(hint) is Literal:
        return "|".join(str(choice) for choice in get_args(hint))
    kinds = _alternatives(hint)
    if len(kinds) > 1:
        return " or ".join(_type_name(kind) for kind in kinds)
    return "none" if hint is NoneType else getattr(hint, "__name__", str(hint))
