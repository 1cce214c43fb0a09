"""Methods by name: the built-in ones, and those that other packages add.

Built-in methods are imported when they are first used, so a list of the names does not import torch. Another
package adds a method by an entry point of the group `hqgen.methods`; docs/own-method.md has a whole example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from itertools import pairwise
from typing import Any, NamedTuple

from hqgen.errors import HqgenError, MethodError, UnknownNameError, UsageError
from hqgen.methods.base import Leg, Method, Span
from hqgen.methods.parameters import (
    ParameterRow,
    check_parameters,
    parameter_rows,
    read_parameter,
    without_default,
)
from hqgen.methods.weights import WeightsEntry, list_weights

GROUP = "hqgen.methods"
FIRST_FOREIGN_RANK = 1000
"""Lower ranks belong to the built-in methods, so they win a tie against a method of another package."""

BUILT_IN = {
    "tfp": "hqgen.methods.tfp:TFP",
    "mtfp": "hqgen.methods.mtfp:MTFP",
    "tfi": "hqgen.methods.tfi:TFI",
    "tfstp": "hqgen.methods.tfstp:TFSTP",
    "variational": "hqgen.methods.variational:Variational",
    "retina": "hqgen.methods.retina:Retina",
    "spk2imgnet": "hqgen.methods.learned.spk2imgnet:Spk2ImgNet",
    "ssml": "hqgen.methods.learned.ssml:SSML",
    "wgse": "hqgen.methods.learned.wgse:WGSE",
    "spikeformer": "hqgen.methods.learned.spikeformer:SpikeFormer",
    "rsir": "hqgen.methods.learned.rsir:RSIR",
    "ssir": "hqgen.methods.learned.ssir:SSIR",
    "bsf": "hqgen.methods.learned.bsf:BSF",
    "stir": "hqgen.methods.learned.stir:STIR",
    "base": "hqgen.methods.learned.base:Base",
    "bsn": "hqgen.methods.learned.bsn:BSN",
    "scflow": "hqgen.methods.learned.scflow:SCFlow",
}


class Availability(NamedTuple):
    """One method with its default parameters, and whether it can run here.

    Attributes:
        name: what users type.
        method: None if its code cannot be loaded.
        reason: why it cannot run; None if it can.
    """

    name: str
    method: Method | None
    reason: str | None


@dataclass(frozen=True)
class MethodRow:
    """What `hqgen methods` shows of a method; None or empty if its code cannot be loaded.

    A variant goes by its label, such as `ssml:variant=simple`; its parameters are in the row of its method.
    """

    name: str
    rank: int | None
    in_default: bool
    leg: Leg | None
    span: Span | None
    parameters: tuple[ParameterRow, ...]
    citation: str
    weights_licence: str | None
    available: bool
    reason: str | None


def method_names() -> tuple[str, ...]:
    """Names of all methods, available or not: the built-in ones by rank, then the others by name.

    Raises:
        UsageError: two packages have methods of one name.
    """
    return (*BUILT_IN, *sorted(_foreign()))


def get_method(name: str, **params: Any) -> Method:
    """Build the method `name` with parameters.

    Raises:
        UnknownNameError: there is no such method.
        UsageError: it does not have the parameter, or the parameter does not take the value.
        MethodError: it cannot run on this machine.
    """
    return _available(_make(name, params))


def _make(name: str, params: dict[str, Any]) -> Method:
    method_class = _load(name)
    check_parameters(method_class, params)
    return method_class(**params)


def _available(method: Method) -> Method:
    reason = method.unavailable()
    if reason is not None:
        raise MethodError(f"method `{method.name}` is not available: {reason}", hint="see `hqgen methods`")
    return method


def parse_methods(text: str) -> list[Method]:
    """Build the ensemble that `text` lists, such as `tfp:window=21,tfi:variant=spikeclip:half_window=30`.

    Returns:
        The methods in rank order.

    Raises:
        UsageError: an item is not `name:parameter=value:...`, or as `get_method` and `ensemble`.
        MethodError: as `get_method`.
    """
    return ensemble([_available(parse_method(item.strip())) for item in text.split(",")])


def method_label(method: Method) -> str:
    """The text that `parse_method` reads: the name, and the parameters that are not at their default."""
    usual = type(method)().parameters()
    changed = [f"{key}={value}" for key, value in method.parameters().items() if usual[key] != value]
    return ":".join([method.name, *changed])


def ensemble(methods: Iterable[Method]) -> list[Method]:
    """Put methods in rank order.

    Raises:
        UsageError: there is no method, one is there twice, or two have one rank.
    """
    ordered = sorted(methods, key=lambda method: method.rank)
    if not ordered:
        raise UsageError("the ensemble has no methods", hint=f"known: {', '.join(method_names())}")
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise UsageError(f"method `{one.name}` is listed twice", hint="leave one of them out")
        if one.rank == other.rank:
            raise UsageError(
                f"methods `{one.name}` and `{other.name}` both have the rank {one.rank}",
                hint="the rank decides between equal scores, so ranks must differ; leave one of them out",
            )
    return ordered


def available_methods() -> list[Availability]:
    """Every method with its default parameters, in rank order; those that cannot be loaded come last.

    Raises:
        UsageError: two packages have methods of one name.
    """
    return _by_rank(_availability(name) for name in method_names())


def _by_rank(found: Iterable[Availability]) -> list[Availability]:
    return sorted(found, key=lambda item: float("inf") if item.method is None else item.method.rank)


def every_method() -> list[Availability]:
    """`available_methods`, and the variants that have weights here, under their labels.

    Raises:
        UsageError: as `available_methods`.
    """
    found = {item.name: item for item in available_methods()}
    for entry in _registered():
        with suppress(HqgenError):  # weights may be left over of a method that is no longer installed
            method = parse_method(method_of_weights(entry.name))
            label = method_label(method)
            found.setdefault(label, Availability(label, method, method.unavailable()))
    return _by_rank(found.values())


def _registered() -> list[WeightsEntry]:
    """What is registered; nothing if the registry cannot be read, which is the reason of every network."""
    try:
        return list_weights()
    except MethodError:
        return []


def method_of_weights(name: str) -> str:
    """The method that registered weights are for, as users type it: of a variant they are `method-variant`.

    Raises:
        UnknownNameError: there is no such method.
        MethodError: its code cannot be loaded.
    """
    method, _, variant = name.partition("-")
    return f"{method}:{getattr(_load(method), 'variants', 'variant')}={variant}" if variant else method


def default_ensemble() -> list[Method]:
    """The methods that can run here and are `in_default`, in rank order.

    Each has its default parameters, or, if these have no weights here, is its first variant that has.

    Raises:
        UsageError: as `ensemble` and `available_methods`.
    """
    return ensemble(_first_ready(every_method()))


def missing_methods() -> list[str]:
    """Names of the methods of which no variant can run here, in rank order.

    Raises:
        UsageError: as `available_methods`.
    """
    found = every_method()
    ready = {_name(item) for item in found if item.reason is None}
    return list(dict.fromkeys(name for item in found if (name := _name(item)) not in ready))


def _name(item: Availability) -> str:
    """The method's name, without parameters."""
    return item.method.name if item.method else item.name


def _first_ready(found: Iterable[Availability]) -> list[Method]:
    """The first of `found` that can run, for each method that is `in_default`."""
    first: dict[str, Method] = {}
    for item in found:
        if item.method and item.reason is None and item.method.in_default:
            first.setdefault(item.method.name, item.method)
    return list(first.values())


def describe_methods() -> list[MethodRow]:
    """One row per method and per variant with weights here, in the order of `every_method`.

    Raises:
        UsageError: as `available_methods`.
    """
    found = every_method()
    default = _first_ready(found)
    return [_row(item, default) for item in found]


def citation_of(name: str) -> str:
    """What to cite for one method, empty where it is not installed. No other method is loaded."""
    method = _availability(name).method
    return "" if method is None else method.citation


def _foreign() -> dict[str, EntryPoint]:
    """Entry points of other packages by method name, not yet imported."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in BUILT_IN or (point.name in found and found[point.name].value != point.value):
            rival = "hqgen itself" if point.name in BUILT_IN else f"`{_package(found[point.name])}`"
            raise UsageError(
                f"method `{point.name}` of the package `{_package(point)}` is also a method of {rival}",
                hint=f"uninstall `{_package(point)}`, or rename its method",
            )
        found[point.name] = point
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def _load(name: str) -> type[Method]:
    """Import a method's class.

    Raises:
        UnknownNameError: there is no such method.
        MethodError: it cannot be imported, or the registry cannot use it.
    """
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        try:
            loaded: type[Method] = getattr(import_module(module), attribute)
        except (ImportError, OSError) as error:  # OSError: a shared library of torch
            raise MethodError(f"`{module}` cannot be imported: {error}") from error
        return loaded
    foreign = _foreign()
    if name not in foreign:
        raise UnknownNameError("method", name, method_names())
    return _load_foreign(foreign[name])


def _load_foreign(point: EntryPoint) -> type[Method]:
    where = f"`{point.value}` of the package `{_package(point)}`"
    try:
        loaded = point.load()
    except Exception as error:  # the module of another package may raise anything; other methods still work
        raise MethodError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    problem = _problem(point.name, loaded)
    if problem is not None:
        raise MethodError(f"{where} {problem}")
    parameter_rows(loaded)  # raises if the types of its parameters mean nothing
    return loaded  # type: ignore[no-any-return]


def _problem(name: str, loaded: object) -> str | None:
    """Why `loaded` cannot serve as the method `name`."""
    if not (isinstance(loaded, type) and issubclass(loaded, Method) and is_dataclass(loaded)):
        return "is not a dataclass derived from `hqgen.methods.base.Method`"
    missing = [item for item in ("name", "rank", "citation") if not hasattr(loaded, item)]
    missing += sorted(getattr(loaded, "__abstractmethods__", ()))
    if missing:
        return f"does not define {', '.join(f'`{item}`' for item in missing)}"
    if loaded.name != name:
        return f"has the name `{loaded.name}`, but its entry point says `{name}`"
    if loaded.rank < FIRST_FOREIGN_RANK:
        return f"has the rank {loaded.rank}; ranks below {FIRST_FOREIGN_RANK} are hqgen's own"
    bare = without_default(loaded)
    return f"has no default for {', '.join(f'`{item}`' for item in bare)}" if bare else None


def _availability(name: str) -> Availability:
    try:
        method_class = _load(name)
        method = method_class()
        return Availability(name, method, method.unavailable())
    except HqgenError as error:
        return Availability(name, None, error.message)
    except Exception as error:  # noqa: BLE001 - of another package; other methods still work
        return Availability(name, None, f"{type(error).__name__}: {error}")


def _row(item: Availability, default: Sequence[Method]) -> MethodRow:
    method = item.method
    is_variant = method is not None and item.name != method.name
    return MethodRow(
        name=item.name,
        rank=method.rank if method else None,
        in_default=method in default if item.reason is None else bool(method and method.in_default),
        leg=method.leg if method else None,
        span=method.span if method else None,
        parameters=parameter_rows(type(method)) if method and not is_variant else (),
        citation=method.citation if method else "",
        weights_licence=getattr(method, "weights_licence", None),
        available=item.reason is None,
        reason=item.reason,
    )


def parse_method(item: str) -> Method:
    """Build the method that `name:parameter=value:...` describes, whether or not it can run here.

    Raises:
        UsageError, UnknownNameError: as `get_method`.
        MethodError: its code cannot be loaded.
    """
    name, *assignments = item.split(":")
    method_class = _load(name)
    params: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or key in params:
            raise UsageError(
                f"`{assignment}` in `{item}` is {'given twice' if equals else 'not `parameter=value`'}",
                hint="write a method with parameters as `name:parameter=value:parameter=value`",
            )
        params[key] = read_parameter(method_class, key, text)
    return _make(name, params)
