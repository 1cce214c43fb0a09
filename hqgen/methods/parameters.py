"""Parameters of methods, by the types of their dataclass fields: checked, read from text, listed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hqgen.errors import MethodError, UsageError
from hqgen.methods.base import Method


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
        MethodError: the type of one means nothing in its module.
    """
    rows = []
    for item, hint in _parameters(method_class):
        default = item.default if item.default_factory is MISSING else item.default_factory()
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        rows.append(ParameterRow(item.name, _type_name(hint), default, choices))
    return tuple(rows)


def without_default(method_class: type[Method]) -> list[str]:
    """Names of the parameters that have no default, which a method may not have."""
    return [
        item.name
        for item in fields(method_class)
        if item.init and item.default is MISSING and item.default_factory is MISSING
    ]


def check_parameters(method_class: type[Method], params: Mapping[str, object]) -> None:
    """Check names and types of parameters.

    Raises:
        UsageError: a parameter that the method does not have, or a value of another type.
    """
    for name, value in params.items():
        hint = _hint(method_class, name)
        try:
            taken = _adapter(hint).validate_python(value, strict=True)
        except ValidationError:
            raise _wrong_value(method_class, name, value, hint) from None
        # An int is a float; but for pydantic, True and 1.0 are also the literal 1.
        if type(taken) not in {type(value), float}:
            raise _wrong_value(method_class, name, value, hint)


def read_parameter(method_class: type[Method], name: str, text: str) -> Any:
    """Read text as the type of the parameter `name` says.

    Raises:
        UsageError: the method has no such parameter, or its type does not take the text.
    """
    hint = _hint(method_class, name)
    choices = [
        choice for kind in _alternatives(hint) if get_origin(kind) is Literal for choice in get_args(kind)
    ]
    words = {str(choice): choice for choice in choices}
    words |= {"none": None} if NoneType in _alternatives(hint) else {}
    try:
        return words[text] if text in words else _adapter(hint).validate_strings(text)
    except ValidationError:
        raise _wrong_value(method_class, name, text, hint) from None


def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


def _parameters(method_class: type[Method]) -> Iterator[tuple[Field[Any], Any]]:
    """The parameters with their types; other annotations of the class may hold for type checkers only."""
    for item in filter(lambda item: item.init, fields(method_class)):
        owner = next(kind for kind in method_class.__mro__ if item.name in inspect.get_annotations(kind))
        alone = type("Alone", (), {"__annotations__": {item.name: item.type}, "__module__": owner.__module__})
        try:
            yield item, get_type_hints(alone)[item.name]
        except (NameError, AttributeError, TypeError) as error:
            raise MethodError(
                f"the type `{item.type}` of parameter `{item.name}` of method `{method_class.name}` "
                f"means nothing at run time: {error}"
            ) from error


def _hint(method_class: type[Method], name: str) -> Any:
    """Type of the parameter `name`; UsageError if there is none."""
    hints = {item.name: hint for item, hint in _parameters(method_class)}
    if name in hints:
        return hints[name]
    legal = ", ".join(f"{other} ({_type_name(hint)})" for other, hint in hints.items())
    raise UsageError(
        f"method `{method_class.name}` has no parameter `{name}`", hint=f"it has: {legal or 'none'}"
    )


def _wrong_value(method_class: type[Method], name: str, value: object, hint: Any) -> UsageError:
    return UsageError(
        f"parameter `{name}` of method `{method_class.name}` cannot be `{value}`",
        hint=f"it takes {_type_name(hint)}",
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, None first, or the hint alone."""
    if get_origin(hint) not in (Union, UnionType):
        return (hint,)
    return tuple(sorted(get_args(hint), key=lambda kind: kind is not NoneType))


def _type_name(hint: Any) -> str:
    """`int`, `none or int`, `toolbox|spikeclip|paper`."""
    if get_origin(hint) is Literal:
        return "|".join(str(choice) for choice in get_args(hint))
    kinds = _alternatives(hint)
    if len(kinds) > 1:
        return " or ".join(_type_name(kind) for kind in kinds)
    return "none" if hint is NoneType else getattr(hint, "__name__", str(hint))
