"""Named parts that a YAML can choose: readers, kinds of task, backbones, losses, bridges, ...

A part is one class in one module, and the module's name is the part's name: `loss.name: mapped_kl`
finds the class in `ctkd_cli/distillation/losses/mapped_kl.py`. Other packages add parts through
entry points of the groups `ctkd.losses`, `ctkd.bridges`, ...
(`my_loss = "my_package.my_loss:MyLoss"`). A YAML only ever names a part; it never holds an import
path.

The fields of a part are its settings: the object that pydantic has validated is the one that works.
"""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ctkd_cli.errors import InputError, Problem, nearest


class Frozen(BaseModel):
    """Typed, immutable settings that refuse unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )


class Component(Frozen):
    """A part that YAML names. Subclasses set `package`, where parts of their sort live, and
    `selector`, the settings key that names one."""

    package: ClassVar[str]
    selector: ClassVar[str] = "name"
    role: ClassVar[str] = ""  # the settings key it stands under, such as target; set when chosen

    @classmethod
    def entry_point_group(cls) -> str:
        """The group of entry points through which other packages add parts of this sort."""
        return f"ctkd.{cls.package.rpartition('.')[2]}"


Positive = Annotated[int, Field(ge=1)]
T = TypeVar("T", bound=Component)


def available(base: type[Component]) -> list[str]:
    """The names that can be chosen for a sort of component."""
    ours = (
        module.name
        for module in pkgutil.iter_modules(import_module(f"ctkd_cli.{base.package}").__path__)
        if module.name != "base" and not module.name.startswith("_")
    )
    return sorted({*ours, *_third_party(base.entry_point_group())})


def find(base: type[T], name: str, where: str) -> type[T]:
    """The class of the component called `name`; `where` is the settings key that asked for it.

    Raises InputError when there is none.
    """
    names = available(base)
    if name not in names:
        raise InputError(
            Problem(
                f"unknown {where.rpartition('.')[0] or where} {base.selector}",
                where=where,
                got=repr(name),
                allowed=", ".join(names),
                nearest=nearest(str(name), names),
            )
        )
    if name in (theirs := _third_party(base.entry_point_group())):
        found: type[T] = theirs[name].load()
        return found
    module = import_module(f"ctkd_cli.{base.package}.{name}")
    (found,) = (
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base) and member.__module__ == module.__name__
    )
    return found


@cache
def _third_party(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
